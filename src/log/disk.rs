//! The disk as the log sees it, and the real one.

pub mod directory;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::format::BLOCK;
use super::group::AlignedBuffer;

/// A directory of log files.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The files' names and lengths, in no order.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a file of zeros whose blocks are really allocated and written. When it returns, file and name are
    /// durable; when it fails or the machine dies, no file of that name is seen. An older one is replaced.
    fn create_zeroed(&self, name: &str, len: u64) -> io::Result<()>;

    /// Opens an existing file.
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file a second name; durable after [`Disk::sync_dir`]. [`io::ErrorKind::Unsupported`] where that cannot be.
    fn link(&self, _name: &str, _other: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Removes a file; durable after [`Disk::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Octets that can still be had; none if that is not known.
    fn free(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// A number that no earlier use of any segment had, and that no client can foresee; never 0.
    fn fresh_epoch(&self) -> io::Result<u32>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading.
    Read,
    /// For reading and writing; a write is durable after [`DiskFile::sync`].
    Write,
    /// For writing; a write is durable when it returns.
    WriteDurable,
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to the length of the buffer; fewer octets mean the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all octets. For [`OpenMode::WriteDurable`] the offset and length are multiples of 4096, and so is the
    /// bytes' address if they are to go around the page cache.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes all writes so far durable.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the operating system.
///
/// Durable writes go around the page cache (`O_DIRECT | O_DSYNC`): no copy, and one request to the device that
/// carries data and flush. Where that is refused (some file systems), a write is followed by fdatasync.
#[derive(Debug)]
pub struct OsDisk {
    directory: PathBuf,
    direct: Arc<AtomicBool>,
    /// Files are made with zeros written into them, not only with room for them.
    fills: bool,
}

/// `O_DSYNC`. The constant of rustix's raw backend is `O_SYNC`, which would also write the file's times at each
/// commit.
const DSYNC: u32 = 0o10_000;
const ZEROS: usize = 1 << 20;

impl OsDisk {
    /// As [`OsDisk::new`], but the directory is made, with those above it and for the owner alone, if it is not there.
    pub fn create(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self::new(directory))
    }

    /// The directory must exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), direct: Arc::new(AtomicBool::new(true)), fills: true }
    }

    /// As [`OsDisk::create`], for writing much at once: a new file has room for its zeros, but they are not written, as
    /// something else is soon.
    pub fn unfilled(directory: impl Into<PathBuf>) -> io::Result<Self> {
        Ok(Self { fills: false, ..Self::create(directory)? })
    }

    /// As [`OsDisk::new`], but all writes go through the page cache and are followed by fdatasync.
    pub fn buffered(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), direct: Arc::new(AtomicBool::new(false)), fills: true }
    }

    /// Whether durable writes go around the page cache; known after the first one.
    pub fn is_direct(&self) -> bool {
        self.direct.load(Ordering::Relaxed)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn fill(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // Not every file system can; the writes below allocate as well.
        let allocated = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len);
        if let Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) = allocated {
            return Err(error.into());
        }
        if !self.fills {
            file.set_len(len)?;
            return file.sync_all();
        }
        let zeros = vec![0; ZEROS];
        let mut buffer = AlignedBuffer::default();
        let chunk = buffer.blocks(&[&zeros]).unwrap_or(&zeros);
        let writer = OsFile::open(path, OpenMode::Write, Arc::clone(&self.direct), true)?;
        let mut offset = 0;
        while offset < len {
            let length = usize::try_from(len - offset).unwrap_or(usize::MAX).min(chunk.len());
            writer.write_at(chunk.get(..length).unwrap_or_default(), offset)?;
            offset += length as u64;
        }
        file.sync_all()
    }
}

impl Disk for OsDisk {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for item in std::fs::read_dir(&self.directory)? {
            let item = item?;
            let metadata = item.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), item.file_name().into_string()) {
                files.push((name, metadata.len()));
            }
        }
        Ok(files)
    }

    fn create_zeroed(&self, name: &str, len: u64) -> io::Result<()> {
        let unfinished = self.path(&format!("{name}.tmp"));
        let made = self.fill(&unfinished, len).and_then(|()| std::fs::rename(&unfinished, self.path(name)));
        if made.is_err() {
            // Best effort: what stays is overwritten by the next attempt.
            let _ = std::fs::remove_file(&unfinished);
        }
        made?;
        self.sync_dir()
    }

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let direct = mode == OpenMode::WriteDurable;
        Ok(Arc::new(OsFile::open(&self.path(name), mode, Arc::clone(&self.direct), direct)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn link(&self, name: &str, other: &str) -> io::Result<()> {
        std::fs::hard_link(self.path(name), self.path(other))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn free(&self) -> io::Result<Option<u64>> {
        let stat = rustix::fs::statvfs(&self.directory)?;
        Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
    }

    fn fresh_epoch(&self) -> io::Result<u32> {
        let mut octets = [0; 4];
        getrandom::fill(&mut octets).map_err(io::Error::other)?;
        Ok(u32::from_be_bytes(octets).max(1))
    }
}

#[derive(Debug)]
struct OsFile {
    path: PathBuf,
    mode: OpenMode,
    /// Goes around the page cache, if that was granted.
    direct: Option<File>,
    /// Goes through the page cache; opened when needed.
    buffered: OnceLock<File>,
    /// Whether this disk still tries direct writes.
    granted: Arc<AtomicBool>,
}

impl OsFile {
    fn open(path: &Path, mode: OpenMode, granted: Arc<AtomicBool>, direct: bool) -> io::Result<Self> {
        let durable = if mode == OpenMode::WriteDurable { DSYNC } else { 0 };
        let mut direct_file = None;
        if direct && granted.load(Ordering::Relaxed) {
            let flags = i32::try_from(OFlags::DIRECT.bits() | durable).unwrap_or_default();
            match OpenOptions::new().write(true).custom_flags(flags).open(path) {
                Ok(file) => direct_file = Some(file),
                Err(error) if is_refusal(&error) => granted.store(false, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        let file =
            Self { path: path.to_owned(), mode, direct: direct_file, buffered: OnceLock::new(), granted };
        if file.direct.is_none() {
            file.buffered()?;
        }
        Ok(file)
    }

    fn buffered(&self) -> io::Result<&File> {
        if let Some(file) = self.buffered.get() {
            return Ok(file);
        }
        let file = OpenOptions::new().read(true).write(self.mode != OpenMode::Read).open(&self.path)?;
        Ok(self.buffered.get_or_init(|| file))
    }
}

/// Whether the platform or file system just does not do direct writes, or not so aligned.
fn is_refusal(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let file = self.buffered()?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(direct) = self.direct.as_ref().filter(|_| self.granted.load(Ordering::Relaxed)) {
            match direct.write_all_at(bytes, offset) {
                // Writing the same bytes again the other way is sound: nothing was promised yet.
                Err(error) if is_refusal(&error) => self.granted.store(false, Ordering::Relaxed),
                written => return written,
            }
        }
        let file = self.buffered()?;
        file.write_all_at(bytes, offset)?;
        if self.mode == OpenMode::WriteDurable { file.sync_data() } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        match (&self.direct, self.buffered.get()) {
            (_, Some(file)) | (Some(file), None) => file.sync_data(),
            (None, None) => Ok(()),
        }
    }
}

const _: () = assert!(ZEROS.is_multiple_of(BLOCK));
