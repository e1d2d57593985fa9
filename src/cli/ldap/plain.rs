//! Small searches for text, through `ldap3_proto`: a codec that is not the server's own, so a tool that reports on the
//! server does not read it with the server's eyes. Binary values and response controls go another way.

use bytes::BytesMut;
use ldap3_proto::LdapCodec;
use ldap3_proto::proto::{
    LdapDerefAliases, LdapFilter, LdapMsg, LdapOp, LdapResultCode, LdapSearchRequest, LdapSearchScope,
};
use tokio_util::codec::{Decoder, Encoder};

use super::client::{Client, ClientError};
use crate::protocol::message::Scope;

/// An entry whose values are text.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct PlainEntry {
    pub(in crate::cli) dn: String,
    pub(in crate::cli) attributes: Vec<(String, Vec<String>)>,
}

impl PlainEntry {
    /// The values of an attribute.
    pub(in crate::cli) fn values(&self, name: &str) -> &[String] {
        let found = self.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(&[], |(_, values)| values)
    }

    /// The first value of an attribute.
    pub(in crate::cli) fn first(&self, name: &str) -> Option<&str> {
        self.values(name).first().map(String::as_str)
    }
}

/// The entries of a scope below a base; none if the base is not there or must not be read.
pub(in crate::cli) fn plain_search(
    client: &mut Client,
    base: &str,
    scope: Scope,
    attributes: &[&str],
) -> Result<Vec<PlainEntry>, ClientError> {
    let malformed = |error: std::io::Error| ClientError::Malformed(error.to_string());
    let id = client.next_id().0;
    let request = LdapSearchRequest {
        base: base.to_owned(),
        scope: match scope {
            Scope::Base => LdapSearchScope::Base,
            Scope::One => LdapSearchScope::OneLevel,
            Scope::Subtree | Scope::Subordinate => LdapSearchScope::Subtree,
        },
        aliases: LdapDerefAliases::Never,
        sizelimit: 0,
        timelimit: 0,
        typesonly: false,
        filter: LdapFilter::Present("objectClass".to_owned()),
        attrs: attributes.iter().map(|&name| name.to_owned()).collect(),
    };
    let mut codec = LdapCodec::new(Some(super::MAX_MESSAGE), None);
    let mut out = BytesMut::new();
    codec.encode(LdapMsg::new(id, LdapOp::SearchRequest(request)), &mut out).map_err(malformed)?;
    client.send(&out)?;
    let mut entries = Vec::new();
    loop {
        let mut frame = BytesMut::from(client.frame()?);
        let Some(message) = codec.decode(&mut frame).map_err(malformed)? else {
            return Err(ClientError::Malformed("the message is cut off".to_owned()));
        };
        if message.msgid != id {
            continue;
        }
        match message.op {
            LdapOp::SearchResultEntry(entry) => {
                let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
                let attributes = entry
                    .attributes
                    .into_iter()
                    .map(|one| (one.atype, one.vals.into_iter().map(text).collect()))
                    .collect();
                entries.push(PlainEntry { dn: entry.dn, attributes });
            }
            LdapOp::SearchResultDone(result) if result.code == LdapResultCode::Success => {
                return Ok(entries);
            }
            LdapOp::SearchResultDone(_) => return Ok(Vec::new()),
            _ => {}
        }
    }
}

/// The suffixes the server holds.
pub(in crate::cli) fn naming_contexts(client: &mut Client) -> Result<Vec<String>, ClientError> {
    let entries = plain_search(client, "", Scope::Base, &["namingContexts"])?;
    Ok(entries.first().map(|entry| entry.values("namingContexts").to_vec()).unwrap_or_default())
}
