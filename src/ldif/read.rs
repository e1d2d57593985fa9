//! Records from text.

use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lines::{Line, Lines};
use super::{
    LdifAttribute, LdifChange, LdifControl, LdifError, LdifModification, LdifRecord, ModificationKind,
};

/// Fetches what a `:<` URL names.
type Resolver = Box<dyn FnMut(&str) -> Result<Vec<u8>, String> + Send>;

/// Reads records one by one. A record with an error is skipped as a whole; reading goes on after it.
pub struct LdifReader<R> {
    lines: Lines<R>,
    resolver: Option<Resolver>,
    is_first: bool,
    is_broken: bool,
}

impl<R> std::fmt::Debug for LdifReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LdifReader").field("is_broken", &self.is_broken).finish_non_exhaustive()
    }
}

/// A line taken apart.
struct Field {
    name: String,
    value: Vec<u8>,
    line: u64,
}

impl Field {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn text(&self) -> Result<&str, LdifError> {
        std::str::from_utf8(&self.value)
            .map_err(|_| LdifError::at(self.line, format!("the value of {} is not UTF-8", self.name)))
    }
}

/// The fields of one record, read from the front.
struct Fields {
    fields: std::iter::Peekable<std::vec::IntoIter<Step>>,
    end: u64,
}

enum Step {
    Field(Field),
    /// A line that holds `-` alone.
    Dash(u64),
}

impl<R: BufRead> LdifReader<R> {
    /// A reader of this text; values given by URL (`:<`) are refused.
    pub fn new(reader: R) -> Self {
        Self { lines: Lines::new(reader), resolver: None, is_first: true, is_broken: false }
    }

    /// Counts lines from this one, for a text that is a part of another.
    pub fn at_line(mut self, line: u64) -> Self {
        self.lines.start_at(line);
        self
    }

    /// Lets values be given by URL, fetched by `resolver`.
    pub fn with_resolver(
        mut self,
        resolver: impl FnMut(&str) -> Result<Vec<u8>, String> + Send + 'static,
    ) -> Self {
        self.resolver = Some(Box::new(resolver));
        self
    }

    /// The text beneath: after a record it stands behind the empty line that ends it.
    pub fn get_ref(&self) -> &R {
        self.lines.get_ref()
    }

    /// The lines of the next record; none at the end.
    fn block(&mut self) -> Result<Vec<Line>, LdifError> {
        let mut block = Vec::new();
        loop {
            match self.lines.next() {
                Ok(Some(Some(line))) => block.push(line),
                Ok(Some(None)) if block.is_empty() => {}
                Ok(Some(None) | None) => return Ok(block),
                Err(error) => {
                    self.is_broken = true;
                    return Err(error);
                }
            }
        }
    }

    fn record(&mut self) -> Result<Option<LdifRecord>, LdifError> {
        loop {
            let block = self.block()?;
            if block.is_empty() {
                return Ok(None);
            }
            let mut steps = Vec::with_capacity(block.len());
            for line in block {
                steps.push(self.step(line)?);
            }
            let mut fields = Fields { fields: steps.into_iter().peekable(), end: self.lines.number() };
            if std::mem::take(&mut self.is_first)
                && let Some(version) = fields.take_if("version")?
                && version.text()?.trim() != "1"
            {
                return Err(LdifError::at(version.line, "only LDIF version 1 is known"));
            }
            if fields.fields.peek().is_some() {
                return fields.record().map(Some);
            }
        }
    }

    fn step(&mut self, line: Line) -> Result<Step, LdifError> {
        let Line { text, number } = line;
        if text.trim_ascii_end() == b"-" {
            return Ok(Step::Dash(number));
        }
        let Some(colon) = text.iter().position(|&octet| octet == b':') else {
            return Err(LdifError::at(number, "a line wants 'name: value'"));
        };
        let (name, rest) = text.split_at_checked(colon).unwrap_or_default();
        let name = std::str::from_utf8(name).unwrap_or_default().trim_end();
        if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric() || b".-;_".contains(&c)) {
            return Err(LdifError::at(number, "an attribute name is wanted before ':'"));
        }
        let rest = rest.get(1..).unwrap_or_default();
        let value = match rest.split_first() {
            Some((b':', encoded)) => {
                let encoded = encoded.trim_ascii();
                STANDARD.decode(encoded).map_err(|error| {
                    LdifError::at(number, format!("the value of {name} is not base64: {error}"))
                })?
            }
            Some((b'<', url)) => {
                let url = String::from_utf8_lossy(url.trim_ascii()).into_owned();
                let Some(resolver) = &mut self.resolver else {
                    return Err(LdifError::at(number, format!("values by URL are not read here ({url})")));
                };
                resolver(&url).map_err(|reason| LdifError::at(number, format!("{url}: {reason}")))?
            }
            _ => {
                let leading = rest.iter().take_while(|&&octet| octet == b' ').count();
                rest.get(leading..).unwrap_or_default().to_vec()
            }
        };
        Ok(Step::Field(Field { name: name.to_owned(), value, line: number }))
    }
}

impl<R: BufRead> Iterator for LdifReader<R> {
    type Item = Result<LdifRecord, LdifError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_broken {
            return None;
        }
        self.record().transpose()
    }
}

impl Fields {
    fn next(&mut self) -> Option<Step> {
        self.fields.next()
    }

    /// The next field, if it has this name.
    fn take_if(&mut self, name: &str) -> Result<Option<Field>, LdifError> {
        match self.fields.next_if(|step| matches!(step, Step::Field(field) if field.is(name))) {
            Some(Step::Field(field)) => Ok(Some(field)),
            _ => Ok(None),
        }
    }

    fn want(&mut self, name: &str) -> Result<Field, LdifError> {
        let line = match self.fields.peek() {
            Some(Step::Field(field)) if field.is(name) => None,
            Some(Step::Field(field)) => Some(field.line),
            Some(Step::Dash(line)) => Some(*line),
            None => Some(self.end),
        };
        match (line, self.take_if(name)?) {
            (None, Some(field)) => Ok(field),
            (line, _) => Err(LdifError::at(line.unwrap_or(self.end), format!("'{name}:' is wanted"))),
        }
    }

    fn record(mut self) -> Result<LdifRecord, LdifError> {
        let dn = self.want("dn")?;
        let line = dn.line;
        let mut controls = Vec::new();
        while let Some(control) = self.take_if("control")? {
            controls.push(read_control(&control)?);
        }
        let change = match self.take_if("changetype")? {
            None if controls.is_empty() => LdifChange::Entry(self.attributes(line)?),
            None => return Err(LdifError::at(line, "'changetype:' is wanted after controls")),
            Some(kind) => match kind.text()?.trim().to_ascii_lowercase().as_str() {
                "add" => LdifChange::Add(self.attributes(line)?),
                "delete" => LdifChange::Delete,
                "modify" => LdifChange::Modify(self.modifications()?),
                "modrdn" | "moddn" => self.modify_dn()?,
                other => {
                    let reason =
                        format!("changetype {other:?} is none of add, delete, modify, modrdn, moddn");
                    return Err(LdifError::at(kind.line, reason));
                }
            },
        };
        match self.next() {
            None => Ok(LdifRecord { dn: dn.text()?.to_owned(), line, controls, change }),
            Some(Step::Field(Field { line, .. }) | Step::Dash(line)) => {
                Err(LdifError::at(line, "the record should end here: an empty line is wanted"))
            }
        }
    }

    fn attributes(&mut self, line: u64) -> Result<Vec<LdifAttribute>, LdifError> {
        let mut attributes: Vec<LdifAttribute> = Vec::new();
        while let Some(step) = self.next() {
            let field = match step {
                Step::Field(field) => field,
                Step::Dash(line) => return Err(LdifError::at(line, "'-' stands only between modifications")),
            };
            if field.is("dn") {
                return Err(LdifError::at(field.line, "an empty line is wanted before the next record"));
            }
            // Values of one attribute mostly follow each other, so it is looked for from the end.
            match attributes.iter_mut().rev().find(|a| a.description.eq_ignore_ascii_case(&field.name)) {
                Some(attribute) => attribute.values.push(field.value),
                None => attributes.push(LdifAttribute { description: field.name, values: vec![field.value] }),
            }
        }
        if attributes.is_empty() {
            return Err(LdifError::at(line, "an entry has no attributes"));
        }
        Ok(attributes)
    }

    fn modifications(&mut self) -> Result<Vec<LdifModification>, LdifError> {
        let mut modifications = Vec::new();
        while let Some(step) = self.next() {
            let head = match step {
                Step::Field(field) => field,
                Step::Dash(line) => return Err(LdifError::at(line, "a modification is wanted before '-'")),
            };
            let Some(kind) = ModificationKind::by_keyword(&head.name) else {
                let reason = format!("add, delete, replace or increment is wanted, found {:?}", head.name);
                return Err(LdifError::at(head.line, reason));
            };
            let description = head.text()?.trim().to_owned();
            if description.is_empty() {
                return Err(LdifError::at(head.line, format!("{} wants an attribute", head.name)));
            }
            let mut values = Vec::new();
            // The last modification's '-' may be missing.
            while let Some(Step::Field(field)) = self.next() {
                if !field.is(&description) {
                    let reason = format!("{description:?} or '-' is wanted, found {:?}", field.name);
                    return Err(LdifError::at(field.line, reason));
                }
                values.push(field.value);
            }
            modifications.push(LdifModification { kind, description, values });
        }
        Ok(modifications)
    }

    fn modify_dn(&mut self) -> Result<LdifChange, LdifError> {
        let new_rdn = self.want("newrdn")?.text()?.to_owned();
        let delete = self.want("deleteoldrdn")?;
        let delete_old_rdn = match delete.text()?.trim() {
            "0" => false,
            "1" => true,
            _ => return Err(LdifError::at(delete.line, "deleteoldrdn wants 0 or 1")),
        };
        let new_superior = match self.take_if("newsuperior")? {
            Some(field) => Some(field.text()?.to_owned()),
            None => None,
        };
        Ok(LdifChange::ModifyDn { new_rdn, delete_old_rdn, new_superior })
    }
}

/// `oid [true|false] [: value | :: base64]`; the value's own form has been decoded only if the whole was.
fn read_control(field: &Field) -> Result<LdifControl, LdifError> {
    let text = field.text()?;
    let (head, value) = match text.split_once(':') {
        None => (text, None),
        Some((head, rest)) => match rest.strip_prefix(':') {
            Some(encoded) => {
                let decoded = STANDARD.decode(encoded.trim()).map_err(|error| {
                    LdifError::at(field.line, format!("the control's value is not base64: {error}"))
                })?;
                (head, Some(decoded))
            }
            None => (head, Some(rest.trim_start().as_bytes().to_vec())),
        },
    };
    let mut words = head.split_ascii_whitespace();
    let oid = words.next().unwrap_or_default().to_owned();
    let critical = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("true") => true,
        Some(word) if word.eq_ignore_ascii_case("false") => false,
        Some(_) => return Err(LdifError::at(field.line, "a control's criticality is true or false")),
    };
    if oid.is_empty() || words.next().is_some() {
        return Err(LdifError::at(field.line, "a control wants an OID, true or false, and a value"));
    }
    Ok(LdifControl { oid, critical, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Result<LdifRecord, String>> {
        LdifReader::new(text.as_bytes()).map(|record| record.map_err(|error| error.to_string())).collect()
    }

    fn one(text: &str) -> LdifRecord {
        let mut records = read(text);
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0).unwrap()
    }

    fn failure(text: &str) -> String {
        read(text).into_iter().find_map(Result::err).unwrap()
    }

    #[test]
    fn reads_entries() {
        let record = one(
            "version: 1\n\n# comment\n#folded\n comment\ndn: cn=a,\n dc=b\nobjectClass: top\n# inside\nobjectclass: person\n\
             cn::  w6k=\nsn:  b \ndescription:\njpegPhoto:: AAEC\n",
        );
        assert_eq!((record.dn.as_str(), record.line), ("cn=a,dc=b", 6));
        let LdifChange::Entry(attributes) = record.change else { panic!() };
        assert_eq!(attributes.len(), 5);
        assert_eq!(attributes[0].description, "objectClass");
        assert_eq!(attributes[0].values, [b"top".to_vec(), b"person".to_vec()]);
        assert_eq!(attributes[1].values, ["é".as_bytes()]);
        assert_eq!(attributes[2].values, [b"b "]);
        assert_eq!(attributes[3].values, [b""]);
        assert_eq!(attributes[4].values, [[0, 1, 2]]);
    }

    #[test]
    fn reads_changes() {
        let record = one(
            "dn: cn=schema\r\nchangetype: modify\r\nadd: attributeTypes\r\nattributeTypes: ( 1 )\r\nattributeTypes: ( 2 )\r\n\
             -\r\ndelete: objectclasses\r\nobjectClasses: ( 3 )\r\n-\r\nreplace: x\r\n-\r\nincrement: n\r\nn: 1\r\n",
        );
        let LdifChange::Modify(steps) = record.change else { panic!() };
        let kinds: Vec<_> = steps.iter().map(|step| (step.kind, step.values.len())).collect();
        use ModificationKind::*;
        assert_eq!(kinds, [(Add, 2), (Delete, 1), (Replace, 0), (Increment, 1)]);
        assert_eq!(steps[1].description, "objectclasses");

        let record = one("dn: cn=a\ncontrol: 1.2.3 true: v\ncontrol: 1.2.4\nchangetype: delete\n");
        assert_eq!(record.change, LdifChange::Delete);
        assert_eq!(record.controls[0].value.as_deref(), Some(b"v".as_slice()));
        assert!(record.controls[0].critical && !record.controls[1].critical);

        let record =
            one("dn: cn=a,dc=b\nchangetype: moddn\nnewrdn: cn=c\ndeleteoldrdn: 1\nnewsuperior: dc=d\n");
        let expected = LdifChange::ModifyDn {
            new_rdn: "cn=c".into(),
            delete_old_rdn: true,
            new_superior: Some("dc=d".into()),
        };
        assert_eq!(record.change, expected);
        assert!(matches!(one("dn:: Y249YQ==\nchangetype: add\ncn: a").change, LdifChange::Add(_)));
    }

    #[test]
    fn says_which_line_is_wrong() {
        assert_eq!(failure("dn: a=b\nnonsense\n"), "line 2: a line wants 'name: value'");
        assert!(failure("cn: a\n").starts_with("line 1: 'dn:'"));
        assert!(failure("\n\ndn: a=b\nchangetype: nothing\n").starts_with("line 4: changetype \"nothing\""));
        assert!(failure("dn: a=b\nchangetype: modify\nadd: x\ny: z\n").starts_with("line 4: \"x\" or '-'"));
        assert!(failure("dn: a=b\ncn:: !\n").starts_with("line 2: the value of cn is not base64"));
        assert!(failure("dn: a=b\nx:< file:///etc/passwd\n").contains("not read here"));
        assert!(failure("dn: a=b\n").contains("no attributes"));
        assert!(failure("dn: a=b\ncn: a\ndn: c=d\n").starts_with("line 3"));
        assert!(failure("version: 2\ndn: a=b\ncn: a\n").contains("version 1"));
        assert!(failure("dn: a=b\nchangetype: modrdn\nnewrdn: c=d\ndeleteoldrdn: x\n").starts_with("line 4"));
        assert!(failure("dn: a=b\nchangetype: delete\ncn: a\n").starts_with("line 3"));
    }

    #[test]
    fn goes_on_after_an_error() {
        let records = read("dn: a=b\nnonsense\n\ndn: c=d\nc: d\n");
        assert!(records[0].is_err());
        assert_eq!(records[1].as_ref().unwrap().dn, "c=d");
    }

    #[test]
    fn urls_go_through_the_resolver() {
        let text: &[u8] = b"dn: a=b\nx:< file:///y\n";
        let mut reader = LdifReader::new(text).with_resolver(|url| Ok(url.as_bytes().to_vec()));
        let LdifChange::Entry(attributes) = reader.next().unwrap().unwrap().change else { panic!() };
        assert_eq!(attributes[0].values, [b"file:///y"]);
    }

    #[test]
    fn an_empty_text_has_no_records() {
        for text in ["", "\n\n", "version: 1\n", "# only a comment\n"] {
            assert!(read(text).is_empty(), "{text:?}");
        }
    }
}
