//! The base set of configuration entries, and LDIF records in and out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tree::ConfigEntry;

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

/// Reads LDIF content records (RFC 2849): comments, folded lines, base64 values.
pub(super) fn read_records(text: &str) -> Result<Vec<Record>, String> {
    let mut records: Vec<Record> = Vec::new();
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.strip_prefix(' ') {
            Some(rest) => match lines.last_mut() {
                Some((_, open)) => open.push_str(rest),
                None => return Err(format!("line {}: nothing to continue", number + 1)),
            },
            None => lines.push((number + 1, line.to_owned())),
        }
    }
    let mut current: Option<Record> = None;
    for (number, line) in lines {
        if line.starts_with('#') {
            continue;
        }
        if line.is_empty() {
            records.extend(current.take());
            continue;
        }
        let (name, value) = value_line(&line).map_err(|reason| format!("line {number}: {reason}"))?;
        match &mut current {
            None if name.eq_ignore_ascii_case("version") => {}
            None if name.eq_ignore_ascii_case("dn") => {
                let dn =
                    String::from_utf8(value).map_err(|_| format!("line {number}: the DN is not UTF-8"))?;
                current = Some((dn, Vec::new()));
            }
            None => return Err(format!("line {number}: a record starts with dn:")),
            Some((_, attributes)) => attributes.push((name.to_owned(), vec![value])),
        }
    }
    records.extend(current);
    Ok(records)
}

fn value_line(line: &str) -> Result<(&str, Vec<u8>), String> {
    let (name, rest) = line.split_once(':').ok_or_else(|| "no colon".to_owned())?;
    match rest.strip_prefix(':') {
        Some(encoded) => {
            let value = STANDARD.decode(encoded.trim()).map_err(|_| format!("{name}: not base64"))?;
            Ok((name, value))
        }
        None => Ok((name, rest.trim_start_matches(' ').as_bytes().to_vec())),
    }
}

/// Writes one record and the empty line after it. Lines are not folded: people read and edit this file.
pub(super) fn write_record(entry: &ConfigEntry, out: &mut String) {
    write_value("dn", entry.dn().as_bytes(), out);
    for (name, values) in entry.attributes() {
        for value in values {
            write_value(name, value, out);
        }
    }
    out.push('\n');
}

fn write_value(name: &str, value: &[u8], out: &mut String) {
    out.push_str(name);
    let plain = std::str::from_utf8(value).ok().filter(|text| {
        let starts_well = !text.starts_with([' ', ':', '<']);
        starts_well && !text.ends_with(' ') && text.chars().all(|letter| !letter.is_control())
    });
    match plain {
        Some(text) => {
            out.push_str(": ");
            out.push_str(text);
        }
        None => {
            out.push_str(":: ");
            STANDARD.encode_string(value, out);
        }
    }
    out.push('\n');
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
        let mut text = String::new();
        write_record(&entry, &mut text);
        let records = read_records(&text).unwrap();
        let [(dn, attributes)] = records.as_slice() else { panic!("{text}") };
        assert_eq!(ConfigEntry::new(dn.clone(), attributes.clone()), entry);
    }

    #[test]
    fn comments_folds_and_versions_are_read() {
        let text = "version: 1\n# a\n#  b\n continued comment\ndn: cn=co\n nfig\ncn: config\n\n\n# c\n\ndn:: Y249eA==\ncn: x\n";
        let records = read_records(text).unwrap();
        assert_eq!(records.iter().map(|(dn, _)| dn.as_str()).collect::<Vec<_>>(), ["cn=config", "cn=x"]);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, line) in [("cn: x\n", "line 1"), ("dn: cn=x\nnocolon\n", "line 2"), (" x\n", "line 1")] {
            let fault = read_records(text).unwrap_err();
            assert!(fault.starts_with(line), "{fault}");
        }
    }
}
