//! The manifest of an archive: text, one fact a line, hashed and, if that was asked for, signed.
//!
//! Values are escaped as in URLs. Unknown lines and another format version are refused: what a manifest says must be
//! understood wholly before anything is replaced by it.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::BackupError;
use super::key::BackupKey;
use super::stored::Sum;
use crate::changelog::Ruv;

const HEAD: &str = "ctsd-backup-manifest: 1\n";
const HASH: &str = "hash: ";
const SIGNATURE: &str = "signature: ";

/// Where the replica stood whose data a backup holds (replication.md §13.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The identity of the data set.
    pub dataset_id: [u8; 16],
    /// What had been applied.
    pub ruv: Ruv,
    /// The log sequence of the last change.
    pub position: u64,
    /// The purge delay at the time, in milliseconds.
    pub purge_delay_ms: u64,
    /// The base DNs of the data.
    pub base_dns: Vec<String>,
}

/// Which log segment a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentMark {
    pub(super) number: u32,
    pub(super) epoch: u32,
    pub(super) first_sequence: u64,
    /// Octets of the file when it is restored; what is not in the archive is zeros.
    pub(super) size: u64,
    /// Another segment follows: it never changes again.
    pub(super) is_sealed: bool,
}

/// One file that a backup restores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileMark {
    /// The backup whose archive holds it.
    pub(super) holder: String,
    /// Its path, in the archive and, from the place that is restored, afterwards.
    pub(super) path: String,
    pub(super) is_packed: bool,
    pub(super) is_sealed: bool,
    pub(super) plain: Sum,
    pub(super) stored: Sum,
    pub(super) segment: Option<SegmentMark>,
}

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The backend.
    pub backend: String,
    /// The backup's id, unique in its directory.
    pub id: String,
    /// When it was begun: the hybrid clock, milliseconds since 1970.
    pub time_ms: u64,
    /// The backup that an incremental one is based on.
    pub base: Option<String>,
    /// New files are compressed.
    pub is_compressed: bool,
    /// The id of the key that new files are encrypted with.
    pub encrypted_by: Option<String>,
    /// Of token data: where the replica stood.
    pub replica: Option<Replica>,
    /// Backups whose archives hold files of this one, with the hashes of their manifests; the base is one of them.
    pub(super) needs: Vec<(String, [u8; 32])>,
    pub(super) files: Vec<FileMark>,
}

/// A manifest's hash and signature, as the catalogue repeats them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) hash: [u8; 32],
    /// The key's id and the signature.
    pub(super) signature: Option<(String, [u8; 32])>,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, octet) in bytes.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, octet| {
        if octet.is_ascii_graphic() && octet != b'%' {
            out.push(char::from(octet));
        } else {
            let _ = write!(out, "%{octet:02x}");
        }
        out
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        if octet == b'%' {
            let (digits, after) = rest.split_first_chunk::<2>()?;
            let [octet] = unhex(std::str::from_utf8(digits).ok()?)?;
            bytes.push(octet);
            rest = after;
        } else {
            bytes.push(octet);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether a path stays within the place it is restored to.
fn is_within(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0')
}

/// Whether a word may be a backup's id, which is part of a directory's name.
pub(super) fn is_id(text: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    (1..=100).contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('.')
}

impl Manifest {
    /// The text, hashed, and signed if there is a key for that.
    pub(super) fn encode(&self, signer: Option<&BackupKey>) -> (String, Seal) {
        let mut text = String::from(HEAD);
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name}: {value}");
        };
        line("backend", &escape(&self.backend));
        line("id", &escape(&self.id));
        line("time-ms", &self.time_ms.to_string());
        line("compressed", if self.is_compressed { "true" } else { "false" });
        line("encrypted-by", self.encrypted_by.as_deref().unwrap_or("none"));
        if let Some(replica) = &self.replica {
            line("dataset-id", &hex(&replica.dataset_id));
            let ruv = replica.ruv.to_string().replace(' ', ",");
            line("ruv", if ruv.is_empty() { "none" } else { &ruv });
            line("coverage", "all");
            line("position", &replica.position.to_string());
            line("purge-delay-ms", &replica.purge_delay_ms.to_string());
            replica.base_dns.iter().for_each(|dn| line("base-dn", &escape(dn)));
        }
        if let Some(base) = &self.base {
            line("base", &escape(base));
        }
        self.needs.iter().for_each(|(id, hash)| line("needs", &format!("{} {}", escape(id), hex(hash))));
        for file in &self.files {
            let mut value = format!(
                "{} {} {} {} {} {} {} {}",
                escape(&file.holder),
                escape(&file.path),
                if file.is_packed { "zstd" } else { "plain" },
                if file.is_sealed { "aes-256-gcm" } else { "clear" },
                file.plain.octets,
                hex(&file.plain.sha256),
                file.stored.octets,
                hex(&file.stored.sha256),
            );
            if let Some(segment) = &file.segment {
                let state = if segment.is_sealed { "sealed" } else { "open" };
                let SegmentMark { number, epoch, first_sequence, size, .. } = segment;
                let _ = write!(value, " segment {number} {epoch} {first_sequence} {size} {state}");
            }
            line("file", &value);
        }
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let _ = writeln!(text, "{HASH}{}", hex(&hash));
        let signature = signer.map(|key| (key.id().to_owned(), key.sign(text.as_bytes())));
        if let Some((id, signature)) = &signature {
            let _ = writeln!(text, "{SIGNATURE}{id} {}", hex(signature));
        }
        (text, Seal { hash, signature })
    }

    /// Reads the text and verifies the hash; a signature is verified if the key is given, which must be the one that made
    /// it. `what` names the backup in errors.
    pub(super) fn decode(
        text: &str,
        key: Option<&BackupKey>,
        what: &str,
    ) -> Result<(Self, Seal), BackupError> {
        let damaged = |why: &str| BackupError::Damaged(format!("the manifest of {what} is damaged: {why}"));
        if let Some(rest) = text.strip_prefix("ctsd-backup-manifest: ")
            && !text.starts_with(HEAD)
        {
            let version = rest.lines().next().unwrap_or_default();
            return Err(BackupError::Refused(format!(
                "{what} has manifest format {version}, this server reads 1"
            )));
        }
        let at = text.rfind("\nhash: ").map(|at| at + 1).ok_or_else(|| damaged("it has no hash"))?;
        let (body, tail) = text.split_at_checked(at).ok_or_else(|| damaged("it has no hash"))?;
        let mut lines = tail.lines();
        let hash = lines.next().and_then(|line| unhex::<32>(line.strip_prefix(HASH)?));
        let hash = hash.ok_or_else(|| damaged("its hash is unreadable"))?;
        if <[u8; 32]>::from(Sha256::digest(body.as_bytes())) != hash {
            return Err(damaged("its hash does not match"));
        }
        let signature = lines
            .next()
            .map(|line| {
                let (id, signature) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
                Some((id.to_owned(), unhex::<32>(signature)?))
            })
            .map(|signature| signature.ok_or_else(|| damaged("its signature is unreadable")))
            .transpose()?;
        if lines.next().is_some() || !text.ends_with('\n') {
            return Err(damaged("something is behind its end"));
        }
        if let (Some((id, signature)), Some(key)) = (&signature, key) {
            if id != key.id() {
                return Err(BackupError::Key(format!(
                    "{what} is signed with key {id}, but the key at hand is {}",
                    key.id()
                )));
            }
            let signed = body.len() + HASH.len() + 65;
            if !key.has_signed(text.as_bytes().get(..signed).unwrap_or_default(), signature) {
                return Err(damaged("its signature does not match"));
            }
        }
        let manifest = Self::parse(body).ok_or_else(|| damaged("a line is not understood"))?;
        Ok((manifest, Seal { hash, signature }))
    }

    fn parse(body: &str) -> Option<Self> {
        let mut lines = body.strip_prefix(HEAD)?.lines().map(|line| line.split_once(": ")).peekable();
        let mut next = |wanted: &str| match lines.peek() {
            Some(Some((name, value))) if *name == wanted => {
                let value = *value;
                lines.next();
                Some(value)
            }
            _ => None,
        };
        let backend = unescape(next("backend")?)?;
        let id = unescape(next("id")?).filter(|id| is_id(id))?;
        let time_ms = next("time-ms")?.parse().ok()?;
        let is_compressed = next("compressed")?.parse().ok()?;
        let encrypted_by = Some(next("encrypted-by")?).filter(|id| *id != "none").map(str::to_owned);
        let mut replica = None;
        if let Some(dataset_id) = next("dataset-id") {
            let dataset_id = unhex(dataset_id)?;
            let ruv = next("ruv")?;
            let ruv = if ruv == "none" { Ruv::new() } else { ruv.replace(',', " ").parse().ok()? };
            (next("coverage")? == "all").then_some(())?;
            let position = next("position")?.parse().ok()?;
            let purge_delay_ms = next("purge-delay-ms")?.parse().ok()?;
            let mut base_dns = Vec::new();
            while let Some(dn) = next("base-dn") {
                base_dns.push(unescape(dn)?);
            }
            replica = Some(Replica { dataset_id, ruv, position, purge_delay_ms, base_dns });
        }
        let base = match next("base") {
            Some(base) => Some(unescape(base).filter(|id| is_id(id))?),
            None => None,
        };
        let mut needs = Vec::new();
        while let Some(value) = next("needs") {
            let (id, hash) = value.split_once(' ')?;
            needs.push((unescape(id).filter(|id| is_id(id))?, unhex(hash)?));
        }
        let mut files = Vec::new();
        while let Some(value) = next("file") {
            files.push(FileMark::parse(value)?);
        }
        let has_holder =
            |file: &FileMark| file.holder == id || needs.iter().any(|(need, _)| *need == file.holder);
        (lines.next().is_none() && files.iter().all(has_holder)).then_some(())?;
        Some(Self { backend, id, time_ms, base, is_compressed, encrypted_by, replica, needs, files })
    }

    /// What a file is, for the encryption that binds it to its place.
    pub(super) fn label(backend: &str, holder: &str, path: &str) -> String {
        format!("{backend}/{holder}/{path}")
    }
}

impl FileMark {
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split(' ');
        let holder = unescape(words.next()?).filter(|id| is_id(id))?;
        let path = unescape(words.next()?).filter(|path| is_within(path))?;
        let is_packed = match words.next()? {
            "zstd" => true,
            "plain" => false,
            _ => return None,
        };
        let is_sealed = match words.next()? {
            "aes-256-gcm" => true,
            "clear" => false,
            _ => return None,
        };
        let mut sum = || Some(Sum { octets: words.next()?.parse().ok()?, sha256: unhex(words.next()?)? });
        let (plain, stored) = (sum()?, sum()?);
        let segment = match words.next() {
            None => None,
            Some("segment") => Some(SegmentMark {
                number: words.next()?.parse().ok()?,
                epoch: words.next()?.parse().ok()?,
                first_sequence: words.next()?.parse().ok()?,
                size: words.next()?.parse().ok()?,
                is_sealed: match words.next()? {
                    "sealed" => true,
                    "open" => false,
                    _ => return None,
                },
            }),
            Some(_) => return None,
        };
        words.next().is_none().then_some(())?;
        Some(Self { holder, path, is_packed, is_sealed, plain, stored, segment })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::changelog::Csn;

    fn sum() -> impl Strategy<Value = Sum> {
        (any::<u64>(), any::<[u8; 32]>()).prop_map(|(octets, sha256)| Sum { octets, sha256 })
    }

    fn file() -> impl Strategy<Value = FileMark> {
        let segment = (any::<u32>(), any::<u32>(), any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(number, epoch, first_sequence, size, is_sealed)| SegmentMark {
                number,
                epoch,
                first_sequence,
                size,
                is_sealed,
            },
        );
        (
            any::<bool>(),
            "[a-z %ü]{1,9}(/[a-z.]{3})?",
            any::<(bool, bool)>(),
            sum(),
            sum(),
            proptest::option::of(segment),
        )
            .prop_map(|(is_own, path, (is_packed, is_sealed), plain, stored, segment)| FileMark {
                holder: if is_own { "own" } else { "base-1" }.to_owned(),
                path,
                is_packed,
                is_sealed,
                plain,
                stored,
                segment,
            })
    }

    fn manifest() -> impl Strategy<Value = Manifest> {
        let replica = (any::<[u8; 16]>(), any::<[u64; 3]>(), proptest::collection::vec(".{1,20}", 0..3))
            .prop_map(|(dataset_id, [position, purge_delay_ms, oseq], base_dns)| {
                let mut ruv = Ruv::new();
                for replica in 1..=(position % 3) as u16 {
                    let csn = Csn::new(oseq % 1000, 1, replica, 2);
                    ruv.advance(csn.origin().unwrap(), oseq, csn);
                }
                Replica { dataset_id, ruv, position, purge_delay_ms, base_dns }
            });
        (
            any::<u64>(),
            any::<(bool, bool)>(),
            proptest::option::of(replica),
            proptest::collection::vec(file(), 0..5),
        )
            .prop_map(|(time_ms, (is_compressed, is_encrypted), replica, files)| Manifest {
                backend: "userRoot".into(),
                id: "own".into(),
                time_ms,
                base: Some("base-1".into()),
                is_compressed,
                encrypted_by: is_encrypted.then(|| "0123456789abcdef".to_owned()),
                replica,
                needs: vec![("base-1".into(), [7; 32])],
                files,
            })
    }

    proptest! {
        #[test]
        fn it_is_read_back_or_not_at_all(manifest in manifest(), is_signed: bool, flip: u32) {
            let key = BackupKey::random().unwrap();
            let (text, seal) = manifest.encode(is_signed.then_some(&key));
            let read = Manifest::decode(&text, Some(&key), "it").unwrap();
            prop_assert_eq!(&read, &(manifest, seal));
            prop_assert_eq!(&Manifest::decode(&text, None, "it").unwrap(), &read);
            if is_signed {
                let other = BackupKey::random().unwrap();
                prop_assert!(matches!(Manifest::decode(&text, Some(&other), "it"), Err(BackupError::Key(_))));
            }
            let mut bytes = text.clone().into_bytes();
            let bit = flip as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(text) = String::from_utf8(bytes) {
                let changed = Manifest::decode(&text, Some(&key), "it");
                // Only the case of hexadecimal digits is free.
                prop_assert!(changed.is_err() || changed.unwrap() == read);
            }
        }
    }

    #[test]
    fn what_leads_out_of_its_place_is_refused() {
        for path in ["../x", "/x", "a/../b", "a//b", ".", ""] {
            assert!(!is_within(path), "{path}");
        }
        assert!(is_within("log/00000001.seg") && is_within("a..b"));
        for id in ["", ".x", "a/b", "a b"] {
            assert!(!is_id(id), "{id}");
        }
        assert!(is_id("20260101000000Z"));
    }

    #[test]
    fn another_format_is_named() {
        let refusal = Manifest::decode("ctsd-backup-manifest: 2\n", None, "backup x").unwrap_err();
        assert_eq!(refusal.to_string(), "backup x has manifest format 2, this server reads 1");
    }
}
