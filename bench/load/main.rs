//! The load driver: OpenAM's token store over LDAP, as `bench/README.md` explains it.
//!
//! One thread and one poll drive all connections, and requests are encoded once and patched, so that the driver
//! takes little of the machine that it shares with the server.

// A driver has a terminal, and stops at the first thing that is not as it must be.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod connection;
mod engine;
mod journal;
mod machine;
mod options;
mod record;
mod requests;
mod socket;
mod template;
mod token;
mod workload;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use engine::Engine;
use options::{Options, Phase};
use record::Figures;
use workload::Workload;

fn main() -> ExitCode {
    let mut options = Options::parse();
    options.settle();
    let mut all = Vec::new();
    let outcome = run(&options, &mut all);
    if let Err(error) = &outcome {
        eprintln!("load: {error}");
    }
    let written = options.json.as_ref().map(|path| std::fs::write(path, json(&options, &all)));
    if let Some(Err(error)) = written {
        eprintln!("load: the results: {error}");
        return ExitCode::from(2);
    }
    match outcome {
        Err(_) => ExitCode::from(2),
        Ok(()) if all.iter().any(Figures::is_wrong) => ExitCode::from(1),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn run(options: &Options, all: &mut Vec<Figures>) -> Result<(), Box<dyn Error>> {
    let mut workload = Workload::new(options)?;
    let mut engine = Engine::new(options, &mut workload)?;
    println!(
        "# {}:{}{}, {} connections x {} in flight, add request of {} octets, {} users{}{}",
        options.host,
        options.port,
        if options.tls { " (TLS)" } else { "" },
        options.connections,
        options.in_flight,
        workload.add_len(),
        options.users,
        if options.plain { ", plain" } else { ", OpenAM's controls" },
        options.rate.map(|rate| format!(", open loop at {rate}/s")).unwrap_or_default(),
    );
    println!("{}", record::head());
    let verify = options.verify.then_some(&Phase::Verify);
    for (number, phase) in options.phase.iter().chain(verify).enumerate() {
        if let Some(command) = &options.between {
            let mut shell = std::process::Command::new("sh");
            let status = shell.arg("-c").arg(command).env("PHASE", number.to_string()).status()?;
            if !status.success() {
                return Err(format!("before phase {number}: {command}: {status}").into());
            }
        }
        match engine.run(*phase, options, &mut workload) {
            Ok(figures) => {
                print!("{}", figures.table());
                let mix = all.iter().rev().find(|earlier: &&Figures| earlier.phase == Phase::Mix.name());
                if let Some(mix) = mix.filter(|_| *phase == Phase::MixReap) {
                    print!("{}", figures.beside(mix));
                }
                all.push(figures);
            }
            Err(error) => {
                // What was acknowledged before the server went must be on record.
                workload.journal.flush()?;
                return Err(format!("{}: {error}", phase.name()).into());
            }
        }
    }
    Ok(())
}

fn json(options: &Options, all: &[Figures]) -> String {
    let phases: Vec<String> = all.iter().map(Figures::json).collect();
    let list = |numbers: &[usize]| {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        format!("[{}]", numbers.join(","))
    };
    let command: Vec<String> = std::env::args().map(|argument| record::text(&argument)).collect();
    let fields = [
        ("command", format!("[{}]", command.join(","))),
        ("host", record::text(&options.host)),
        ("port", options.port.to_string()),
        ("tls", options.tls.to_string()),
        ("plain", options.plain.to_string()),
        ("connections", options.connections.to_string()),
        ("pools", list(&options.pools)),
        ("in_flight", options.in_flight.to_string()),
        ("population", options.population.to_string()),
        ("object_size", options.object_size.to_string()),
        ("rate", options.rate.map_or_else(|| "null".to_owned(), |rate| rate.to_string())),
        ("warmup", options.warmup.to_string()),
        ("listeners", options.listeners.to_string()),
        ("hearts", options.hearts.to_string()),
        ("heartbeat_ms", options.heartbeat_ms.to_string()),
        ("deaf", options.deaf.to_string()),
    ];
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{},\"phases\":[\n{}\n]}}\n", fields.join(","), phases.join(",\n"))
}
