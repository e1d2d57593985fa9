//! Text from records.

use std::io::{Result, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{LdifAttribute, LdifChange, LdifControl, LdifRecord};

/// Writes records: base64 where the RFC wants it, lines folded if asked for.
#[derive(Debug)]
pub struct LdifWriter<W> {
    out: W,
    width: Option<usize>,
}

impl<W: Write> LdifWriter<W> {
    /// A writer that does not fold.
    pub fn new(out: W) -> Self {
        Self { out, width: None }
    }

    /// Folds lines at this many octets (RFC 2849 says 76).
    pub fn with_fold(mut self, width: usize) -> Self {
        self.width = Some(width.max(2));
        self
    }

    /// The writer beneath.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// Flushes the writer beneath.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }

    /// Writes a comment; line ends in it start new comment lines.
    pub fn comment(&mut self, text: &str) -> Result<()> {
        text.lines().try_for_each(|line| writeln!(self.out, "# {line}"))
    }

    /// Writes an entry and the empty line after it.
    pub fn entry<'a>(
        &mut self,
        dn: &str,
        attributes: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<()> {
        self.field("dn", dn.as_bytes())?;
        for (description, value) in attributes {
            self.field(description, value)?;
        }
        writeln!(self.out)
    }

    /// Writes the empty line after an entry that was written field by field.
    pub fn end_entry(&mut self) -> Result<()> {
        self.out.write_all(b"\n")
    }

    /// Writes a record and the empty line after it.
    pub fn record(&mut self, record: &LdifRecord) -> Result<()> {
        self.field("dn", record.dn.as_bytes())?;
        for control in &record.controls {
            self.control(control)?;
        }
        match &record.change {
            LdifChange::Entry(attributes) => self.attributes(attributes)?,
            LdifChange::Add(attributes) => {
                self.field("changetype", b"add")?;
                self.attributes(attributes)?;
            }
            LdifChange::Delete => self.field("changetype", b"delete")?,
            LdifChange::Modify(steps) => {
                self.field("changetype", b"modify")?;
                for step in steps {
                    self.field(step.kind.keyword(), step.description.as_bytes())?;
                    step.values.iter().try_for_each(|value| self.field(&step.description, value))?;
                    writeln!(self.out, "-")?;
                }
            }
            LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior } => {
                self.field("changetype", b"moddn")?;
                self.field("newrdn", new_rdn.as_bytes())?;
                self.field("deleteoldrdn", if *delete_old_rdn { b"1" } else { b"0" })?;
                if let Some(superior) = new_superior {
                    self.field("newsuperior", superior.as_bytes())?;
                }
            }
        }
        writeln!(self.out)
    }

    fn attributes(&mut self, attributes: &[LdifAttribute]) -> Result<()> {
        attributes
            .iter()
            .flat_map(|attribute| attribute.values.iter().map(|value| (&attribute.description, value)))
            .try_for_each(|(description, value)| self.field(description, value))
    }

    fn control(&mut self, control: &LdifControl) -> Result<()> {
        let mut text = format!("control: {} {}", control.oid, control.critical);
        if let Some(value) = &control.value {
            text.push_str(":: ");
            STANDARD.encode_string(value, &mut text);
        }
        self.line(text.as_bytes())
    }

    /// Writes `name: value`, or `name:: base64`.
    pub fn field(&mut self, name: &str, value: &[u8]) -> Result<()> {
        let mut line = Vec::with_capacity(name.len() + value.len() + 4);
        line.extend_from_slice(name.as_bytes());
        if is_safe(value) {
            line.extend_from_slice(if value.is_empty() { b":" } else { b": " });
            line.extend_from_slice(value);
        } else {
            line.extend_from_slice(b":: ");
            line.extend_from_slice(STANDARD.encode(value).as_bytes());
        }
        self.line(&line)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        let Some(width) = self.width.filter(|width| line.len() > *width) else {
            self.out.write_all(line)?;
            return self.out.write_all(b"\n");
        };
        let (first, rest) = line.split_at_checked(width).unwrap_or((line, &[]));
        self.out.write_all(first)?;
        for part in rest.chunks(width - 1) {
            self.out.write_all(b"\n ")?;
            self.out.write_all(part)?;
        }
        self.out.write_all(b"\n")
    }
}

/// Whether a value may stand as it is: RFC 2849's SAFE-STRING, and no space at its end, which is easily lost.
fn is_safe(value: &[u8]) -> bool {
    !matches!(value.first(), Some(b' ' | b':' | b'<'))
        && value.last() != Some(&b' ')
        && value.iter().all(|octet| octet.is_ascii() && !matches!(octet, 0 | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ldif::{LdifModification, LdifReader, ModificationKind};

    #[test]
    fn writes_what_the_rfc_wants() {
        let mut writer = LdifWriter::new(Vec::new()).with_fold(20);
        let values: [&[u8]; 5] =
            [b"plain", b" lead", "é".as_bytes(), b"", b"0123456789012345678901234567890123456789"];
        writer.comment("a\nb").unwrap();
        writer.entry("cn=a", values.iter().map(|value| ("x", *value))).unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        assert_eq!(
            text,
            "# a\n# b\ndn: cn=a\nx: plain\nx:: IGxlYWQ=\nx:: w6k=\nx:\nx: 01234567890123456\n 7890123456789012345\n 6789\n\n"
        );
    }

    fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[ -~]{0,100}".prop_map(String::into_bytes)
            ],
            1..4,
        )
    }

    fn changes() -> impl Strategy<Value = LdifChange> {
        let attributes =
            || values().prop_map(|values| vec![LdifAttribute { description: "cn;lang-de".into(), values }]);
        prop_oneof![
            attributes().prop_map(LdifChange::Entry),
            attributes().prop_map(LdifChange::Add),
            Just(LdifChange::Delete),
            values().prop_map(|values| LdifChange::Modify(vec![
                LdifModification { kind: ModificationKind::Add, description: "x".into(), values },
                LdifModification { kind: ModificationKind::Delete, description: "y".into(), values: vec![] },
            ])),
            any::<bool>().prop_map(|delete_old_rdn| LdifChange::ModifyDn {
                new_rdn: "cn=é".into(),
                delete_old_rdn,
                new_superior: delete_old_rdn.then(|| "dc=x".into()),
            }),
        ]
    }

    proptest! {
        #[test]
        fn records_read_back(
            changes in prop::collection::vec((changes(), prop::option::of(any::<[u8; 3]>())), 0..4),
            width in prop::option::of(2..100usize),
        ) {
            let records: Vec<LdifRecord> = changes
                .into_iter()
                .map(|(change, value)| LdifRecord {
                    dn: "cn=a\\,b,dc=é".into(),
                    line: 0,
                    controls: match change {
                        LdifChange::Entry(_) => vec![],
                        _ => vec![LdifControl { oid: "1.2".into(), critical: true, value: value.map(|v| v.to_vec()) }],
                    },
                    change,
                })
                .collect();
            let mut writer = LdifWriter::new(Vec::new());
            if let Some(width) = width {
                writer = writer.with_fold(width);
            }
            for record in &records {
                writer.record(record).unwrap();
            }
            let text = writer.into_inner();
            let back: Vec<LdifRecord> = LdifReader::new(text.as_slice())
                .map(|record| LdifRecord { line: 0, ..record.unwrap() })
                .collect();
            prop_assert_eq!(back, records);
        }

        #[test]
        fn reading_never_panics(text in "[a-z:#< =\\n-]{0,80}") {
            LdifReader::new(text.as_bytes()).for_each(drop);
        }
    }
}
