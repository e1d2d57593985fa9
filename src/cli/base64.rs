//! `base64`: as OpenDJ's tool of that name, for values in LDIF.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};

use super::Failure;

const EXAMPLES: &str = "Examples:
  base64 encode -d 'Ünicode'
  base64 decode -d w5xuaWNvZGU=
  base64 encode -f token.json > token.b64";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Encode.
    Encode {
        /// The data; without data and file, standard input is read.
        #[arg(short = 'd', long = "rawData", value_name = "DATA", conflicts_with = "file")]
        data: Option<String>,
        /// File with the data.
        #[arg(short = 'f', long = "rawDataFile", value_name = "FILE")]
        file: Option<PathBuf>,
        /// File to write; standard output if not given.
        #[arg(short = 'o', long = "toEncodedFile", value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Decode.
    Decode {
        /// The encoded data; without data and file, standard input is read.
        #[arg(short = 'd', long = "encodedData", value_name = "DATA", conflicts_with = "file")]
        data: Option<String>,
        /// File with the encoded data.
        #[arg(short = 'f', long = "encodedDataFile", value_name = "FILE")]
        file: Option<PathBuf>,
        /// File to write; standard output if not given.
        #[arg(short = 'o', long = "toRawFile", value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

fn read(data: Option<&String>, file: Option<&PathBuf>) -> Result<Vec<u8>, Failure> {
    if let Some(data) = data {
        return Ok(data.as_bytes().to_vec());
    }
    let mut octets = Vec::new();
    match file {
        Some(file) => {
            octets =
                std::fs::read(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        }
        None => {
            std::io::stdin().lock().read_to_end(&mut octets)?;
        }
    }
    Ok(octets)
}

fn write(octets: &[u8], file: Option<&PathBuf>) -> Result<ExitCode, Failure> {
    match file {
        Some(file) => std::fs::write(file, octets)?,
        None => std::io::stdout().lock().write_all(octets)?,
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    match &options.action {
        Action::Encode { data, file, output } => {
            let mut text = STANDARD.encode(read(data.as_ref(), file.as_ref())?);
            text.push('\n');
            write(text.as_bytes(), output.as_ref())
        }
        Action::Decode { data, file, output } => {
            let mut text = read(data.as_ref(), file.as_ref())?;
            text.retain(|octet| !octet.is_ascii_whitespace());
            let octets =
                STANDARD.decode(&text).map_err(|error| Failure::new(format!("not base64: {error}")))?;
            write(&octets, output.as_ref())
        }
    }
}
