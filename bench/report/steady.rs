//! One long run: does anything grow?

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use crate::plot::{Line, Panel};
use crate::results::median;
use crate::{plot, results};

/// Seconds of a row of the table.
const WINDOW: usize = 300;

/// Appends the table to OUT.md and writes OUT.svg.
pub(crate) fn write(json: &Path, samples: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let phases = results::phases(json)?;
    let steady = phases.iter().find(|phase| phase.name() == "mix").ok_or("the run has no phase mix")?;
    let seconds = steady.by_second();
    let samples = std::fs::read_to_string(samples)?;
    let samples: Vec<[f64; 3]> = samples
        .lines()
        .map(|line| {
            let mut numbers = line.split_whitespace().map(|word| word.parse().unwrap_or(f64::NAN));
            [0; 3].map(|_| numbers.next().unwrap_or(f64::NAN))
        })
        .collect();

    let mut text = String::from(
        "\n| minutes | ops/s | p50 ms | p99 ms | max ms | resident MB | on disk MB |\n|---|---|---|---|---|---|---|\n",
    );
    for (index, window) in seconds.chunks(WINDOW).filter(|window| window.len() > WINDOW / 2).enumerate() {
        let (start, end) = ((index * WINDOW) as f64, (index * WINDOW + window.len()) as f64);
        let within = |column: usize| {
            median(
                samples
                    .iter()
                    .filter(|sample| sample[0] >= start && sample[0] < end)
                    .map(|sample| sample[column]),
            ) / 1e3
        };
        writeln!(
            text,
            "| {:.0}–{:.0} | {:.0} | {:.2} | {:.2} | {:.0} | {:.1} | {:.0} |",
            start / 60.0,
            end / 60.0,
            window.iter().map(|second| second[0]).sum::<f64>() / window.len() as f64,
            median(window.iter().map(|second| second[1])),
            median(window.iter().map(|second| second[2])),
            window.iter().map(|second| second[3]).fold(0.0, f64::max),
            within(1) * 1.024,
            within(2) * 1.024,
        )?;
    }
    let tail = |column: usize, from: f64, to: f64| {
        let end = seconds.len() as f64;
        median(
            samples
                .iter()
                .filter(|sample| sample[0] >= end - from && sample[0] < end - to)
                .map(|sample| sample[column]),
        )
    };
    let late = |from: usize, to: usize| {
        let end = seconds.len();
        let part = &seconds[end.saturating_sub(from)..end.saturating_sub(to)];
        median(part.iter().map(|second| second[2]))
    };
    writeln!(
        text,
        "\nThe last 10 minutes against the 10 before: resident memory {:+.1} %, median p99 of a second {:+.1} %.",
        (tail(1, 600.0, 0.0) / tail(1, 1200.0, 600.0) - 1.0) * 100.0,
        (late(600, 0) / late(1200, 600) - 1.0) * 100.0,
    )?;
    let stem = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    writeln!(text, "\n![over time]({stem}.svg)")?;
    let page = out.with_file_name(format!("{stem}.md"));
    let before = std::fs::read_to_string(&page).unwrap_or_default();
    std::fs::write(&page, before + &text)?;
    println!("{text}");

    let minutes = |second: f64| second / 60.0;
    let by_second = |column: usize, name: &str| Line {
        name: name.to_owned(),
        points: seconds.iter().enumerate().map(|(at, row)| (minutes(at as f64), row[column])).collect(),
    };
    let by_sample = |column: usize, name: &str| Line {
        name: name.to_owned(),
        points: samples.iter().map(|row| (minutes(row[0]), row[column] * 1.024 / 1e3)).collect(),
    };
    let rate = [by_second(0, "operations a second")];
    let latency = [by_second(1, "p50"), by_second(2, "p99"), by_second(3, "maximum")];
    let memory = [by_sample(1, "resident")];
    let disk = [by_sample(2, "instance on disk")];
    let panel = |title, up, lines, logarithmic| Panel { title, across: "minutes", up, lines, logarithmic };
    plot::panels(
        &out.with_file_name(format!("{stem}.svg")),
        &[
            panel("Throughput", "1/s", &rate, false),
            panel("Latency of each second", "ms", &latency, true),
            panel("Resident memory", "MB", &memory, false),
            panel("Disk", "MB", &disk, false),
        ],
    )
}
