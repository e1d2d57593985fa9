//! One file of an archive: writing it packed, encrypted and hashed, and reading it back. Bounded memory both ways.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::frame::{Opener, Sealer};
use super::key::BackupKey;
use super::{BackupError, Progress};

/// Octets copied at a time.
const PIECE: usize = 256 << 10;
/// Octets written between syncs: the system must not gather so much that the log's own writes wait behind it.
const SYNC_STEP: u64 = 8 << 20;
/// Speed before ratio: tokens hardly compress when OpenAM encrypts them.
const LEVEL: i32 = 1;

/// Octets and hash of what went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) octets: u64,
    pub(super) sha256: [u8; 32],
}

/// Counts and hashes.
#[derive(Default)]
pub(super) struct Summing {
    octets: u64,
    hash: Sha256,
}

impl Summing {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.octets += bytes.len() as u64;
        self.hash.update(bytes);
    }

    pub(super) fn end(self) -> Sum {
        Sum { octets: self.octets, sha256: self.hash.finalize().into() }
    }
}

/// A new file for the owner alone, synced as it grows.
struct Output {
    file: File,
    sum: Summing,
    synced: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sum.add(bytes);
        if self.sum.octets - self.synced >= SYNC_STEP {
            self.file.sync_data()?;
            self.synced = self.sum.octets;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Sealing {
    Off(Output),
    On(Sealer<Output>),
}

impl Write for Sealing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Off(output) => output.write(bytes),
            Self::On(sealer) => sealer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Packing {
    Off(Sealing),
    On(zstd::stream::write::Encoder<'static, Sealing>),
}

/// Copies what a reader gives into a new file of an archive; gives back what was read and what was written. `label` binds
/// encrypted files to their place. Durable on return but for its name.
pub(super) fn write(
    path: &Path,
    from: &mut dyn Read,
    is_packed: bool,
    seal: Option<(&BackupKey, &str)>,
    step: &mut dyn FnMut(u64) -> bool,
) -> Result<(Sum, Sum), BackupError> {
    let failed = || BackupError::io("write", path);
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed())?;
    let output = Output { file, sum: Summing::default(), synced: 0 };
    let sealing = match seal {
        Some((key, label)) => Sealing::On(Sealer::new(output, key, label).map_err(failed())?),
        None => Sealing::Off(output),
    };
    let mut packing = if is_packed {
        let mut encoder = zstd::stream::write::Encoder::new(sealing, LEVEL).map_err(failed())?;
        encoder.include_checksum(true).map_err(failed())?;
        Packing::On(encoder)
    } else {
        Packing::Off(sealing)
    };
    let mut plain = Summing::default();
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).map_err(BackupError::io("read what goes into", path))?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        plain.add(bytes);
        match &mut packing {
            Packing::Off(sealing) => sealing.write_all(bytes),
            Packing::On(encoder) => encoder.write_all(bytes),
        }
        .map_err(failed())?;
        if !step(count as u64) {
            return Err(BackupError::Cancelled);
        }
    }
    let sealing = match packing {
        Packing::Off(sealing) => sealing,
        Packing::On(encoder) => encoder.finish().map_err(failed())?,
    };
    let output = match sealing {
        Sealing::Off(output) => output,
        Sealing::On(sealer) => sealer.finish().map_err(failed())?,
    };
    output.file.sync_all().map_err(failed())?;
    Ok((plain.end(), output.sum.end()))
}

/// Hashes what is read.
struct Input<'a> {
    file: File,
    sum: &'a mut Summing,
}

impl Read for Input<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(room)?;
        self.sum.add(room.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Reads a file of an archive and gives its plain octets to `take`, which is not told before how much there is; gives back
/// what came out and what was read. Nothing is verified here but what decryption and decompression verify.
pub(super) fn read(
    path: &Path,
    is_packed: bool,
    seal: Option<(&BackupKey, &str)>,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Sum, Sum)> {
    let mut stored = Summing::default();
    let mut plain = Summing::default();
    let input = BufReader::with_capacity(PIECE, Input { file: File::open(path)?, sum: &mut stored });
    let opened: Box<dyn Read + '_> = match seal {
        Some((key, label)) => Box::new(Opener::new(input, key, label)?),
        None => Box::new(input),
    };
    let mut unpacked: Box<dyn Read + '_> =
        if is_packed { Box::new(zstd::stream::read::Decoder::new(opened)?) } else { opened };
    let mut piece = vec![0; PIECE];
    loop {
        let count = unpacked.read(&mut piece)?;
        let bytes = piece.get(..count).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        plain.add(bytes);
        take(bytes)?;
    }
    drop(unpacked);
    Ok((plain.end(), stored.end()))
}

/// Octets and hash of a file as it is.
pub(super) fn sum(path: &Path) -> io::Result<Sum> {
    let mut sum = Summing::default();
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok(sum.end());
        }
        sum.add(piece.get(..count).unwrap_or_default());
    }
}

/// Tells progress as octets add up.
pub(super) struct Meter<'a> {
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) progress: Progress<'a>,
}

impl Meter<'_> {
    /// Counts on; says whether to go on.
    pub(super) fn add(&mut self, octets: u64) -> bool {
        self.done += octets;
        (self.progress)(self.done, self.total.max(self.done))
    }
}
