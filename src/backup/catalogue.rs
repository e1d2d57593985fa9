//! `backup.info`: the backups in a directory, with the names that OpenDJ gives their properties.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::manifest::{Seal, is_id};
use super::{BackupError, swap, timestamp};

/// The catalogue's file name.
const FILE: &str = "backup.info";

/// One backup as the catalogue lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// When it was begun, milliseconds since 1970, whole seconds.
    pub date_ms: u64,
    /// Whether it needs another one.
    pub is_incremental: bool,
    /// Whether its files are compressed.
    pub is_compressed: bool,
    /// Whether its files are encrypted.
    pub is_encrypted: bool,
    /// The hash of its manifest, if that is not signed.
    pub unsigned_hash: Option<Vec<u8>>,
    /// The signature of its manifest.
    pub signed_hash: Option<Vec<u8>>,
    /// The backups that it is based on.
    pub dependencies: Vec<String>,
    /// Further properties, among them the archive's name and the hash of its manifest.
    pub properties: Vec<(String, String)>,
}

/// The backups of one backend in one directory, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// The DN of the backend's configuration entry, as OpenDJ has it.
    pub backend_dn: String,
    /// The backups.
    pub backups: Vec<Listed>,
}

impl Listed {
    /// A property's value.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Takes hash and signature of a manifest over.
    pub(super) fn seal(&mut self, seal: &Seal) {
        match &seal.signature {
            Some((_, signature)) => self.signed_hash = Some(signature.to_vec()),
            None => self.unsigned_hash = Some(seal.hash.to_vec()),
        }
    }

    /// Whether the catalogue means this manifest.
    pub(super) fn means(&self, seal: &Seal) -> bool {
        match &seal.signature {
            Some((_, signature)) => self.signed_hash.as_deref() == Some(signature),
            None => self.unsigned_hash.as_deref() == Some(&seal.hash),
        }
    }

    /// As `restore --listBackups` prints it, in local time.
    pub fn describe(&self) -> String {
        let date = timestamp(self.date_ms).to_zoned(jiff::tz::TimeZone::system());
        let dependencies =
            if self.dependencies.is_empty() { "none".to_owned() } else { self.dependencies.join(", ") };
        format!(
            "Backup ID:          {}\n\
             Backup Date:        {}\n\
             Is Incremental:     {}\n\
             Is Compressed:      {}\n\
             Is Encrypted:       {}\n\
             Has Unsigned Hash:  {}\n\
             Has Signed Hash:    {}\n\
             Dependent Upon:     {dependencies}\n",
            self.id,
            date.strftime("%d/%b/%Y:%H:%M:%S %z"),
            self.is_incremental,
            self.is_compressed,
            self.is_encrypted,
            self.unsigned_hash.is_some(),
            self.signed_hash.is_some(),
        )
    }
}

impl Catalogue {
    /// An empty one for a backend.
    pub(super) fn new(backend_id: &str) -> Self {
        Self {
            backend_dn: format!("ds-cfg-backend-id={backend_id},cn=Backends,cn=config"),
            backups: Vec::new(),
        }
    }

    /// The catalogue in a directory; none if there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>, BackupError> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(BackupError::io("read", &path)(error)),
        };
        let damaged = || BackupError::Damaged(format!("{} is damaged", path.display()));
        Self::parse(&text).map(Some).ok_or_else(damaged)
    }

    /// The catalogues in a directory and in those directly in it, with where they are. Those that cannot be read are told and
    /// left out.
    pub fn below(root: &Path) -> Result<Vec<(PathBuf, Self)>, BackupError> {
        let mut places = vec![root.to_owned()];
        match std::fs::read_dir(root) {
            Ok(items) => places.extend(items.filter_map(Result::ok).map(|item| item.path())),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(BackupError::io("list", root)(error)),
        }
        places.sort();
        let mut found = Vec::new();
        for place in places {
            match Self::read(&place) {
                Ok(Some(catalogue)) => found.push((place, catalogue)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a backup directory is left out"),
            }
        }
        Ok(found)
    }

    /// Replaces the catalogue in a directory.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BackupError> {
        swap::replace_file(&directory.join(FILE), self.encode().as_bytes())
    }

    /// The id of the backend.
    pub fn backend_id(&self) -> Option<&str> {
        let (name, value) = self.backend_dn.split(',').next()?.split_once('=')?;
        name.eq_ignore_ascii_case("ds-cfg-backend-id").then_some(value)
    }

    /// A backup by its id.
    pub fn find(&self, id: &str) -> Option<&Listed> {
        self.backups.iter().find(|listed| listed.id == id)
    }

    fn encode(&self) -> String {
        let mut text = format!("backend_dn={}\n\n", self.backend_dn);
        for backup in &self.backups {
            let mut line = |name: &str, value: &str| {
                text.push_str(&format!("{name}={}\n", value.replace(['\n', '\r'], " ")));
            };
            let date = super::default_id(backup.date_ms);
            for (name, value) in [
                ("backup_id", backup.id.as_str()),
                ("backup_date", &date),
                ("incremental", flag(backup.is_incremental)),
                ("compressed", flag(backup.is_compressed)),
                ("encrypted", flag(backup.is_encrypted)),
            ] {
                line(name, value);
            }
            for (name, hash) in
                [("unsigned_hash", &backup.unsigned_hash), ("signed_hash", &backup.signed_hash)]
            {
                if let Some(hash) = hash {
                    line(name, &STANDARD.encode(hash));
                }
            }
            backup.dependencies.iter().for_each(|id| line("dependency", id));
            backup.properties.iter().for_each(|(name, value)| line(&format!("property.{name}"), value));
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> Option<Self> {
        let mut blocks =
            text.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty());
        let backend_dn = blocks.next()?.strip_prefix("backend_dn=")?.to_owned();
        let backups = blocks.map(parse_listed).collect::<Option<Vec<_>>>()?;
        Some(Self { backend_dn, backups })
    }
}

const fn flag(is_set: bool) -> &'static str {
    if is_set { "true" } else { "false" }
}

fn parse_listed(block: &str) -> Option<Listed> {
    let mut listed = Listed {
        id: String::new(),
        date_ms: 0,
        is_incremental: false,
        is_compressed: false,
        is_encrypted: false,
        unsigned_hash: None,
        signed_hash: None,
        dependencies: Vec::new(),
        properties: Vec::new(),
    };
    for line in block.lines() {
        let (name, value) = line.split_once('=')?;
        match name {
            "backup_id" => listed.id = value.to_owned(),
            "backup_date" => listed.date_ms = date(value)?,
            "incremental" => listed.is_incremental = value.parse().ok()?,
            "compressed" => listed.is_compressed = value.parse().ok()?,
            "encrypted" => listed.is_encrypted = value.parse().ok()?,
            "unsigned_hash" => listed.unsigned_hash = Some(STANDARD.decode(value).ok()?),
            "signed_hash" => listed.signed_hash = Some(STANDARD.decode(value).ok()?),
            "dependency" => listed.dependencies.push(value.to_owned()),
            _ => listed.properties.push((name.strip_prefix("property.")?.to_owned(), value.to_owned())),
        }
    }
    is_id(&listed.id).then_some(listed)
}

fn date(text: &str) -> Option<u64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    u64::try_from(time.timestamp().as_millisecond()).ok()
}

/// The directory of an archive.
pub(super) fn archive(directory: &Path, backend_id: &str, id: &str) -> PathBuf {
    directory.join(format!("backup-{backend_id}-{id}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listed() -> impl Strategy<Value = Listed> {
        let hash = || proptest::option::of(proptest::collection::vec(any::<u8>(), 32));
        let words = proptest::collection::vec("[a-z0-9]{1,9}", 0..3);
        let properties = proptest::collection::vec(("[a-z.]{1,8}", "[ -~]{0,12}"), 0..3);
        (
            "[A-Za-z0-9][A-Za-z0-9_.-]{0,20}",
            0_u64..4_000_000_000,
            any::<[bool; 3]>(),
            hash(),
            hash(),
            words,
            properties,
        )
            .prop_map(
                |(id, seconds, flags, unsigned_hash, signed_hash, dependencies, properties)| Listed {
                    id,
                    date_ms: seconds * 1000,
                    is_incremental: flags[0],
                    is_compressed: flags[1],
                    is_encrypted: flags[2],
                    unsigned_hash,
                    signed_hash,
                    dependencies,
                    properties,
                },
            )
    }

    proptest! {
        #[test]
        fn it_is_read_back(backups in proptest::collection::vec(listed(), 0..4)) {
            let catalogue = Catalogue { backups, ..Catalogue::new("userRoot") };
            prop_assert_eq!(Catalogue::parse(&catalogue.encode()), Some(catalogue));
        }

        #[test]
        fn anything_is_read_without_a_fault(text in "(backend_dn=[a-z]*\n\n)?([a-z_]{1,14}=?[ -~]{0,20}\n){0,9}") {
            let _ = Catalogue::parse(&text);
        }
    }

    #[test]
    fn a_backup_is_described_as_the_reference_does() {
        let text = "backend_dn=ds-cfg-backend-id=userRoot,cn=Backends,cn=config\n\n\
            backup_id=20260101000000Z\nbackup_date=20260101000000Z\nincremental=false\ncompressed=true\n\
            encrypted=false\nunsigned_hash=AAAA\n\n";
        let catalogue = Catalogue::parse(text).unwrap();
        assert_eq!(catalogue.backend_id(), Some("userRoot"));
        assert_eq!(catalogue.encode(), text);
        let description = catalogue.find("20260101000000Z").unwrap().describe();
        let lines: Vec<&str> = description.lines().filter(|line| !line.contains("Date")).collect();
        assert_eq!(
            lines,
            [
                "Backup ID:          20260101000000Z",
                "Is Incremental:     false",
                "Is Compressed:      true",
                "Is Encrypted:       false",
                "Has Unsigned Hash:  true",
                "Has Signed Hash:    false",
                "Dependent Upon:     none",
            ]
        );
        assert!(description.contains("Backup Date:        "));
    }
}
