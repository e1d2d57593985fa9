//! Entries made up from a template: the small, much used part of OpenDJ's MakeLDIF.
//!
//! ```text
//! define suffix=dc=example,dc=com
//!
//! branch: ou=people,[suffix]
//! objectClass: organizationalUnit
//! subordinateTemplate: person:1000
//!
//! template: person
//! rdnAttr: uid
//! objectClass: inetOrgPerson
//! uid: user.<sequential:1>
//! cn: {uid}
//! sn: <random:alpha:8>
//! ```
//!
//! Known are `define`, `branch`, `template`, `rdnAttr`, `subordinateTemplate`, comments, `{attribute}` and
//! `{attribute:octets}`, `<sequential[:start[:reset]]>`, `<guid>` and `<random:alpha|numeric|alphanumeric|hex|base64:length>`,
//! `<random:…:least:most>`, `<random:chars:characters:length>`. Everything else is refused.

use std::collections::HashMap;

use super::TransferError;
use crate::entry::EntryUuid;
use crate::ldif::LdifWriter;

/// Numbers that look random; the same seed gives the same ones (SplitMix64).
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

const ALPHA: &str = "abcdefghijklmnopqrstuvwxyz";
const DIGITS: &str = "0123456789";
const ALPHANUMERIC: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &str = "0123456789abcdef";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    /// The first value of an attribute above, or so many octets of it.
    Attribute(String, Option<usize>),
    /// A counter of the template: its place, where it begins, whether it begins anew below each parent.
    Sequential(usize, u64, bool),
    /// Characters, and from how many to how many.
    Random(Vec<char>, u64, u64),
    /// A number within bounds.
    Number(u64, u64),
    Guid,
}

#[derive(Debug, Clone, Default)]
struct Block {
    /// Of a branch.
    dn: Option<String>,
    rdn: String,
    attributes: Vec<(String, Vec<Part>)>,
    /// Template and number of entries.
    below: Vec<(String, u64)>,
    counters: usize,
}

/// Entries still to be made at one place.
#[derive(Debug)]
struct Frame {
    block: usize,
    parent: String,
    left: u64,
    /// Where the template's counters are.
    counters: Vec<u64>,
}

/// Makes the entries of a template, one after another, parents before children.
#[derive(Debug)]
pub(super) struct Generator {
    blocks: Vec<Block>,
    names: HashMap<String, usize>,
    stack: Vec<Frame>,
    /// By template, for those that go on from one parent to the next.
    totals: HashMap<(usize, usize), u64>,
    dice: Dice,
    entries: u64,
}

fn number(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no number"))
}

fn at_line(line: usize) -> impl Fn(String) -> String {
    move |reason| format!("line {}: {reason}", line + 1)
}

impl Generator {
    /// Reads a template. The error says the line and what is wrong there.
    pub(super) fn parse(text: &str, seed: u64) -> Result<Self, String> {
        let mut defined: Vec<(String, String)> = Vec::new();
        let mut blocks: Vec<Block> = Vec::new();
        let mut names = HashMap::new();
        let mut is_open = false;
        for (at, line) in text.lines().enumerate() {
            let failed = at_line(at);
            if line.starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                is_open = false;
                continue;
            }
            if let Some(define) = line.strip_prefix("define ") {
                let (name, value) =
                    define.split_once('=').ok_or_else(|| failed("define wants name=value".into()))?;
                defined.push((format!("[{}]", name.trim()), value.trim().to_owned()));
                continue;
            }
            let mut line = line.to_owned();
            for (name, value) in &defined {
                line = line.replace(name, value);
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| failed("a line wants 'name: value'".into()))?;
            let (name, value) = (name.trim(), value.trim());
            match (name.to_ascii_lowercase().as_str(), is_open, blocks.last_mut()) {
                ("branch", false, _) => {
                    blocks.push(Block { dn: Some(value.to_owned()), ..Block::default() });
                    is_open = true;
                }
                ("template", false, _) => {
                    names.insert(value.to_ascii_lowercase(), blocks.len());
                    blocks.push(Block::default());
                    is_open = true;
                }
                ("extends", ..) => return Err(failed("'extends' is not known here".into())),
                ("rdnattr", true, Some(block)) if value.contains('+') => {
                    let _ = block;
                    return Err(failed("one attribute alone names an entry here".into()));
                }
                ("rdnattr", true, Some(block)) => value.clone_into(&mut block.rdn),
                ("subordinatetemplate", true, Some(block)) => {
                    let (name, count) = value
                        .rsplit_once(':')
                        .ok_or_else(|| failed("subordinateTemplate wants name:number".into()))?;
                    let count = number(count).map_err(&failed)?;
                    block.below.push((name.trim().to_ascii_lowercase(), count));
                }
                (_, true, Some(block)) => {
                    let parts = parts(value, &mut block.counters).map_err(&failed)?;
                    block.attributes.push((name.to_owned(), parts));
                }
                _ => return Err(failed("a block begins with 'branch:' or 'template:'".into())),
            }
        }
        let generator =
            Self { blocks, names, stack: Vec::new(), totals: HashMap::new(), dice: Dice(seed), entries: 0 };
        generator.checked()
    }

    fn checked(mut self) -> Result<Self, String> {
        for block in &self.blocks {
            for (name, _) in &block.below {
                if !self.names.contains_key(name) {
                    return Err(format!("there is no template {name}"));
                }
            }
            if block.dn.is_none()
                && !block.attributes.iter().any(|(name, _)| name.eq_ignore_ascii_case(&block.rdn))
            {
                return Err("a template wants rdnAttr, and a line for that attribute".into());
            }
        }
        for at in 0..self.blocks.len() {
            if self.blocks.get(at).is_some_and(|block| block.dn.is_some()) {
                self.entries = self.entries.saturating_add(self.count(at, 0)?);
            }
        }
        let branches = (0..self.blocks.len()).rev();
        for block in branches.filter(|&at| self.blocks.get(at).is_some_and(|block| block.dn.is_some())) {
            self.stack.push(Frame { block, parent: String::new(), left: 1, counters: Vec::new() });
        }
        if self.stack.is_empty() { Err("a template wants a branch".into()) } else { Ok(self) }
    }

    /// Entries at and below one of a block.
    fn count(&self, block: usize, depth: usize) -> Result<u64, String> {
        if depth > 32 {
            return Err("templates go round in a circle".into());
        }
        let mut sum = 1_u64;
        for (name, count) in self.blocks.get(block).map(|block| &*block.below).unwrap_or_default() {
            let Some(&at) = self.names.get(name) else { continue };
            sum = sum.saturating_add(count.saturating_mul(self.count(at, depth + 1)?));
        }
        Ok(sum)
    }

    /// How many entries there will be.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Appends the next entry as LDIF; false at the end.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<bool, TransferError> {
        let (at, parent) = loop {
            let Some(frame) = self.stack.last_mut() else { return Ok(false) };
            if frame.left > 0 {
                frame.left -= 1;
                break (frame.block, frame.parent.clone());
            }
            self.stack.pop();
        };
        let Some(block) = self.blocks.get(at).cloned() else { return Ok(false) };
        let mut made: Vec<(&str, String)> = Vec::with_capacity(block.attributes.len());
        for (name, parts) in &block.attributes {
            let value = self.value(at, parts, &made);
            made.push((name, value));
        }
        let dn = block.dn.clone().unwrap_or_else(|| {
            let named = made.iter().find(|(name, _)| name.eq_ignore_ascii_case(&block.rdn));
            let value = named.map(|(_, value)| escaped(value)).unwrap_or_default();
            format!("{}={value},{parent}", block.rdn)
        });
        let mut writer = LdifWriter::new(std::mem::take(out));
        let attributes = made.iter().map(|(name, value)| (*name, value.as_bytes()));
        let written = writer.entry(&dn, attributes);
        *out = writer.into_inner();
        written.map_err(|source| TransferError::File { file: "the template".into(), source })?;
        for (name, count) in block.below.iter().rev() {
            let Some(&at) = self.names.get(name) else { continue };
            self.stack.push(Frame { block: at, parent: dn.clone(), left: *count, counters: Vec::new() });
        }
        Ok(true)
    }

    fn value(&mut self, block: usize, parts: &[Part], made: &[(&str, String)]) -> String {
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Attribute(name, octets) => {
                    let value = made.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
                    let value = value.map(|(_, value)| value.as_str()).unwrap_or_default();
                    out.extend(value.chars().take(octets.unwrap_or(usize::MAX)));
                }
                Part::Sequential(counter, start, true) => {
                    let Some(frame) = self.stack.last_mut() else { continue };
                    if frame.counters.len() <= *counter {
                        frame.counters.resize(*counter + 1, u64::MAX);
                    }
                    let Some(count) = frame.counters.get_mut(*counter) else { continue };
                    *count = if *count == u64::MAX { *start } else { *count + 1 };
                    out.push_str(&count.to_string());
                }
                Part::Sequential(counter, start, false) => {
                    let count = self.totals.entry((block, *counter)).or_insert(*start);
                    out.push_str(&count.to_string());
                    *count += 1;
                }
                Part::Random(characters, least, most) => {
                    let length = least + self.dice.below(most.saturating_sub(*least) + 1);
                    for _ in 0..length {
                        let at = self.dice.below(characters.len() as u64) as usize;
                        out.extend(characters.get(at));
                    }
                }
                Part::Number(least, most) => {
                    let number = least + self.dice.below(most.saturating_sub(*least).saturating_add(1));
                    out.push_str(&number.to_string());
                }
                Part::Guid => {
                    let mut octets = [0; 16];
                    let (left, right) = octets.split_at_mut(8);
                    left.copy_from_slice(&self.dice.next().to_be_bytes());
                    right.copy_from_slice(&self.dice.next().to_be_bytes());
                    out.push_str(&EntryUuid::v4(octets).to_string());
                }
            }
        }
        out
    }
}

/// A value as it stands in a DN.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (at, character) in value.char_indices() {
        let is_edge = at == 0 || at + 1 == value.len();
        if ",+\"\\<>;=".contains(character) || (is_edge && character == ' ') || (at == 0 && character == '#')
        {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

fn parts(text: &str, counters: &mut usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let end = match character {
            '\\' => {
                plain.extend(rest.next());
                continue;
            }
            '<' => '>',
            '{' => '}',
            other => {
                plain.push(other);
                continue;
            }
        };
        let (inner, after) = rest.as_str().split_once(end).ok_or_else(|| {
            format!("'{character}' without '{end}'; write '\\{character}' for the character itself")
        })?;
        rest = after.chars();
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(if character == '{' {
            match inner.split_once(':') {
                Some((name, octets)) => Part::Attribute(name.to_owned(), Some(number(octets)? as usize)),
                None => Part::Attribute(inner.to_owned(), None),
            }
        } else {
            tag(inner, counters)?
        });
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

fn tag(inner: &str, counters: &mut usize) -> Result<Part, String> {
    let words: Vec<&str> = inner.split(':').collect();
    let unknown = || format!("the tag <{inner}> is not known here");
    match *words.as_slice() {
        ["sequential", ref rest @ ..] => {
            let start = rest.first().map_or(Ok(0), |start| number(start))?;
            let resets = match rest.get(1).copied() {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err(unknown()),
            };
            *counters += 1;
            Ok(Part::Sequential(*counters - 1, start, resets))
        }
        ["guid"] => Ok(Part::Guid),
        ["random", "numeric", least, most] => Ok(Part::Number(number(least)?, number(most)?)),
        ["random", "chars", characters, ref lengths @ ..] if !characters.is_empty() => {
            random(characters, lengths).ok_or_else(unknown)?
        }
        ["random", kind, ref lengths @ ..] => {
            let characters = match kind {
                "alpha" => ALPHA,
                "numeric" => DIGITS,
                "alphanumeric" => ALPHANUMERIC,
                "hex" => HEX,
                "base64" => BASE64,
                _ => return Err(unknown()),
            };
            random(characters, lengths).ok_or_else(unknown)?
        }
        _ => Err(unknown()),
    }
}

fn random(characters: &str, lengths: &[&str]) -> Option<Result<Part, String>> {
    let (least, most) = match *lengths {
        [length] => (length, length),
        [least, most] => (least, most),
        _ => return None,
    };
    let part = |least, most| Part::Random(characters.chars().collect(), least, most);
    Some(number(least).and_then(|least| number(most).map(|most| part(least, most))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "# People and what they own.
define suffix=dc=example,dc=com
define people=3

branch: [suffix]
objectClass: domain

branch: ou=people,[suffix]
objectClass: organizationalUnit
subordinateTemplate: person:[people]

template: person
rdnAttr: uid
objectClass: inetOrgPerson
uid: user.<sequential:1>
cn: {uid} \\<sic\\>
sn: {uid:4}<random:alpha:3>
employeeNumber: <random:numeric:5:7>
description: <sequential:0:false>
subordinateTemplate: thing:2

template: thing
rdnAttr: cn
cn: a,b<sequential>
objectClass: device
";

    fn all(template: &str, seed: u64) -> Result<String, String> {
        let mut generator = Generator::parse(template, seed)?;
        let mut out = Vec::new();
        let mut count = 0;
        while generator.next(&mut out).unwrap() {
            count += 1;
        }
        assert_eq!(count, generator.entries());
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn entries_are_made_up_as_the_template_says() {
        let text = all(TEMPLATE, 7).unwrap();
        let dns: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("dn: ")).collect();
        assert_eq!(
            dns[..4],
            [
                "dc=example,dc=com",
                "ou=people,dc=example,dc=com",
                "uid=user.1,ou=people,dc=example,dc=com",
                "cn=a\\,b0,uid=user.1,ou=people,dc=example,dc=com",
            ]
        );
        assert_eq!(dns.len(), 2 + 3 * 3);
        assert!(text.contains("\ncn: user.3 <sic>\nsn: user"));
        assert!(text.contains("\ndescription: 2\n") && !text.contains("cn: a,b2"));
        assert_eq!(all(TEMPLATE, 7).unwrap(), text);
        assert_ne!(all(TEMPLATE, 8).unwrap(), text);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        for (template, wanted) in [
            ("branch: dc=x\ncn: <first>", "line 2: the tag <first> is not known here"),
            ("branch: dc=x\ncn: <random:telephone>", "line 2: the tag <random:telephone> is not known here"),
            ("branch: dc=x\ncn: <open", "line 2: '<' without '>'; write '\\<' for the character itself"),
            ("branch: dc=x\nsubordinateTemplate: t:1", "there is no template t"),
            ("template: t\nrdnAttr: cn\ncn: x", "a template wants a branch"),
            ("template: t\nextends: u", "line 2: 'extends' is not known here"),
            ("cn: x", "line 1: a block begins with 'branch:' or 'template:'"),
            (
                "branch: dc=x\nsubordinateTemplate: t:1\n\ntemplate: t\nrdnAttr: cn\ncn: x\nsubordinateTemplate: t:1",
                "templates go round in a circle",
            ),
        ] {
            assert_eq!(all(template, 1).unwrap_err(), wanted);
        }
    }
}
