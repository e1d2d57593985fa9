//! The command line: one thin file a subcommand. The OpenDJ tools answer to their own names too, through links.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod access;
mod args;
mod at_hand;
mod backup;
mod base64;
mod dsconfig;
mod encode_password;
mod export_ldif;
mod generate;
mod import_ldif;
mod install_service;
mod ldap;
mod ldapcompare;
mod ldapdelete;
mod ldapmodify;
mod ldappasswordmodify;
mod ldapsearch;
mod manage_tasks;
mod ports;
mod process;
mod prompt;
mod quickstart;
mod rebuild_index;
mod restore;
mod serve;
mod setup;
mod start_stop;
mod status;
mod task;
mod transfer;
mod verify_index;

use std::any::Any;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

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

impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let code =
            (&error as &dyn Any).downcast_ref::<ldap::ClientError>().map_or(1, ldap::ClientError::exit);
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        Self { text, code }
    }
}

/// The name the program was called by, if it is one of its tools'.
fn called_as() -> Option<&'static str> {
    let called = PathBuf::from(std::env::args_os().next()?);
    let name = called.file_name()?.to_str()?;
    args::TOOLS.iter().copied().find(|tool| *tool == name)
}

/// The instance at hand unless another one is named: that of the environment, or the one in whose `bin` folder the link
/// is that the tool was called by, or `./instance`.
fn home() -> PathBuf {
    if let Some(named) = std::env::var_os("CTSD_INSTANCE") {
        return PathBuf::from(named);
    }
    let linked = called_as().and_then(|_| {
        let called = PathBuf::from(std::env::args_os().next()?);
        let link = if called.components().count() > 1 {
            std::path::absolute(called).ok()?
        } else {
            std::env::split_paths(&std::env::var_os("PATH")?)
                .map(|folder| folder.join(&called))
                .find(|path| path.exists())?
        };
        let owner = link.parent()?.parent()?;
        is_instance(owner).then(|| owner.to_owned())
    });
    linked.unwrap_or_else(|| PathBuf::from("./instance"))
}

fn is_instance(directory: &Path) -> bool {
    directory.join("config/config.ldif").is_file()
}

/// OpenDJ's other ways to ask for help, `-?` and (of its `dsconfig`) `--help-all`, `--help-core-server` and so on.
fn asking_for_help(word: OsString) -> OsString {
    let is_help = word == "-?" || word.to_str().is_some_and(|word| word.starts_with("--help-"));
    if is_help { "--help".into() } else { word }
}

/// Reads the command line. A link's name stands for its subcommand.
fn parse(called_as: Option<&'static str>) -> Result<args::Command, clap::Error> {
    let words = std::env::args_os().skip(1).map(asking_for_help);
    let Some(tool) = called_as else {
        let program = std::iter::once("ctsd".into());
        return Ok(args::Arguments::try_parse_from(program.chain(words))?.command);
    };
    let root =
        clap::Command::new("ctsd").multicall(true).propagate_version(true).version(env!("CARGO_PKG_VERSION"));
    let words = std::iter::once(tool.into()).chain(words);
    let matches = args::Command::augment_subcommands(root).try_get_matches_from(words)?;
    args::Command::from_arg_matches(&matches)
}

/// Runs the program and gives its exit code: 0 done, 1 failed or (OpenDJ's tools) called wrongly, 2 called wrongly, 3
/// (`status`) not running; LDAP tools exit with the result code of what failed.
pub fn main() -> ExitCode {
    let called_as = called_as();
    let name = called_as.or_else(|| {
        let first = std::env::args().nth(1)?;
        args::TOOLS.iter().copied().find(|tool| *tool == first)
    });
    if name == Some("dsconfig") {
        let words: Vec<OsString> = std::env::args_os().skip(1).map(asking_for_help).collect();
        if let Some(text) = dsconfig::help(&words) {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
    }
    let command = match parse(called_as) {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            let arguments: Vec<String> = std::env::args().collect();
            let of_dsconfig = name.filter(|tool| *tool == "dsconfig");
            let unknown = of_dsconfig.and_then(|_| dsconfig::about_arguments(&arguments));
            if let Some(hint) = ldap::about_arguments(&arguments).or(unknown) {
                eprintln!("\nHint:  {hint}");
            }
            return ExitCode::from(if name.is_some() { 1 } else { 2 });
        }
    };
    match run(command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}: {}", name.unwrap_or("ctsd"), failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: args::Command) -> Result<ExitCode, Failure> {
    use args::Command;
    match command {
        Command::Setup(options) => setup::run(&options),
        Command::Start(options) => serve::run(&options),
        Command::Stop(options) => process::stop(&options),
        Command::Status(options) => status::run(&options),
        Command::Quickstart(options) => quickstart::run(&options),
        Command::StartDs(options) => start_stop::start(&options),
        Command::StopDs(options) => start_stop::stop(&options),
        Command::Dsconfig(options) => dsconfig::run(&options),
        Command::Ldapsearch(options) => ldapsearch::run(&options),
        Command::Ldapmodify(options) => ldapmodify::run(&options),
        Command::Ldapdelete(options) => ldapdelete::run(&options),
        Command::Ldapcompare(options) => ldapcompare::run(&options),
        Command::Ldappasswordmodify(options) => ldappasswordmodify::run(&options),
        Command::RebuildIndex(options) => rebuild_index::run(&options),
        Command::VerifyIndex(options) => verify_index::run(&options),
        Command::ManageTasks(options) => manage_tasks::run(&options),
        Command::Access(options) => access::run(&options),
        Command::ImportLdif(options) => import_ldif::run(&options),
        Command::ExportLdif(options) => export_ldif::run(&options),
        Command::Backend(options) => verify_index::backend(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Restore(options) => restore::run(&options),
        Command::EncodePassword(options) => encode_password::run(&options),
        Command::Base64(options) => base64::run(&options),
        Command::InstallLinks(options) => generate::links(&options),
        Command::InstallService(options) => install_service::run(&options),
        Command::Completions(options) => generate::completions(&options),
        Command::Man(options) => generate::man(&options),
    }
}
