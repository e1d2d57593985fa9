//! Servers side by side: medians over the rounds.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use crate::plot::{Bars, Line, Panel};
use crate::results::{Phase, median};
use crate::{plot, results};

/// The phases of the table, in its order.
const PHASES: [&str; 7] = ["mix", "read", "query", "modify", "add", "delete", "reap"];

/// One server on one form of the work.
struct Subject {
    name: String,
    durability: String,
    rounds: Vec<Vec<Phase>>,
}

impl Subject {
    fn runs<'a>(&'a self, phase: &'a str) -> impl Iterator<Item = &'a Phase> + 'a {
        self.rounds.iter().flatten().filter(move |run| run.name() == phase)
    }

    fn median(&self, phase: &str, figure: impl Fn(&Phase) -> f64) -> f64 {
        median(self.runs(phase).map(figure))
    }
}

/// Writes the table and the plots.
pub(crate) fn write(directory: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let subjects = read(directory)?;
    let head = std::fs::read_to_string(directory.join("head.tsv"))?;
    let versions = std::fs::read_to_string(directory.join("servers.tsv"))?;
    let stem = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = |suffix: &str| out.with_file_name(format!("{stem}-{suffix}.svg"));
    draw(&subjects, &beside)?;

    let mut text = format!("# Directory servers side by side ({stem})\n\n");
    for line in head.lines() {
        let (name, value) = line.split_once('\t').unwrap_or((line, ""));
        writeln!(text, "* {name}: {value}")?;
    }
    text.push_str("\n| server | version | a write is, when answered |\n|---|---|---|\n");
    for line in versions.lines() {
        writeln!(text, "| {} |", line.split('\t').collect::<Vec<_>>().join(" | "))?;
    }
    text.push_str(
        "\nMedians of the rounds. Operations a second; p50 and p99 in ms, p99 of the slowest kind of the phase; CPU of the \
         server in µs per operation; octets that reached the device per operation (everything on it); resident memory at the \
         end in MB; cores that others had. `openam`: with OpenAM's controls (post-read of the etag, assertion, transaction \
         id).\n",
    );
    for phase in PHASES {
        table(&mut text, phase, &subjects)?;
    }
    text.push_str(&format!(
        "\n![throughput]({stem}-throughput.svg)\n\n![latency]({stem}-latency.svg)\n\n![latency over time]({stem}-time.svg)\n"
    ));
    std::fs::write(out.with_file_name(format!("{stem}.md")), &text)?;
    println!("{text}");
    Ok(())
}

fn table(text: &mut String, phase: &str, subjects: &[Subject]) -> Result<(), Box<dyn Error>> {
    writeln!(text, "\n## {phase}\n")?;
    text.push_str("| | ops/s | best | p50 | p99 | CPU | device | RSS | client CPU | others | wrong |\n");
    text.push_str("|---|---|---|---|---|---|---|---|---|---|---|\n");
    for subject in subjects {
        let of = |name: &'static str| subject.median(phase, |run| run.number(name));
        let rate = of("operations_per_second");
        if rate.is_nan() {
            continue;
        }
        let best = subject.runs(phase).map(|run| run.number("operations_per_second")).fold(0.0, f64::max);
        let wrong: u64 = subject.runs(phase).map(Phase::wrong).sum();
        writeln!(
            text,
            "| {} | {rate:.0} | {best:.0} | {:.2} | {:.1} | {:.0} | {:.0} | {:.0} | {:.1} | {:.2} | {wrong} |",
            subject.name,
            subject.median(phase, |run| run.mean_of_kinds("p50_ms")),
            subject.median(phase, |run| run.worst_of_kinds("p99_ms")),
            of("server_cpu_us_per_operation"),
            of("device_octets_per_operation"),
            of("server_resident_mb"),
            of("client_cpu_us_per_operation"),
            of("others_cores"),
        )?;
    }
    Ok(())
}

fn draw(subjects: &[Subject], beside: &dyn Fn(&str) -> std::path::PathBuf) -> Result<(), Box<dyn Error>> {
    let groups: Vec<(&str, Vec<(String, f64)>)> = PHASES
        .iter()
        .map(|phase| {
            let rate = |subject: &Subject| {
                let rate = subject.median(phase, |run| run.number("operations_per_second"));
                (format!("{} ({})", subject.name, subject.durability), rate)
            };
            (*phase, subjects.iter().map(rate).filter(|(_, rate)| rate.is_finite()).collect())
        })
        .collect();
    let bars: Vec<Bars<'_>> =
        groups.iter().map(|(title, bars)| Bars { title, unit: "operations a second", bars }).collect();
    plot::bars(&beside("throughput"), &bars)?;

    let last_mix = |subject: &Subject| subject.runs("mix").last().cloned();
    let kinds = ["add", "modify", "delete", "read"];
    let by_kind: Vec<(String, Vec<Line>)> = kinds
        .iter()
        .map(|kind| {
            let line = |subject: &Subject| {
                // Nines: 0 is the fastest, 3 is p99.9.
                let nines = |(quantile, ms): (f64, f64)| (-(1.0 - quantile.min(0.9999)).log10(), ms);
                let points = last_mix(subject)?.quantiles(kind).into_iter().map(nines).collect::<Vec<_>>();
                (!points.is_empty()).then(|| Line { name: subject.name.clone(), points })
            };
            (format!("{kind} within the mix, last round"), subjects.iter().filter_map(line).collect())
        })
        .collect();
    let panels: Vec<Panel<'_>> = by_kind
        .iter()
        .map(|(title, lines)| Panel {
            title,
            across: "nines (1: p90, 2: p99, 3: p99.9)",
            up: "ms",
            lines,
            logarithmic: true,
        })
        .collect();
    plot::panels(&beside("latency"), &panels)?;

    let over_time = |subject: &Subject| {
        let seconds = last_mix(subject)?.by_second();
        let points = seconds.iter().enumerate().map(|(second, row)| (second as f64, row[2])).collect();
        Some(Line { name: subject.name.clone(), points })
    };
    let lines: Vec<Line> = subjects.iter().filter_map(over_time).collect();
    let title = "p99 of each second of the mix, last round";
    plot::panels(&beside("time"), &[Panel { title, across: "s", up: "ms", lines: &lines, logarithmic: true }])
}

/// Result files are named ROUND.SERVER.FORM.PART.json.
fn read(directory: &Path) -> Result<Vec<Subject>, Box<dyn Error>> {
    let versions = std::fs::read_to_string(directory.join("servers.tsv"))?;
    let mut subjects = Vec::new();
    for line in versions.lines() {
        let mut fields = line.split('\t');
        let server = fields.next().unwrap_or_default();
        let durability = fields.nth(1).unwrap_or_default();
        for form in ["plain", "openam"] {
            let mut rounds = Vec::new();
            for round in 1.. {
                let part = |part: &str| directory.join(format!("{round}.{server}.{form}.{part}.json"));
                if !part("work").exists() {
                    break;
                }
                let mut phases = results::phases(&part("work"))?;
                phases.extend(results::phases(&part("reap"))?);
                rounds.push(phases);
            }
            if !rounds.is_empty() {
                subjects.push(Subject {
                    name: format!("{server}, {form}"),
                    durability: durability.to_owned(),
                    rounds,
                });
            }
        }
    }
    Ok(subjects)
}
