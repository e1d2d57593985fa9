//! The command line: one thin file a subcommand.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod process;
mod prompt;
mod quickstart;
mod serve;
mod setup;

use std::process::ExitCode;

use clap::Parser;

/// What a command failed with: text for the person, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The command could not do its work.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// The command was called wrongly.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 2 }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self::new(text)
    }
}

/// Runs the program and gives its exit code: 0 done, 1 failed, 2 called wrongly, 3 (`status`) not running.
pub fn main() -> ExitCode {
    let arguments = args::Arguments::parse();
    let done = match arguments.command {
        args::Command::Setup(options) => setup::run(&options),
        args::Command::Start(options) => serve::run(&options),
        args::Command::Stop(options) => process::stop(&options),
        args::Command::Status(options) => process::status(&options),
        args::Command::Quickstart(options) => quickstart::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("ctsd: {}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}

/// Logs to stderr what the filter lets through.
fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("--log {filter}: {error}")))?;
    // A second server in one process (tests) keeps the first one's log.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    Ok(())
}
