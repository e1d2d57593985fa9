//! `ldap3_proto`, as the model sees it.
//!
//! It cannot say: passwords and assertion values that are not UTF-8, SASL without credentials, result codes
//! outside its list. An empty substring part it reads as no part.

use bytes::BytesMut;
use ctsd::protocol::filter::{Assertion, Filter};
use ldap3_proto::LdapCodec;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto as l;
use tokio_util::codec::{Decoder, Encoder};

use super::model::{Attribute, Credentials, Message, Octets, Op, Outcome};

pub(crate) fn decode(octets: &[u8]) -> Option<l::LdapMsg> {
    let mut buffer = BytesMut::from(octets);
    let message = LdapCodec::new(Some(1 << 20), None).decode(&mut buffer).ok()??;
    buffer.is_empty().then_some(message)
}

pub(crate) fn encode(message: l::LdapMsg) -> Octets {
    let mut buffer = BytesMut::new();
    LdapCodec::default().encode(message, &mut buffer).unwrap();
    buffer.to_vec()
}

pub(crate) fn from_model(message: &Message) -> Option<l::LdapMsg> {
    let op = match &message.op {
        Op::Bind(version, dn, credentials) => l::LdapOp::BindRequest(l::LdapBindRequest {
            version: (*version).into(),
            dn: dn.clone(),
            cred: match credentials {
                Credentials::Simple(password) => l::LdapBindCred::Simple(utf8(password)?),
                Credentials::Sasl(mechanism, credentials) => l::LdapBindCred::SASL(l::SaslCredentials {
                    mechanism: mechanism.clone(),
                    credentials: credentials.clone()?,
                }),
                // It keeps no tag, so it could not be told apart or written.
                Credentials::Other => return None,
            },
        }),
        Op::Unbind => l::LdapOp::UnbindRequest,
        Op::Search(search) => l::LdapOp::SearchRequest(l::LdapSearchRequest {
            base: search.base.clone(),
            scope: match search.scope {
                0 => l::LdapSearchScope::Base,
                1 => l::LdapSearchScope::OneLevel,
                2 => l::LdapSearchScope::Subtree,
                _ => l::LdapSearchScope::Children,
            },
            aliases: match search.deref {
                0 => l::LdapDerefAliases::Never,
                1 => l::LdapDerefAliases::InSearching,
                2 => l::LdapDerefAliases::FindingBaseObj,
                _ => l::LdapDerefAliases::Always,
            },
            sizelimit: i32::try_from(search.size_limit).ok()?,
            timelimit: i32::try_from(search.time_limit).ok()?,
            typesonly: search.types_only,
            filter: filter(&search.filter)?,
            attrs: search.attributes.clone(),
        }),
        Op::Modify(dn, changes) => l::LdapOp::ModifyRequest(l::LdapModifyRequest {
            dn: dn.clone(),
            changes: changes
                .iter()
                .map(|(operation, attribute)| l::LdapModify {
                    operation: match operation {
                        0 => l::LdapModifyType::Add,
                        1 => l::LdapModifyType::Delete,
                        2 => l::LdapModifyType::Replace,
                        _ => l::LdapModifyType::Increment,
                    },
                    modification: partial(attribute),
                })
                .collect(),
        }),
        Op::Add(dn, attributes) => l::LdapOp::AddRequest(l::LdapAddRequest {
            dn: dn.clone(),
            attributes: attributes.iter().map(partial).collect(),
        }),
        Op::Delete(dn) => l::LdapOp::DelRequest(dn.clone()),
        Op::ModifyDn(dn, rdn, delete, superior) => l::LdapOp::ModifyDNRequest(l::LdapModifyDNRequest {
            dn: dn.clone(),
            newrdn: rdn.clone(),
            deleteoldrdn: *delete,
            new_superior: superior.clone(),
        }),
        Op::Compare(dn, attribute, value) => l::LdapOp::CompareRequest(l::LdapCompareRequest {
            dn: dn.clone(),
            atype: attribute.clone(),
            val: value.clone(),
        }),
        Op::Abandon(id) => l::LdapOp::AbandonRequest(*id),
        Op::Extended(name, value) => {
            l::LdapOp::ExtendedRequest(l::LdapExtendedRequest { name: name.clone(), value: value.clone() })
        }
        Op::BindResponse(outcome, sasl) => {
            l::LdapOp::BindResponse(l::LdapBindResponse { res: result(outcome)?, saslcreds: sasl.clone() })
        }
        Op::Entry(dn, attributes) => l::LdapOp::SearchResultEntry(l::LdapSearchResultEntry {
            dn: dn.clone(),
            attributes: attributes.iter().map(partial).collect(),
        }),
        Op::Reference(uris) => {
            l::LdapOp::SearchResultReference(l::LdapSearchResultReference { uris: uris.clone() })
        }
        Op::Result(tag, outcome) => {
            let result = result(outcome)?;
            match tag {
                0x65 => l::LdapOp::SearchResultDone(result),
                0x67 => l::LdapOp::ModifyResponse(result),
                0x69 => l::LdapOp::AddResponse(result),
                0x6b => l::LdapOp::DelResponse(result),
                0x6d => l::LdapOp::ModifyDNResponse(result),
                _ => l::LdapOp::CompareResult(result),
            }
        }
        Op::ExtendedResponse(outcome, name, value) => l::LdapOp::ExtendedResponse(l::LdapExtendedResponse {
            res: result(outcome)?,
            name: name.clone(),
            value: value.clone(),
        }),
        Op::Intermediate(name, value) => l::LdapOp::IntermediateResponse(l::LdapIntermediateResponse::Raw {
            name: name.clone(),
            value: value.clone(),
        }),
    };
    let control = |(oid, criticality, value): &(String, bool, Option<Octets>)| LdapControl::Unknown {
        oid: oid.clone(),
        criticality: *criticality,
        value: value.clone(),
    };
    Some(l::LdapMsg { msgid: message.id, op, ctrl: message.controls.iter().map(control).collect() })
}

fn utf8(value: &[u8]) -> Option<String> {
    String::from_utf8(value.to_vec()).ok()
}

fn partial((name, values): &Attribute) -> l::LdapPartialAttribute {
    l::LdapPartialAttribute { atype: name.clone(), vals: values.clone() }
}

fn result(outcome: &Outcome) -> Option<l::LdapResult> {
    Some(l::LdapResult {
        code: l::LdapResultCode::try_from(i64::from(outcome.code)).ok()?,
        matcheddn: outcome.matched.clone(),
        message: outcome.diagnostic.clone(),
        referral: Vec::new(),
    })
}

fn pair(assertion: &Assertion<'_>) -> Option<(String, String)> {
    Some((assertion.attribute.to_string(), utf8(&assertion.value)?))
}

fn filter(from: &Filter<'_>) -> Option<l::LdapFilter> {
    let all = |filters: &[Filter<'_>]| filters.iter().map(filter).collect::<Option<Vec<_>>>();
    Some(match from {
        Filter::And(filters) => l::LdapFilter::And(all(filters)?),
        Filter::Or(filters) => l::LdapFilter::Or(all(filters)?),
        Filter::Not(inner) => l::LdapFilter::Not(Box::new(filter(inner)?)),
        Filter::Equality(a) => pair(a).map(|(name, value)| l::LdapFilter::Equality(name, value))?,
        Filter::GreaterOrEqual(a) => {
            pair(a).map(|(name, value)| l::LdapFilter::GreaterOrEqual(name, value))?
        }
        Filter::LessOrEqual(a) => pair(a).map(|(name, value)| l::LdapFilter::LessOrEqual(name, value))?,
        Filter::Approximate(a) => pair(a).map(|(name, value)| l::LdapFilter::Approx(name, value))?,
        Filter::Present(name) => l::LdapFilter::Present(name.to_string()),
        Filter::Substrings(s) => {
            let parts = l::LdapSubstringFilter {
                initial: s.initial.as_deref().map(utf8).map_or(Some(None), |part| part.map(Some))?,
                any: s.any.iter().map(|part| utf8(part)).collect::<Option<_>>()?,
                final_: s.last.as_deref().map(utf8).map_or(Some(None), |part| part.map(Some))?,
            };
            l::LdapFilter::Substring(s.attribute.to_string(), parts)
        }
        Filter::Extensible(e) => l::LdapFilter::Extensible(l::LdapMatchingRuleAssertion {
            matching_rule: e.rule.as_ref().map(ToString::to_string),
            type_: e.attribute.as_ref().map(ToString::to_string),
            match_value: utf8(&e.value)?,
            dn_attributes: e.dn_attributes,
        }),
    })
}
