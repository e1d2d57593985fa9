//! The base set of configuration entries, and LDIF records in and out.

use super::tree::ConfigEntry;
use crate::ldif::{LdifChange, LdifReader, LdifWriter};

/// The entries a new instance starts with. Words between `@` signs are filled in by the set-up.
pub(super) const BASE: &str = include_str!("base.ldif");

/// The CTS index set (features.md §4.2): ordering for the times that reapers range over, equality for the rest.
pub(super) const CTS_INDEXES: &[(&str, &[&str])] = &[
    ("coreTokenExpirationDate", &["ordering"]),
    ("coreTokenDate01", &["ordering"]),
    ("coreTokenDate02", &["ordering"]),
    ("coreTokenDate03", &["equality"]),
    ("coreTokenDate04", &["equality"]),
    ("coreTokenDate05", &["equality"]),
    ("coreTokenUserId", &["equality"]),
    ("etag", &["equality"]),
    ("coreTokenString01", &["equality"]),
    ("coreTokenString02", &["equality"]),
    ("coreTokenString03", &["equality"]),
    ("coreTokenString08", &["equality"]),
    ("coreTokenString09", &["equality"]),
    ("coreTokenString10", &["equality"]),
    ("coreTokenString14", &["equality"]),
    ("coreTokenString15", &["equality"]),
    ("coreTokenInteger01", &["equality"]),
    ("coreTokenInteger02", &["equality"]),
    ("coreTokenInteger03", &["equality"]),
    ("coreTokenInteger04", &["equality"]),
    ("coreTokenInteger05", &["equality"]),
    ("coreTokenInteger06", &["equality"]),
    ("coreTokenInteger07", &["equality"]),
    ("coreTokenInteger08", &["equality"]),
    ("coreTokenInteger09", &["equality"]),
    ("coreTokenInteger10", &["equality"]),
    ("coreTokenMultiString01", &["equality"]),
    ("coreTokenMultiString02", &["equality"]),
    ("coreTokenMultiString03", &["equality"]),
];

/// A DN and attributes, as a record gives them.
type Record = (String, Vec<(String, Vec<Vec<u8>>)>);

/// Reads LDIF content records; the error names the line.
pub(super) fn read_records(text: &str) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    for record in LdifReader::new(text.as_bytes()) {
        let record = record.map_err(|error| error.to_string())?;
        let LdifChange::Entry(attributes) = record.change else {
            return Err(format!("line {}: there are entries here, not changes", record.line));
        };
        let attributes = attributes.into_iter().map(|attribute| (attribute.description, attribute.values));
        records.push((record.dn, attributes.collect()));
    }
    Ok(records)
}

/// Writes one record and the empty line after it. Lines are not folded: people read and edit this file.
pub(super) fn write_record(entry: &ConfigEntry, out: &mut Vec<u8>) {
    let attributes = entry.attributes().iter();
    let fields =
        attributes.flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_slice())));
    // Writing to memory does not fail.
    let _ = LdifWriter::new(out).entry(entry.dn(), fields);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_writing_and_reading() {
        let entry = ConfigEntry::new(
            "cn=Ä,cn=config",
            vec![
                ("cn".into(), vec![" leading".into(), "trailing ".into(), ":colon".into(), "plain".into()]),
                ("userPassword".into(), vec![vec![0, 255, 10]]),
                ("description".into(), vec!["two\nlines".into(), "".into(), "#hash".into()]),
            ],
        );
        let mut text = Vec::new();
        write_record(&entry, &mut text);
        let text = String::from_utf8(text).unwrap();
        let records = read_records(&text).unwrap();
        let [(dn, attributes)] = records.as_slice() else { panic!("{text}") };
        assert_eq!(ConfigEntry::new(dn.clone(), attributes.clone()), entry);
    }

    #[test]
    fn faults_name_their_line() {
        for text in ["cn: x\n", "dn: cn=x\nnocolon\n", "dn: cn=x\nchangetype: delete\n"] {
            let fault = read_records(text).unwrap_err();
            assert!(fault.contains("line "), "{fault}");
        }
    }
}
