//! What is made from the command line's own description: links, shell completions, manual pages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory};

use super::Failure;
use super::args::{Arguments, TOOLS};

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  ctsd install-links /var/lib/ctsd/bin\n      \
    links in the bin folder of an instance take that instance for theirs")]
pub(super) struct Links {
    /// Folder for the links; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Replace files of these names that are there.
    #[arg(short = 'f', long)]
    force: bool,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  ctsd completions bash > /etc/bash_completion.d/ctsd")]
pub(super) struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: clap_complete::Shell,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  ctsd man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Folder for the pages; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `ctsd install-links`.
pub(super) fn links(options: &Links) -> Result<ExitCode, Failure> {
    link(&options.folder, options.force)?;
    println!("Linked {} in {}", TOOLS.join(", "), options.folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Makes the links; what is in their way is replaced only by `force`.
pub(super) fn link(folder: &Path, force: bool) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    std::fs::create_dir_all(folder)?;
    for tool in TOOLS {
        let link = folder.join(tool);
        if let Ok(known) = link.symlink_metadata() {
            let is_ours = std::fs::canonicalize(&link).is_ok_and(|path| path == program);
            let may_go = force || (known.is_symlink() && !link.exists());
            if is_ours && link != program {
                continue;
            }
            if !may_go {
                return Err(Failure::new(format!("{} exists; --force replaces it", link.display())));
            }
            std::fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(&program, &link)?;
    }
    Ok(())
}

/// `ctsd completions`: for `ctsd` and for each linked name.
pub(super) fn completions(options: &Completions) -> Result<ExitCode, Failure> {
    let mut whole = Arguments::command();
    let mut out = std::io::stdout().lock();
    clap_complete::generate(options.shell, &mut whole, "ctsd", &mut out);
    whole.build();
    for tool in TOOLS {
        if let Some(command) = whole.find_subcommand(tool) {
            clap_complete::generate(options.shell, &mut command.clone(), *tool, &mut out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `ctsd man`: `ctsd.1`, one page a subcommand, tools under their own names.
pub(super) fn man(options: &Man) -> Result<ExitCode, Failure> {
    std::fs::create_dir_all(&options.folder)?;
    let mut whole = Arguments::command().disable_help_subcommand(true);
    whole.build();
    page(&options.folder, whole.clone(), "ctsd")?;
    for command in whole.get_subcommands() {
        let name = command.get_name();
        let page_name = if TOOLS.contains(&name) { name.to_owned() } else { format!("ctsd-{name}") };
        page(&options.folder, command.clone(), &page_name)?;
    }
    println!("Wrote the manual pages to {}", options.folder.display());
    Ok(ExitCode::SUCCESS)
}

fn page(folder: &Path, command: clap::Command, name: &str) -> Result<(), Failure> {
    // A command's name lives as long as the program, and the program ends here.
    let title: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let mut text = Vec::new();
    clap_mangen::Man::new(command.name(title).display_name(name).bin_name(name)).render(&mut text)?;
    std::fs::write(folder.join(format!("{name}.1")), text)?;
    Ok(())
}
