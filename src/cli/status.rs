//! `status`: whether an instance's server runs, where it listens, what it holds and how busy it is.
//!
//! What the server says of itself is read by another codec than its own (`ldap3_proto`).

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::ldap::{AdminOptions, Client, PlainEntry, plain_search};
use super::{Failure, args, process};
use crate::clock::{Clock, SystemClock};
use crate::protocol::message::Scope;

const EXAMPLES: &str = "Exit codes: 0 the server runs, 3 it does not.

Examples:
  status
      of the instance at hand; for the user that the server runs as, and root, what the server says too
  status --bindDN 'cn=Directory Manager' --bindPasswordFile pw --watch
      draws anew every other second
  status --hostname cts.example.com --port 4444 -D 'cn=Directory Manager' -j pw --trustAll --json
      of a remote server, for a script";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    at: args::At,
    #[command(flatten)]
    admin: AdminOptions,
    /// Do not ask the server.
    #[arg(long)]
    offline: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Lines for scripts: section, label and value parted by tabs.
    #[arg(short = 's', long = "script-friendly", conflicts_with = "json")]
    script_friendly: bool,
    /// Draw anew every so many seconds.
    #[arg(short = 'r', long, visible_alias = "refresh", value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        conflicts_with_all = ["json", "script_friendly"])]
    watch: Option<u64>,
}

/// What is told: sections of labels and values.
#[derive(Debug, Default)]
struct Report {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Report {
    fn section(&mut self, title: &str) {
        self.sections.push((title.to_owned(), Vec::new()));
    }

    fn line(&mut self, label: &str, value: impl Into<String>) {
        if let Some((_, lines)) = self.sections.last_mut() {
            lines.push((label.to_owned(), value.into()));
        }
    }

    fn for_people(&self) -> String {
        let lines = self.sections.iter().flat_map(|(_, lines)| lines);
        let width = lines.map(|(label, _)| label.chars().count()).max().unwrap_or(0) + 1;
        let mut text = String::new();
        for (title, lines) in &self.sections {
            let _ = write!(text, "\n          --- {title} ---\n");
            for (label, value) in lines {
                let _ = writeln!(text, "{:width$}  {value}", format!("{label}:"));
            }
        }
        text
    }

    fn for_scripts(&self) -> String {
        let mut text = String::new();
        for (title, lines) in &self.sections {
            for (label, value) in lines {
                let _ = writeln!(text, "{title}\t{label}\t{value}");
            }
        }
        text
    }

    /// Sections and labels become names in camel case; labels that stand several times become arrays.
    fn json(&self) -> String {
        let mut sections = Vec::new();
        for (title, lines) in &self.sections {
            let mut members: Vec<(String, Vec<String>)> = Vec::new();
            for (label, value) in lines {
                let name = camel(label);
                match members.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(quoted(value)),
                    None => members.push((name, vec![quoted(value)])),
                }
            }
            let members = members.into_iter().map(|(name, values)| match values.as_slice() {
                [one] => format!("{}:{one}", quoted(&name)),
                many => format!("{}:[{}]", quoted(&name), many.join(",")),
            });
            sections.push(format!("{}:{{{}}}", quoted(&camel(title)), members.collect::<Vec<_>>().join(",")));
        }
        format!("{{{}}}\n", sections.join(","))
    }
}

fn camel(label: &str) -> String {
    let mut name = String::new();
    for word in label.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let lower = word.to_lowercase();
        let mut letters = lower.chars();
        match letters.next() {
            Some(first) if !name.is_empty() => name.extend(first.to_uppercase().chain(letters)),
            Some(first) => name.extend(std::iter::once(first).chain(letters)),
            None => {}
        }
    }
    name
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Counters at a moment, for rates.
struct Sample {
    at: Duration,
    counts: Vec<Count>,
}

/// One operation's.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    word: &'static str,
    done: u64,
    /// Milliseconds that they took in all.
    time: u64,
    /// Microseconds: half, 99 of 100, and all of them took no longer.
    latencies: [u64; 3],
}

/// Operations whose rates are shown, as `cn=monitor` names them.
const OPERATIONS: &[(&str, &str)] = &[
    ("search", "search"),
    ("add", "add"),
    ("modify", "mod"),
    ("delete", "delete"),
    ("bind", "bind"),
    ("compare", "compare"),
    ("extended", "extended"),
];

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let clock = SystemClock::new();
    let Some(seconds) = options.watch else {
        let (report, code, _) = look(options, None, &clock)?;
        let text = if options.json {
            report.json()
        } else if options.script_friendly {
            report.for_scripts()
        } else {
            report.for_people()
        };
        print!("{text}");
        return Ok(code);
    };
    let mut before = None;
    loop {
        let (report, _, sample) = look(options, before.as_ref(), &clock)?;
        // Home, and clear what is below.
        print!("\x1b[H\x1b[2J{}", report.for_people());
        std::io::Write::flush(&mut std::io::stdout())?;
        before = sample;
        std::thread::sleep(Duration::from_secs(seconds.max(1)));
    }
}

fn look(
    options: &Options,
    before: Option<&Sample>,
    clock: &SystemClock,
) -> Result<(Report, ExitCode, Option<Sample>), Failure> {
    let mut report = Report::default();
    let connection = &options.admin.connection;
    let is_remote = connection.hostname.is_some() || connection.port.is_some();
    let instance = &options.at.instance;
    report.section("Server Status");
    let mut client = None;
    if is_remote {
        client = Some(options.admin.open("status")?);
        report.line("Server Run Status", "Started");
    } else {
        process::require_instance(instance)?;
        report.line("Instance", instance.display().to_string());
        let Some(pid) = process::running(instance) else {
            report.line("Server Run Status", "Stopped");
            return Ok((report, ExitCode::from(3), None));
        };
        let addresses = process::serving(instance);
        let word = if addresses.is_some() { "Started" } else { "Starting" };
        report.line("Server Run Status", word);
        report.line("Process", pid.as_raw_nonzero().to_string());
        for address in addresses.iter().flatten() {
            report.line("Listening", address.clone());
        }
        let secret = instance.join("config/secrets/directory-manager.password");
        if let Some(addresses) = addresses.filter(|_| !options.offline) {
            if options.admin.names_nobody("status")? {
                client = options.admin.open_socket(&process::socket(instance)).ok();
            }
            if client.is_none() {
                client = options.admin.open_local("status", &addresses, &secret)?;
            }
        }
    }
    let sample = match &mut client {
        Some(client) => Some(ask(&mut report, client, before, clock)?),
        None => None,
    };
    Ok((report, ExitCode::SUCCESS, sample))
}

fn number(entry: &PlainEntry, name: &str) -> u64 {
    entry.first(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What the server says of itself.
fn ask(
    report: &mut Report,
    client: &mut Client,
    before: Option<&Sample>,
    clock: &SystemClock,
) -> Result<Sample, Failure> {
    let entries = plain_search(client, "cn=monitor", Scope::Subtree, &["*", "+"])?;
    let named = |name: &str| entries.iter().find(|entry| entry.first("cn") == Some(name));
    if let Some(monitor) = named("monitor") {
        let text = |name: &str| monitor.first(name).unwrap_or("-").to_owned();
        report.line("Open Connections", text("currentConnections"));
        report.line("Up Time", text("upTime"));
    } else {
        report.line("Details", "hidden: the user lacks the privilege monitor-read");
    }
    report.section("Server Details");
    if let Some(version) = named("Version") {
        report.line("Version", version.first("fullVersion").unwrap_or("-"));
    }
    if let Some(system) = named("System Information") {
        report.line("Installation Path", system.first("instancePath").unwrap_or("-"));
        report.line("Resident Memory", format!("{} MB", number(system, "residentMemory") / 1_048_576));
        report.line("Threads", system.first("threads").unwrap_or("-"));
        report.line("Open Files", system.first("openFiles").unwrap_or("-"));
    }
    for user in plain_search(client, "cn=Root DNs,cn=config", Scope::One, &["cn"])? {
        report.line("Administrative User", user.dn.split(',').next().unwrap_or_default());
    }
    if let Some(disk) = named("Disk Space Monitor") {
        let free = number(disk, "disk-free") / 1_048_576;
        report.line("Free Disk Space", format!("{free} MB ({})", disk.first("disk-state").unwrap_or("-")));
    }
    report.section("Connection Handlers");
    for handler in plain_search(client, "cn=Connection Handlers,cn=config", Scope::One, &["*"])? {
        let is_on = handler.first("ds-cfg-enabled").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let address = handler.first("ds-cfg-listen-address").unwrap_or("0.0.0.0");
        let port = handler.first("ds-cfg-listen-port").unwrap_or("-");
        let state = if is_on { "Enabled" } else { "Disabled" };
        report.line(handler.first("cn").unwrap_or("-"), format!("{address}:{port}  {state}"));
    }
    report.section("Data Sources");
    for backend in entries.iter().filter(|entry| entry.first("ds-backend-id").is_some()) {
        report.line("Backend ID", backend.first("ds-backend-id").unwrap_or("-"));
        for base in backend.values("ds-backend-base-dn") {
            report.line("Base DN", base.clone());
        }
        report.line("Entries", backend.first("ds-backend-entry-count").unwrap_or("-"));
        for count in backend.values("ds-cts-token-count") {
            let (kind, count) = count.rsplit_once(' ').unwrap_or((count, "-"));
            report.line(&format!("Tokens {kind}"), count);
        }
        report.line("Writability", backend.first("ds-backend-writability-mode").unwrap_or("-"));
        let waiting = backend.values("need-reindex");
        if !waiting.is_empty() {
            report.line("Indexes being built", waiting.join(", "));
        }
    }
    waiting(report, &entries);
    let sample = sample(&entries, clock);
    operations(report, &sample, before);
    Ok(sample)
}

fn sample(entries: &[PlainEntry], clock: &SystemClock) -> Sample {
    let sum = |name: &str| entries.iter().map(|entry| number(entry, name)).sum::<u64>();
    let counts = OPERATIONS.iter().map(|(word, short)| {
        let total = format!("ds-mon-{short}-operations-total-count");
        // Percentiles of several listeners do not add up: the busiest one's are shown.
        let busiest = entries.iter().max_by_key(|entry| number(entry, &total));
        let latency = |which: &str| {
            busiest.map_or(0, |entry| number(entry, &format!("ds-mon-{short}-operations-{which}-time")))
        };
        Count {
            word,
            done: sum(&total),
            time: sum(&format!("ds-mon-resident-time-{short}-operations-total-time")),
            latencies: ["p50", "p99", "max"].map(latency),
        }
    });
    Sample { at: clock.monotonic(), counts: counts.collect() }
}

/// Totals, or rates and mean times since the last look; latencies since the start.
fn operations(report: &mut Report, now: &Sample, before: Option<&Sample>) {
    report.section("Operations");
    for (index, count) in now.counts.iter().enumerate() {
        let mut text = count.done.to_string();
        if let Some((at, earlier)) = before.and_then(|before| Some((before.at, before.counts.get(index)?))) {
            let seconds = now.at.saturating_sub(at).as_secs_f64().max(0.001);
            let done = count.done.saturating_sub(earlier.done);
            let _ = write!(text, "  {:.1}/s", done as f64 / seconds);
            if done > 0 {
                let mean = count.time.saturating_sub(earlier.time) as f64 / done as f64;
                let _ = write!(text, "  {mean:.2} ms each");
            }
        }
        let [half, most, all] = count.latencies.map(|microseconds| microseconds as f64 / 1000.0);
        if all > 0.0 {
            let _ = write!(text, "  (p50 {half:.2}, p99 {most:.2}, max {all:.2} ms)");
        }
        report.line(count.word, text);
    }
}

/// What waits, what was turned away, and what logs could not take.
fn waiting(report: &mut Report, entries: &[PlainEntry]) {
    let Some(queue) = entries.iter().find(|entry| entry.first("cn") == Some("Work Queue")) else { return };
    report.section("Work Queue");
    report.line("Waiting", queue.first("currentRequestBacklog").unwrap_or("-"));
    report.line("In Progress", queue.first("requestsInProgress").unwrap_or("-"));
    report.line("Rejected", queue.first("requestsRejectedDueToQueueFull").unwrap_or("-"));
    report.line("Log Records Dropped", queue.first("accessLogLinesDropped").unwrap_or("-"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_have_a_form_for_people_scripts_and_programs() {
        let mut report = Report::default();
        report.section("Server Status");
        report.line("Server Run Status", "Started");
        report.line("Listening", "a");
        report.line("Listening", "b\"\n");
        assert!(
            report
                .for_people()
                .contains("--- Server Status ---\nServer Run Status:  Started\nListening:          a")
        );
        assert!(report.for_scripts().starts_with("Server Status\tServer Run Status\tStarted\n"));
        let wanted = r#"{"serverStatus":{"serverRunStatus":"Started","listening":["a","b\"\u000a"]}}"#;
        assert_eq!(report.json().trim_end(), wanted);
    }

    #[test]
    fn rates_are_counted_between_two_looks() {
        let sample = |seconds, done, time| Sample {
            at: Duration::from_secs(seconds),
            counts: vec![Count { word: "search", done, time, latencies: [120, 900, 2000] }],
        };
        let mut report = Report::default();
        operations(&mut report, &sample(12, 300, 40), Some(&sample(10, 100, 20)));
        assert!(
            report
                .for_scripts()
                .ends_with("search\t300  100.0/s  0.10 ms each  (p50 0.12, p99 0.90, max 2.00 ms)\n")
        );
    }
}
