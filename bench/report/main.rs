//! Tables and plots from what the load driver wrote, as `bench/README.md` explains them.

// A report has a terminal, and stops at the first thing that is not as it must be.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod compare;
mod plot;
mod results;
mod steady;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tables and plots from the load driver's results.
#[derive(Debug, Parser)]
#[command(name = "report")]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Given by `cargo bench`; means nothing here.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Servers side by side, from the directory that `bench/compare/run` filled; writes OUT.md and OUT-*.svg.
    Compare { directory: PathBuf, out: PathBuf },
    /// One long run, from the driver's JSON and a table of samples (seconds, resident KiB, KiB on disk); appends to
    /// OUT.md and writes OUT.svg.
    Steady { json: PathBuf, samples: PathBuf, out: PathBuf },
}

fn main() -> ExitCode {
    let written = match Options::parse().what {
        What::Compare { directory, out } => compare::write(&directory, &out),
        What::Steady { json, samples, out } => steady::write(&json, &samples, &out),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::from(2)
        }
    }
}
