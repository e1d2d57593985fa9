//! Encrypted files: a header, then chunks of AES-256-GCM, each with its number and whether it is the last in its nonce.
//!
//! | octets | content |
//! |---|---|
//! | 8 | `ctsd-enc` |
//! | 4 | format version, 1 |
//! | 8 | the key's id |
//! | 32 | random salt: the file's own key is derived from the instance's key with it |
//! | | chunks of 65536 octets and 16 of tag; the last one is shorter, or as long |
//!
//! The nonce is 1 octet (1 in the last chunk, else 0), 3 zeros, the chunk's number from 0. The header and a label, which says
//! what the file is in which backup, are authenticated with each chunk: chunks cannot be cut off, moved or taken from
//! another file.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::key::BackupKey;
use super::manifest::{hex, unhex};

const MAGIC: &[u8; 8] = b"ctsd-enc";
const VERSION: u32 = 1;
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
const HEADER: usize = 52;

struct Cipher {
    key: LessSafeKey,
    /// Header and label.
    context: Vec<u8>,
    next: u64,
}

fn failed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl Cipher {
    fn new(key: &BackupKey, header: &[u8], salt: &[u8], label: &str) -> io::Result<Self> {
        let secret = key.derive(b"ctsd backup encryption", salt);
        let key = UnboundKey::new(&AES_256_GCM, &*secret).map_err(|_| failed("the key is not usable"))?;
        let context = [header, label.as_bytes()].concat();
        Ok(Self { key: LessSafeKey::new(key), context, next: 0 })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        let (head, number) = nonce.split_at_mut(4);
        if let Some(flag) = head.first_mut() {
            *flag = u8::from(is_last);
        }
        number.copy_from_slice(&self.next.to_be_bytes());
        self.next += 1;
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(&self.context), chunk)
            .map_err(|_| failed("the encryption failed"))
    }

    fn open(&mut self, chunk: &mut Vec<u8>, is_last: bool) -> io::Result<()> {
        let nonce = self.nonce(is_last);
        let opened = self.key.open_in_place(nonce, Aad::from(&self.context), chunk);
        let length = opened.map_err(|_| failed("the encrypted data is damaged, or of another file"))?.len();
        chunk.truncate(length);
        Ok(())
    }
}

/// Encrypts what is written. [`Sealer::finish`] must be called: what lacks the last chunk is damaged.
pub(super) struct Sealer<W> {
    inner: W,
    cipher: Cipher,
    chunk: Vec<u8>,
}

impl<W: Write> Sealer<W> {
    pub(super) fn new(mut inner: W, key: &BackupKey, label: &str) -> io::Result<Self> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let id = unhex::<8>(key.id()).unwrap_or_default();
        let header = [&MAGIC[..], &VERSION.to_be_bytes(), &id, &salt].concat();
        inner.write_all(&header)?;
        let cipher = Cipher::new(key, &header, &salt, label)?;
        Ok(Self { inner, cipher, chunk: Vec::with_capacity(CHUNK + TAG) })
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.end_chunk(true)?;
        Ok(self.inner)
    }

    fn end_chunk(&mut self, is_last: bool) -> io::Result<()> {
        self.cipher.seal(&mut self.chunk, is_last)?;
        self.inner.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until it is known not to be the last.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.end_chunk(false)?;
        }
        let room = CHUNK - self.chunk.len();
        let part = bytes.get(..room).unwrap_or(bytes);
        self.chunk.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts what it reads; nothing that was not verified comes out, and an end that is not the end is an error.
pub(super) struct Opener<R> {
    inner: R,
    cipher: Cipher,
    /// Decrypted, and how much of it was given out.
    chunk: Vec<u8>,
    given: usize,
    /// The next chunk as it was read.
    ahead: Vec<u8>,
}

impl<R: Read> Opener<R> {
    pub(super) fn new(mut inner: R, key: &BackupKey, label: &str) -> io::Result<Self> {
        let mut header = [0; HEADER];
        inner.read_exact(&mut header)?;
        let rest = header.strip_prefix(&[&MAGIC[..], &VERSION.to_be_bytes()].concat()[..]);
        let (id, salt) = rest
            .and_then(|rest| rest.split_first_chunk::<8>())
            .ok_or_else(|| failed("it is not encrypted, or in another format"))?;
        if hex(id) != key.id() {
            return Err(failed("it is encrypted with another key"));
        }
        let cipher = Cipher::new(key, &header, salt, label)?;
        let ahead = read_chunk(&mut inner)?;
        Ok(Self { inner, cipher, chunk: Vec::new(), given: 0, ahead })
    }
}

fn read_chunk(inner: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK + TAG);
    inner.by_ref().take((CHUNK + TAG) as u64).read_to_end(&mut chunk)?;
    Ok(chunk)
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() {
            if self.ahead.is_empty() {
                return Ok(0);
            }
            let next = read_chunk(&mut self.inner)?;
            self.chunk = std::mem::replace(&mut self.ahead, next);
            self.given = 0;
            if let Err(error) = self.cipher.open(&mut self.chunk, self.ahead.is_empty()) {
                self.chunk.clear();
                return Err(error);
            }
        }
        let left = self.chunk.get(self.given..).unwrap_or_default();
        let count = left.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(key: &BackupKey, label: &str, plain: &[u8], step: usize) -> Vec<u8> {
        let mut sealer = Sealer::new(Vec::new(), key, label).unwrap();
        plain.chunks(step).for_each(|part| sealer.write_all(part).unwrap());
        sealer.finish().unwrap()
    }

    fn opened(key: &BackupKey, label: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Opener::new(bytes, key, label)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn lengths_about_the_chunk_come_back() {
        let key = BackupKey::random().unwrap();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7] {
            let plain: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let bytes = sealed(&key, "x", &plain, 10_000);
            assert_eq!(bytes.len(), HEADER + length + TAG * length.div_ceil(CHUNK).max(1));
            assert_eq!(opened(&key, "x", &bytes).unwrap(), plain);
            // A whole number of chunks cut off leaves what looks like chunks, but none is the last.
            if length > CHUNK {
                assert!(opened(&key, "x", &bytes[..HEADER + CHUNK + TAG]).is_err());
                let mut swapped = bytes[..HEADER].to_vec();
                swapped.extend_from_slice(&bytes[HEADER + CHUNK + TAG..]);
                assert!(opened(&key, "x", &swapped).is_err());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_comes_back_whole_or_not_at_all(
            plain in proptest::collection::vec(any::<u8>(), 0..150_000), step in 1_usize..70_000,
            flip: u32, cut: u32,
        ) {
            let key = BackupKey::random().unwrap();
            let bytes = sealed(&key, "a/b", &plain, step);
            prop_assert_eq!(opened(&key, "a/b", &bytes).unwrap(), plain);
            prop_assert!(opened(&key, "a/c", &bytes).is_err());
            prop_assert!(opened(&BackupKey::random().unwrap(), "a/b", &bytes).is_err());
            let mut flipped = bytes.clone();
            let bit = flip as usize % (bytes.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(opened(&key, "a/b", &flipped).is_err());
            prop_assert!(opened(&key, "a/b", &bytes[..cut as usize % bytes.len()]).is_err());
        }
    }
}
