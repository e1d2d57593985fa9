//! LDIF texts in pieces of whole records.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

use super::TransferError;
use super::template::Generator;

/// Octets of a piece, about. No more than 65,536 entries fit in one, even the shortest.
pub(super) const PIECE: usize = 512 << 10;

/// Whole records of one text.
#[derive(Debug)]
pub(super) struct Text {
    /// What it is from.
    pub(super) source: Arc<str>,
    /// Number of its first line.
    pub(super) line: u64,
    pub(super) bytes: Vec<u8>,
}

/// Counts what is read.
struct Counting {
    file: File,
    octets: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(room)?;
        self.octets.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Octets read so far, and of all files; of what is generated, entries.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    pub(super) done: Arc<AtomicU64>,
    pub(super) total: u64,
}

/// Texts one after another.
pub(super) struct Texts {
    files: std::vec::IntoIter<PathBuf>,
    is_compressed: bool,
    generator: Option<Generator>,
    extent: Extent,
    open: Option<Open>,
}

struct Open {
    path: PathBuf,
    source: Arc<str>,
    reader: Box<dyn Read + Send>,
    /// The start of the next piece.
    rest: Vec<u8>,
    line: u64,
}

/// Where the last whole record ends: behind an empty line.
fn boundary(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    loop {
        let at = bytes.get(..end)?.iter().rposition(|&octet| octet == b'\n')?;
        let before = bytes.get(..at)?;
        let line = before.strip_suffix(b"\r").unwrap_or(before);
        if line.last() == Some(&b'\n') {
            return Some(at + 1);
        }
        end = at;
    }
}

impl Texts {
    /// The files, in this order; gzip if it is said or begins so.
    pub(super) fn of_files(files: Vec<PathBuf>, is_compressed: bool) -> Result<Self, TransferError> {
        let mut extent = Extent::default();
        for path in &files {
            extent.total += std::fs::metadata(path).map_err(TransferError::file(path))?.len();
        }
        Ok(Self { files: files.into_iter(), is_compressed, generator: None, extent, open: None })
    }

    /// What a template generates.
    pub(super) fn of_template(generator: Generator) -> Self {
        let extent = Extent { done: Arc::default(), total: generator.entries() };
        let files = Vec::new().into_iter();
        Self { files, is_compressed: false, generator: Some(generator), extent, open: None }
    }

    pub(super) fn extent(&self) -> Extent {
        self.extent.clone()
    }

    fn open(&self, path: &Path) -> Result<Open, TransferError> {
        let failed = || TransferError::file(path);
        let mut file = File::open(path).map_err(failed())?;
        let mut magic = [0; 2];
        let is_gzip = self.is_compressed || {
            let count = file.read(&mut magic).map_err(failed())?;
            io::Seek::rewind(&mut file).map_err(failed())?;
            count == 2 && magic == [0x1f, 0x8b]
        };
        let counting = Counting { file, octets: Arc::clone(&self.extent.done) };
        let reader: Box<dyn Read + Send> =
            if is_gzip { Box::new(MultiGzDecoder::new(counting)) } else { Box::new(counting) };
        let source: Arc<str> = path.display().to_string().into();
        Ok(Open { path: path.to_owned(), source, reader, rest: Vec::new(), line: 1 })
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Text>, TransferError> {
        if let Some(generator) = &mut self.generator {
            let mut bytes = Vec::with_capacity(PIECE + PIECE / 8);
            while bytes.len() < PIECE && generator.next(&mut bytes)? {
                self.extent.done.fetch_add(1, Ordering::Relaxed);
            }
            return Ok((!bytes.is_empty()).then(|| Text { source: "the template".into(), line: 1, bytes }));
        }
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                self.open = Some(self.open(&path)?);
            }
            let Some(open) = &mut self.open else { return Ok(None) };
            let piece = open.next().map_err(TransferError::file(&open.path))?;
            match piece {
                Some((line, bytes)) => {
                    return Ok(Some(Text { source: Arc::clone(&open.source), line, bytes }));
                }
                None => self.open = None,
            }
        }
    }
}

impl Open {
    fn next(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.reserve((PIECE + PIECE / 8).saturating_sub(bytes.len()));
        loop {
            let wanted = if bytes.len() < PIECE { PIECE - bytes.len() } else { PIECE };
            let count = (&mut self.reader).take(wanted as u64).read_to_end(&mut bytes)?;
            let is_end = count < wanted;
            let cut = if is_end { Some(bytes.len()) } else { boundary(&bytes) };
            let Some(cut) = cut else { continue };
            self.rest = bytes.split_off(cut);
            if bytes.is_empty() {
                return Ok(None);
            }
            let line = self.line;
            self.line += bytes.iter().filter(|&&octet| octet == b'\n').count() as u64;
            return Ok(Some((line, bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_behind_empty_lines() {
        assert_eq!(boundary(b"a: b\n"), None);
        assert_eq!(boundary(b"a: b\n\n"), Some(6));
        assert_eq!(boundary(b"a: b\n\nc: d\n e"), Some(6));
        assert_eq!(boundary(b"a: b\r\n\r\nc: d\r\n"), Some(8));
        assert_eq!(boundary(b"a\n\nb\n\nc"), Some(6));
    }

    #[test]
    fn pieces_are_whole_records_with_their_lines() {
        let home = tempfile::tempdir().unwrap();
        let mut text = Vec::new();
        for number in 0..3000 {
            let value = "x".repeat(number % 900);
            text.extend_from_slice(
                format!("dn: cn={number}\ncn: {number}\ndescription: {value}\n\n").as_bytes(),
            );
        }
        let path = home.path().join("a.ldif");
        std::fs::write(&path, &text).unwrap();
        let packed = home.path().join("b.ldif");
        let mut gzip =
            flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &text).unwrap();
        gzip.finish().unwrap();
        let mut texts = Texts::of_files(vec![path, packed], false).unwrap();
        let mut all = Vec::new();
        let mut pieces = 0;
        while let Some(piece) = texts.next().unwrap() {
            assert!(piece.bytes.starts_with(b"dn: ") && piece.bytes.ends_with(b"\n\n"));
            let before = all.len() % text.len();
            let lines = text[..before].iter().filter(|&&octet| octet == b'\n').count() as u64;
            assert_eq!(piece.line, lines + 1);
            all.extend_from_slice(&piece.bytes);
            pieces += 1;
        }
        assert!(pieces > 4 && all == [&text[..], &text].concat());
        let extent = texts.extent();
        assert_eq!(extent.done.load(Ordering::Relaxed), extent.total);
    }
}
