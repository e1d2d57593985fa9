//! What was sent and what was acknowledged, so that a later run can hold the server to it.
//!
//! Records of 17 octets: a letter, the token's number, its version. Small letters say that a request was sent,
//! capitals that it succeeded: a(dd), m(odify), e(xpire: a modify too), d(elete). A request that was refused is written as x.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Journal(Option<BufWriter<File>>);

impl Journal {
    pub(crate) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let file = path.map(open).transpose()?;
        Ok(Self(file.map(|file| BufWriter::with_capacity(1 << 16, file))))
    }

    pub(crate) fn note(&mut self, letter: u8, seq: u64, version: u64) {
        let Some(file) = &mut self.0 else { return };
        let mut record = [letter; 17];
        record[1..9].copy_from_slice(&seq.to_le_bytes());
        record[9..].copy_from_slice(&version.to_le_bytes());
        // A journal that cannot be written is found out by the flush at the end of the phase.
        let _ = file.write_all(&record);
    }

    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// What may be true of a token.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// The version last acknowledged; none before the add was.
    pub(crate) acknowledged: Option<u64>,
    /// A version that was sent and never answered.
    pub(crate) sent: Option<u64>,
    /// Whether it may be absent.
    pub(crate) absent: bool,
    /// Whether it may be there.
    pub(crate) present: bool,
    /// Whether it is the expiry worker's prey.
    pub(crate) expired: bool,
}

impl Known {
    /// Whether a token that is there with this version is as it should be.
    pub(crate) fn allows(&self, version: u64) -> bool {
        self.present && (self.acknowledged == Some(version) || self.sent == Some(version))
    }
}

/// Reads a journal; an unfinished record at its end is left out.
pub(crate) fn read(path: &Path) -> std::io::Result<HashMap<u64, Known>> {
    let mut known: HashMap<u64, Known> = HashMap::new();
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut record = [0; 17];
    while file.read_exact(&mut record).is_ok() {
        let number = |octets: &[u8]| octets.iter().rev().fold(0, |sum, octet| (sum << 8) | u64::from(*octet));
        let (seq, version) = (number(&record[1..9]), number(&record[9..]));
        let token = known.entry(seq).or_insert(Known { absent: true, ..Known::default() });
        match record[0] {
            b'a' => *token = Known { sent: Some(version), absent: true, present: true, ..Known::default() },
            b'm' | b'e' => token.sent = Some(version),
            b'A' | b'M' | b'E' => {
                let expired = record[0] == b'E';
                *token = Known { acknowledged: Some(version), present: true, expired, ..Known::default() };
            }
            b'd' => token.absent = true,
            b'D' => *token = Known { absent: true, ..Known::default() },
            // Refused: as it was before.
            _ => {
                token.sent = None;
                token.absent = token.acknowledged.is_none();
                token.present = token.acknowledged.is_some();
            }
        }
    }
    Ok(known)
}
