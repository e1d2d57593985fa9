//! The identity of the data set: 16 random octets in the file `dataset-id`.
//!
//! | offset | octets | content |
//! |---|---|---|
//! | 0 | 8 | `ctsd-set` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 16 | the id |
//! | 28 | 4 | CRC-32C of what is before |

use std::io::ErrorKind;

use super::StoreError;
use crate::log::Disk;
use crate::log::disk::OpenMode;

pub(super) const NAME: &str = "dataset-id";
const NEW_NAME: &str = "dataset-id.new";
const MAGIC: &[u8; 8] = b"ctsd-set";
const VERSION: u32 = 1;
const LENGTH: usize = 32;

/// The id kept on a disk; a new one, durable on return, if there is none.
pub(crate) fn id(disk: &dyn Disk) -> Result<[u8; 16], StoreError> {
    let failed = |what: &str, error: std::io::Error| StoreError::Io(format!("cannot {what} {NAME}: {error}"));
    let file = match disk.open(NAME, OpenMode::Read) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("open", error)),
    };
    if let Some(file) = file {
        let mut bytes = [0; LENGTH];
        file.read_at(&mut bytes, 0).map_err(|error| failed("read", error))?;
        return decode(&bytes)
            .ok_or_else(|| StoreError::Corrupt(format!("{NAME} is damaged or of another version")));
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| StoreError::Io(format!("no random numbers: {error}")))?;
    disk.create_zeroed(NEW_NAME, LENGTH as u64).map_err(|error| failed("make", error))?;
    let file = disk.open(NEW_NAME, OpenMode::Write).map_err(|error| failed("open", error))?;
    file.write_at(&encode(id), 0).map_err(|error| failed("write", error))?;
    file.sync().map_err(|error| failed("sync", error))?;
    disk.rename(NEW_NAME, NAME).map_err(|error| failed("rename", error))?;
    disk.sync_dir().map_err(|error| failed("sync", error))?;
    Ok(id)
}

pub(super) fn encode(id: [u8; 16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH]) -> Option<[u8; 16]> {
    let id = bytes.get(12..28)?.first_chunk().copied()?;
    (encode(id) == bytes).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::fault::MemDisk;

    #[test]
    fn it_stays_once_it_is_made() {
        let disk = MemDisk::new();
        let first = id(&disk).unwrap();
        assert_eq!(id(&disk).unwrap(), first);
        disk.scribble(NAME, 13, b"x");
        assert!(matches!(id(&disk), Err(StoreError::Corrupt(_))));
    }
}
