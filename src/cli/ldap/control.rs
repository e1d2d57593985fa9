//! Controls a tool sends, from what is typed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use crate::ber::tag;
use crate::ber::write::{element, integer, octets};
use crate::ldif::LdifControl;
use crate::protocol::control::sort::{self, SortKey};
use crate::protocol::filter_text;
use crate::protocol::message::Control;
use crate::protocol::oid;

/// A control with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct OwnedControl {
    pub(in crate::cli) oid: String,
    pub(in crate::cli) critical: bool,
    pub(in crate::cli) value: Option<Vec<u8>>,
}

impl From<Control<'_>> for OwnedControl {
    fn from(control: Control<'_>) -> Self {
        let value = control.value.map(<[u8]>::to_vec);
        Self { oid: control.oid.to_owned(), critical: control.critical, value }
    }
}

impl From<&LdifControl> for OwnedControl {
    fn from(control: &LdifControl) -> Self {
        Self { oid: control.oid.clone(), critical: control.critical, value: control.value.clone() }
    }
}

/// Controls as a request takes them.
pub(in crate::cli) fn borrowed(controls: &[OwnedControl]) -> Vec<Control<'_>> {
    controls
        .iter()
        .map(|control| Control {
            oid: &control.oid,
            critical: control.critical,
            value: control.value.as_deref(),
        })
        .collect()
}

/// Names that stand for an OID after `--control`.
const NAMES: &[(&str, &str)] = &[
    ("managedsait", oid::MANAGE_DSA_IT),
    ("noop", oid::NO_OP),
    ("no-op", oid::NO_OP),
    ("subtreedelete", oid::SUBTREE_DELETE),
    ("treedelete", oid::SUBTREE_DELETE),
    ("subentries", oid::SUBENTRIES),
    ("pwpolicy", oid::PASSWORD_POLICY),
    ("passwordpolicy", oid::PASSWORD_POLICY),
    ("effectiverights", oid::GET_EFFECTIVE_RIGHTS),
    ("realattrsonly", oid::REAL_ATTRIBUTES_ONLY),
    ("realattributesonly", oid::REAL_ATTRIBUTES_ONLY),
    ("virtualattrsonly", oid::VIRTUAL_ATTRIBUTES_ONLY),
    ("virtualattributesonly", oid::VIRTUAL_ATTRIBUTES_ONLY),
    ("permissivemodify", oid::PERMISSIVE_MODIFY),
    ("transactionid", oid::TRANSACTION_ID),
    ("relax", oid::RELAX_RULES),
    ("csn", oid::CSN),
];

impl OwnedControl {
    pub(in crate::cli) fn new(oid: &str, critical: bool, value: Option<Vec<u8>>) -> Self {
        Self { oid: oid.to_owned(), critical, value }
    }

    /// Reads `OID[:criticality[:value|::base64|:<file]]`.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let oid = named.map_or(name, |(_, oid)| oid);
        let digits = |arc: &str| !arc.is_empty() && arc.bytes().all(|octet| octet.is_ascii_digit());
        if !oid.contains('.') || !oid.split('.').all(digits) {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!("\"{name}\" is neither an OID nor one of {}", names.join(", ")));
        }
        let Some(rest) = rest else { return Ok(Self::new(oid, false, None)) };
        let (criticality, value) = rest.split_once(':').map_or((rest, None), |(c, v)| (c, Some(v)));
        let critical = match criticality.to_lowercase().as_str() {
            "true" => true,
            "false" | "" => false,
            other => return Err(format!("a criticality is true or false, not \"{other}\"")),
        };
        let value = match value {
            None => None,
            Some(text) => Some(if let Some(encoded) = text.strip_prefix(':') {
                STANDARD
                    .decode(encoded.trim())
                    .map_err(|error| format!("the value is not base64: {error}"))?
            } else if let Some(file) = text.strip_prefix('<') {
                std::fs::read(file.trim_start_matches("file://"))
                    .map_err(|error| format!("the value's file {file}: {error}"))?
            } else {
                text.as_bytes().to_vec()
            }),
        };
        Ok(Self::new(oid, critical, value))
    }
}

/// The assertion control of a filter.
pub(in crate::cli) fn assertion(filter: &str) -> Result<OwnedControl, String> {
    let filter = filter_text::parse(filter).map_err(|error| error.to_string())?;
    let mut out = BytesMut::new();
    filter.encode(&mut out);
    Ok(OwnedControl::new(oid::ASSERTION, true, Some(out.to_vec())))
}

/// The matched values control of filters, of which each is a simple one.
pub(in crate::cli) fn matched_values(filters: &[String]) -> Result<OwnedControl, String> {
    let mut items = BytesMut::new();
    for text in filters {
        filter_text::parse(text).map_err(|error| error.to_string())?.encode(&mut items);
    }
    let mut out = BytesMut::new();
    element(&mut out, tag::SEQUENCE, &items);
    Ok(OwnedControl::new(oid::MATCHED_VALUES, true, Some(out.to_vec())))
}

fn selection(attributes: &str) -> Vec<u8> {
    let mut list = BytesMut::new();
    for name in attributes.split([',', ' ']).filter(|name| !name.is_empty()) {
        octets(&mut list, name.as_bytes());
    }
    let mut out = BytesMut::new();
    element(&mut out, tag::SEQUENCE, &list);
    out.to_vec()
}

/// The pre-read control of attributes parted by commas.
pub(in crate::cli) fn pre_read(attributes: &str) -> OwnedControl {
    OwnedControl::new(oid::PRE_READ, true, Some(selection(attributes)))
}

/// The post-read control of attributes parted by commas.
pub(in crate::cli) fn post_read(attributes: &str) -> OwnedControl {
    OwnedControl::new(oid::POST_READ, true, Some(selection(attributes)))
}

/// Proxied authorization as `dn:…`, `u:…` or a bare DN.
pub(in crate::cli) fn proxied(identity: &str) -> OwnedControl {
    let has_form = identity.is_empty() || identity.starts_with("dn:") || identity.starts_with("u:");
    let identity = if has_form { identity.to_owned() } else { format!("dn:{identity}") };
    OwnedControl::new(oid::PROXIED_AUTHORIZATION, true, Some(identity.into_bytes()))
}

/// Server-side sorting by `[+|-]attribute[:rule],…`.
pub(in crate::cli) fn sort_keys(text: &str) -> Result<OwnedControl, String> {
    let key = |part: &str| {
        let part = part.trim();
        let reverse = part.starts_with('-');
        let (attribute, rule) = part
            .trim_start_matches(['+', '-'])
            .split_once(':')
            .map_or((part.trim_start_matches(['+', '-']), None), |(name, rule)| (name, Some(rule)));
        if attribute.is_empty() {
            return Err("a sort key is [+|-]attribute[:rule]".to_owned());
        }
        Ok(SortKey { attribute: attribute.to_owned(), rule: rule.map(str::to_owned), reverse })
    };
    let keys: Vec<SortKey> = text.split(',').map(key).collect::<Result<_, String>>()?;
    Ok(OwnedControl::new(oid::SORT_REQUEST, false, Some(sort::request_value(&keys).to_vec())))
}

/// What somebody may do with each entry (get effective rights control): an authzId, empty for the requester, and
/// attributes to tell about besides the entry's own.
pub(in crate::cli) fn effective_rights(identity: &str, attributes: &[String]) -> OwnedControl {
    let mut list = BytesMut::new();
    attributes.iter().for_each(|name| octets(&mut list, name.as_bytes()));
    let mut body = BytesMut::new();
    octets(&mut body, identity.as_bytes());
    element(&mut body, tag::SEQUENCE, &list);
    let mut out = BytesMut::new();
    element(&mut out, tag::SEQUENCE, &body);
    OwnedControl::new(oid::GET_EFFECTIVE_RIGHTS, true, Some(out.to_vec()))
}

/// A window of a sorted list: `before:after:index:count` or `before:after:value`.
pub(in crate::cli) fn virtual_list_view(text: &str) -> Result<OwnedControl, String> {
    let form = || format!("\"{text}\" is neither before:after:index:count nor before:after:value");
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok()).ok_or_else(form);
    let mut parts = text.splitn(3, ':');
    let (before, after) = (number(parts.next())?, number(parts.next())?);
    let target = parts.next().ok_or_else(form)?;
    let mut body = BytesMut::new();
    integer(&mut body, tag::INTEGER, before.into());
    integer(&mut body, tag::INTEGER, after.into());
    let numbers = target
        .split_once(':')
        .and_then(|(index, count)| Some((index.parse::<u32>().ok()?, count.parse::<u32>().ok()?)));
    match numbers {
        Some((index, count)) => {
            let mut offset = BytesMut::new();
            integer(&mut offset, tag::INTEGER, index.into());
            integer(&mut offset, tag::INTEGER, count.into());
            element(&mut body, tag::context_constructed(0), &offset);
        }
        None => element(&mut body, tag::context(1), target.as_bytes()),
    }
    let mut out = BytesMut::new();
    element(&mut out, tag::SEQUENCE, &body);
    Ok(OwnedControl::new(oid::VLV_REQUEST, true, Some(out.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::control::{assertion as asserted, matched_values as matched, read_entry};

    #[test]
    fn controls_are_typed_as_oid_criticality_and_value() {
        let parse = |text| OwnedControl::parse(text).unwrap();
        assert_eq!(parse("1.2.3"), OwnedControl::new("1.2.3", false, None));
        assert_eq!(parse("noop:true"), OwnedControl::new(oid::NO_OP, true, None));
        assert_eq!(parse("1.2:true:a:b").value.unwrap(), b"a:b");
        assert_eq!(parse("1.2:false::AAE=").value.unwrap(), [0, 1]);
        for wrong in ["", "x", "1..2", "1.2:maybe", "1.2:true::%", "1.2:true:<no/such/file"] {
            assert!(OwnedControl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_what_the_server_reads() {
        let control = assertion("(cn=a*)").unwrap();
        assert_eq!(asserted::parse(control.value.as_deref().unwrap()).unwrap().to_string(), "(cn=a*)");
        assert!(assertion("(cn=a").is_err());
        let control = pre_read("cn, sn,+");
        let names: Vec<_> = read_entry::parse(control.value.as_deref().unwrap()).unwrap().iter().collect();
        assert_eq!(names, ["cn", "sn", "+"]);
        let control = sort_keys("sn,-givenName,+cn:2.5.13.3").unwrap();
        let keys = sort::parse(control.value.as_deref().unwrap()).unwrap();
        assert_eq!(keys.iter().map(|key| key.reverse).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!(keys.last().unwrap().rule.as_deref(), Some("2.5.13.3"));
        assert!(sort_keys("sn,,cn").is_err());
        let control = matched_values(&["(cn=a)".to_owned(), "(sn>=b)".to_owned()]).unwrap();
        assert_eq!(matched::parse(control.value.as_deref().unwrap()).unwrap().len(), 2);
        assert_eq!(proxied("cn=a").value.unwrap(), b"dn:cn=a");
        assert_eq!(proxied("u:a").value.unwrap(), b"u:a");
        assert_eq!(
            virtual_list_view("0:19:1:0").unwrap().value.unwrap(),
            b"\x30\x0e\x02\x01\x00\x02\x01\x13\xa0\x06\x02\x01\x01\x02\x01\x00"
        );
        assert!(virtual_list_view("0:9:Smith").is_ok());
        assert!(virtual_list_view("x").is_err());
    }
}
