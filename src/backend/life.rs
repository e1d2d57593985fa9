//! Which life of the data set this is: the file `life`, beside `dataset-id`. Without it, it is the first.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 8 | `ctsd-lif` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 2 | incarnation |
//! | 14 | 2 | flags: 1 = the data is older than what other replicas still know, and needs to be initialised from one |
//! | 16 | 4 | octets of the text |
//! | 20 | | the state vector as it was when this life began, as text |
//! | | 4 | CRC-32C of what is before |

use std::io::ErrorKind;

use super::StoreError;
use crate::changelog::{Incarnation, Ruv};
use crate::log::Disk;
use crate::log::disk::OpenMode;

const MAGIC: &[u8; 8] = b"ctsd-lif";
const VERSION: u32 = 1;
const NEEDS_INIT: u16 = 1;

/// One life of a data set on this server. A restore begins a new one, so that no change number is given twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Which one.
    pub incarnation: Incarnation,
    /// The data was restored although it is older than the purge delay: other replicas may have forgotten changes that it
    /// lacks, so it must be initialised from one of them before it takes part in replication.
    pub needs_init: bool,
    /// What had been applied when it began.
    pub past: Ruv,
}

impl Default for Life {
    fn default() -> Self {
        Self { incarnation: Incarnation::ONE, needs_init: false, past: Ruv::new() }
    }
}

impl Life {
    /// The file's name in the data's directory.
    pub const FILE: &str = "life";

    /// The file's content.
    pub fn encode(&self) -> Vec<u8> {
        let text = self.past.to_string();
        let mut bytes = Vec::with_capacity(24 + text.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.incarnation.get().to_be_bytes());
        bytes.extend_from_slice(&(if self.needs_init { NEEDS_INIT } else { 0 }).to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }

    /// Reads the file's content.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<20>()?;
        let (_, numbers) = head.split_first_chunk::<12>()?;
        let (incarnation, numbers) = numbers.split_first_chunk()?;
        let (flags, _) = numbers.split_first_chunk()?;
        let text = std::str::from_utf8(rest.get(..rest.len().checked_sub(4)?)?).ok()?;
        let life = Self {
            incarnation: Incarnation::new(u16::from_be_bytes(*incarnation))?,
            needs_init: u16::from_be_bytes(*flags) == NEEDS_INIT,
            past: text.parse().ok()?,
        };
        (life.encode() == bytes).then_some(life)
    }

    /// The life kept on a disk; the first one if the file is not there.
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, StoreError> {
        let name = Self::FILE;
        let failed = |error: std::io::Error| StoreError::Io(format!("cannot read {name}: {error}"));
        let file = match disk.open(name, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = vec![0; 1 << 20];
        let count = file.read_at(&mut bytes, 0).map_err(failed)?;
        bytes.truncate(count);
        let life = Self::decode(&bytes)
            .ok_or_else(|| StoreError::Corrupt(format!("{name} is damaged or of another version")))?;
        if life.needs_init {
            tracing::warn!(
                "the data was restored from a backup older than the purge delay: it needs initialisation"
            );
        }
        Ok(life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changelog::Csn;
    use crate::log::fault::MemDisk;

    #[test]
    fn a_life_is_read_back_or_not_at_all() {
        let csn = Csn::new(77, 1, 3, 1);
        let mut past = Ruv::new();
        past.advance(csn.origin().unwrap(), 9, csn);
        for life in
            [Life::default(), Life { incarnation: Incarnation::new(4).unwrap(), needs_init: true, past }]
        {
            let bytes = life.encode();
            assert_eq!(Life::decode(&bytes), Some(life));
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Life::decode(&bytes), None, "bit {bit}");
            }
            assert_eq!(Life::decode(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Life::read(&MemDisk::new()).unwrap(), Life::default());
    }
}
