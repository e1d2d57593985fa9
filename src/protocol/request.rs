//! Requests as a client writes them: for tests, the load driver and tools that speak to a server.

use bytes::{BufMut, BytesMut};

use crate::ber::tag;
use crate::ber::write::{boolean, element, element_len, header, integer, octets};

use super::encode;
use super::filter::Filter;
use super::message::{Control, MessageId, ModifyOperation, OperationKind, Scope};

/// A search, for [`search`].
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// The base DN.
    pub base: &'a str,
    /// The scope.
    pub scope: Scope,
    /// derefAliases, 0 to 3.
    pub deref: u8,
    /// Entries wanted at the most; 0 is no limit.
    pub size_limit: u32,
    /// Seconds wanted at the most; 0 is no limit.
    pub time_limit: u32,
    /// Whether descriptions alone are wanted.
    pub types_only: bool,
    /// The filter.
    pub filter: Filter<'a>,
    /// The attribute selection.
    pub attributes: &'a [&'a str],
}

impl<'a> Search<'a> {
    /// A base search that every entry matches, for all user attributes.
    pub fn base(base: &'a str) -> Self {
        Self {
            base,
            scope: Scope::Base,
            deref: 0,
            size_limit: 0,
            time_limit: 0,
            types_only: false,
            filter: Filter::Present("objectClass".into()),
            attributes: &[],
        }
    }
}

/// An attribute with its values, for [`add`].
pub type Attribute<'a> = (&'a str, &'a [&'a [u8]]);

/// Writes a BindRequest, version 3, with a password.
pub fn bind(out: &mut BytesMut, id: MessageId, dn: &str, password: &[u8], controls: &[Control<'_>]) {
    message(out, id, OperationKind::Bind, controls, |body| {
        integer(body, tag::INTEGER, 3);
        octets(body, dn.as_bytes());
        element(body, tag::context(0), password);
    });
}

/// Writes a BindRequest, version 3, with SASL.
pub fn bind_sasl(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    mechanism: &str,
    credentials: Option<&[u8]>,
    controls: &[Control<'_>],
) {
    message(out, id, OperationKind::Bind, controls, |body| {
        integer(body, tag::INTEGER, 3);
        octets(body, dn.as_bytes());
        let mut sasl = BytesMut::new();
        octets(&mut sasl, mechanism.as_bytes());
        if let Some(credentials) = credentials {
            octets(&mut sasl, credentials);
        }
        element(body, tag::context_constructed(3), &sasl);
    });
}

/// Writes an UnbindRequest.
pub fn unbind(out: &mut BytesMut, id: MessageId, controls: &[Control<'_>]) {
    message(out, id, OperationKind::Unbind, controls, |_| {});
}

/// Writes a SearchRequest.
pub fn search(out: &mut BytesMut, id: MessageId, search: &Search<'_>, controls: &[Control<'_>]) {
    message(out, id, OperationKind::Search, controls, |body| {
        octets(body, search.base.as_bytes());
        integer(body, tag::ENUMERATED, search.scope.number().into());
        integer(body, tag::ENUMERATED, search.deref.into());
        integer(body, tag::INTEGER, search.size_limit.into());
        integer(body, tag::INTEGER, search.time_limit.into());
        boolean(body, search.types_only);
        search.filter.encode(body);
        let length = search.attributes.iter().map(|name| element_len(name.len())).sum();
        header(body, tag::SEQUENCE, length);
        search.attributes.iter().for_each(|name| octets(body, name.as_bytes()));
    });
}

/// Writes an AddRequest.
pub fn add(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    attributes: &[Attribute<'_>],
    controls: &[Control<'_>],
) {
    let mut list = BytesMut::new();
    for (name, values) in attributes {
        encode::attribute(&mut list, name, values.iter().copied());
    }
    add_encoded(out, id, dn, &list, controls);
}

/// Writes an AddRequest whose attributes are encoded PartialAttributes.
pub fn add_encoded(out: &mut BytesMut, id: MessageId, dn: &str, attributes: &[u8], controls: &[Control<'_>]) {
    message(out, id, OperationKind::Add, controls, |body| {
        octets(body, dn.as_bytes());
        element(body, tag::SEQUENCE, attributes);
    });
}

/// Writes a DelRequest.
pub fn delete(out: &mut BytesMut, id: MessageId, dn: &str, controls: &[Control<'_>]) {
    message(out, id, OperationKind::Delete, controls, |body| body.put_slice(dn.as_bytes()));
}

/// Writes a ModifyRequest.
pub fn modify(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    changes: &[(ModifyOperation, Attribute<'_>)],
    controls: &[Control<'_>],
) {
    let mut list = BytesMut::new();
    for (operation, (name, values)) in changes {
        let values = values.iter().copied();
        header(&mut list, tag::SEQUENCE, 3 + encode::attribute_len(name, values.clone()));
        integer(&mut list, tag::ENUMERATED, operation.number().into());
        encode::attribute(&mut list, name, values);
    }
    message(out, id, OperationKind::Modify, controls, |body| {
        octets(body, dn.as_bytes());
        element(body, tag::SEQUENCE, &list);
    });
}

/// Writes a ModifyDNRequest.
pub fn modify_dn(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    new_rdn: &str,
    delete_old_rdn: bool,
    new_superior: Option<&str>,
    controls: &[Control<'_>],
) {
    message(out, id, OperationKind::ModifyDn, controls, |body| {
        octets(body, dn.as_bytes());
        octets(body, new_rdn.as_bytes());
        boolean(body, delete_old_rdn);
        if let Some(superior) = new_superior {
            element(body, tag::context(0), superior.as_bytes());
        }
    });
}

/// Writes a CompareRequest.
pub fn compare(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    attribute: &str,
    value: &[u8],
    controls: &[Control<'_>],
) {
    message(out, id, OperationKind::Compare, controls, |body| {
        octets(body, dn.as_bytes());
        header(body, tag::SEQUENCE, element_len(attribute.len()) + element_len(value.len()));
        octets(body, attribute.as_bytes());
        octets(body, value);
    });
}

/// Writes an AbandonRequest for the operation of message `target`.
pub fn abandon(out: &mut BytesMut, id: MessageId, target: MessageId, controls: &[Control<'_>]) {
    let mut number = BytesMut::new();
    integer(&mut number, OperationKind::Abandon.tag(), target.0.into());
    // Identifier and length are one octet each: a message id has at most four.
    let content = number.split_off(number.len().min(2));
    message(out, id, OperationKind::Abandon, controls, |body| body.put_slice(&content));
}

/// Writes an ExtendedRequest.
pub fn extended(
    out: &mut BytesMut,
    id: MessageId,
    name: &str,
    value: Option<&[u8]>,
    controls: &[Control<'_>],
) {
    message(out, id, OperationKind::Extended, controls, |body| {
        element(body, tag::context(0), name.as_bytes());
        if let Some(value) = value {
            element(body, tag::context(1), value);
        }
    });
}

/// Writes an LDAPMessage. A client's speed is no matter: the content is written aside and copied.
fn message(
    out: &mut BytesMut,
    id: MessageId,
    kind: OperationKind,
    controls: &[Control<'_>],
    content: impl FnOnce(&mut BytesMut),
) {
    let mut body = BytesMut::new();
    content(&mut body);
    let mut inner = BytesMut::with_capacity(body.len() + 32);
    integer(&mut inner, tag::INTEGER, id.0.into());
    element(&mut inner, kind.tag(), &body);
    if !controls.is_empty() {
        let mut list = BytesMut::new();
        for control in controls {
            let mut encoded = BytesMut::new();
            octets(&mut encoded, control.oid.as_bytes());
            if control.critical {
                boolean(&mut encoded, true);
            }
            if let Some(value) = control.value {
                octets(&mut encoded, value);
            }
            element(&mut list, tag::SEQUENCE, &encoded);
        }
        element(&mut inner, tag::context_constructed(0), &list);
    }
    element(out, tag::SEQUENCE, &inner);
}
