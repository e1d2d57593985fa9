//! The key with which an instance signs and encrypts its backups.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::BackupError;
use super::manifest::{hex, unhex};

const HEAD: &str = "ctsd-backup-key 1 ";

/// A secret of 32 octets, in a file of mode 0600. What is signed and what is encrypted has keys of its own, derived from it.
pub struct BackupKey {
    secret: Zeroizing<[u8; 32]>,
    id: String,
}

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BackupKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl BackupKey {
    /// Where an instance keeps its key, from the instance directory.
    pub const FILE: &str = "config/backup.key";

    fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        let digest: [u8; 32] =
            Sha256::new().chain_update(b"ctsd backup key id").chain_update(*secret).finalize().into();
        let id = hex(digest.first_chunk::<8>().map_or(&[], |id| id.as_slice()));
        Self { secret, id }
    }

    /// A new key, in no file.
    pub(super) fn random() -> Result<Self, BackupError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secret)
            .map_err(|error| BackupError::Key(format!("no random numbers: {error}")))?;
        Ok(Self::new(secret))
    }

    /// The key in a file; none if the file is not there.
    pub fn read(path: &Path) -> Result<Option<Self>, BackupError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::io("read", path)(error)),
        };
        let secret = text.strip_prefix(HEAD).and_then(|rest| unhex::<32>(rest.trim_end()));
        let secret =
            secret.ok_or_else(|| BackupError::Key(format!("{} holds no backup key", path.display())))?;
        Ok(Some(Self::new(Zeroizing::new(secret))))
    }

    /// The key in a file; made, durably, if the file is not there.
    pub fn read_or_make(path: &Path) -> Result<Self, BackupError> {
        if let Some(key) = Self::read(path)? {
            return Ok(key);
        }
        let key = Self::random()?;
        let text = Zeroizing::new(format!("{HEAD}{}\n", hex(&*key.secret)));
        let mut options = std::fs::OpenOptions::new();
        // Whoever came first made the key.
        match options.write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
                written.map_err(BackupError::io("write", path))?;
                if let Some(folder) = path.parent() {
                    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
                    synced.map_err(BackupError::io("sync the directory of", path))?;
                }
                Ok(key)
            }
            Err(error) => match Self::read(path)? {
                Some(key) if error.kind() == ErrorKind::AlreadyExists => Ok(key),
                _ => Err(BackupError::io("make", path)(error)),
            },
        }
    }

    /// Tells keys apart without giving them away: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A key for one purpose (RFC 5869, expand, one block).
    pub(super) fn derive(&self, purpose: &[u8], salt: &[u8]) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(mac(&*self.secret, &[purpose, &[0], salt, &[1]]))
    }

    /// The signature of some bytes.
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        mac(&*self.derive(b"ctsd backup signature", &[]), &[bytes])
    }

    /// Whether a signature is of these bytes.
    pub(super) fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.sign(bytes).ct_eq(signature).into()
    }
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length; the fallback is never taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup.key");
        assert!(BackupKey::read(&path).unwrap().is_none());
        let key = BackupKey::read_or_make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = BackupKey::read_or_make(&path).unwrap();
        assert_eq!(key.id(), again.id());
        let signature = key.sign(b"text");
        assert!(again.has_signed(b"text", &signature) && !again.has_signed(b"test", &signature));
        assert!(!BackupKey::random().unwrap().has_signed(b"text", &signature));
        assert_ne!(*key.derive(b"a", b"b"), *key.derive(b"a", b"c"));
        assert!(!format!("{key:?}").contains(&hex(&*key.secret)));
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(BackupKey::read(&path), Err(BackupError::Key(_))));
    }
}
