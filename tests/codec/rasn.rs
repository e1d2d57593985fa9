//! `rasn-ldap`, as the model sees it.
//!
//! It cannot say: increment, scope 3, result codes above 80, other authentication choices.

use ctsd::protocol::filter::{Assertion, Filter};
use rasn::types::{OctetString, SetOf};
use rasn_ldap as r;

use super::model::{Attribute, Credentials, Message, Octets, Op, Outcome};

pub(crate) fn decode(octets: &[u8]) -> Option<r::LdapMessage> {
    let mut message: r::LdapMessage = rasn::ber::decode(octets).ok()?;
    // An empty list of controls says no more than none.
    message.controls = message.controls.filter(|controls| !controls.is_empty());
    Some(message)
}

pub(crate) fn encode(message: &r::LdapMessage) -> Octets {
    rasn::ber::encode(message).unwrap()
}

pub(crate) fn from_model(message: &Message) -> Option<r::LdapMessage> {
    let op = match &message.op {
        Op::Bind(version, dn, credentials) => {
            let credentials = match credentials {
                Credentials::Simple(password) => r::AuthenticationChoice::Simple(octets(password)),
                Credentials::Sasl(mechanism, credentials) => r::AuthenticationChoice::Sasl(
                    r::SaslCredentials::new(text(mechanism), credentials.as_deref().map(octets)),
                ),
                Credentials::Other => return None,
            };
            r::ProtocolOp::BindRequest(r::BindRequest::new(*version, text(dn), credentials))
        }
        Op::Unbind => r::ProtocolOp::UnbindRequest(r::UnbindRequest),
        Op::Search(search) => r::ProtocolOp::SearchRequest(r::SearchRequest::new(
            text(&search.base),
            match search.scope {
                0 => r::SearchRequestScope::BaseObject,
                1 => r::SearchRequestScope::SingleLevel,
                2 => r::SearchRequestScope::WholeSubtree,
                _ => return None,
            },
            match search.deref {
                0 => r::SearchRequestDerefAliases::NeverDerefAliases,
                1 => r::SearchRequestDerefAliases::DerefInSearching,
                2 => r::SearchRequestDerefAliases::DerefFindingBaseObj,
                _ => r::SearchRequestDerefAliases::DerefAlways,
            },
            search.size_limit,
            search.time_limit,
            search.types_only,
            filter(&search.filter),
            search.attributes.iter().map(|name| text(name)).collect(),
        )),
        Op::Modify(dn, changes) => {
            let changes = changes.iter().map(|(operation, attribute)| {
                let operation = match operation {
                    0 => r::ChangeOperation::Add,
                    1 => r::ChangeOperation::Delete,
                    2 => r::ChangeOperation::Replace,
                    _ => return None,
                };
                Some(r::ModifyRequestChanges { operation, modification: partial(attribute) })
            });
            r::ProtocolOp::ModifyRequest(r::ModifyRequest {
                object: text(dn),
                changes: changes.collect::<Option<_>>()?,
            })
        }
        Op::Add(dn, attributes) => r::ProtocolOp::AddRequest(r::AddRequest {
            entry: text(dn),
            attributes: attributes
                .iter()
                .map(|(name, values)| r::Attribute::new(text(name), set(values)))
                .collect(),
        }),
        Op::Delete(dn) => r::ProtocolOp::DelRequest(r::DelRequest(text(dn))),
        Op::ModifyDn(dn, rdn, delete, superior) => r::ProtocolOp::ModDnRequest(r::ModifyDnRequest {
            entry: text(dn),
            new_rdn: text(rdn),
            delete_old_rdn: *delete,
            new_superior: superior.as_deref().map(text),
        }),
        Op::Compare(dn, attribute, value) => r::ProtocolOp::CompareRequest(r::CompareRequest {
            entry: text(dn),
            ava: r::AttributeValueAssertion::new(text(attribute), octets(value)),
        }),
        Op::Abandon(id) => r::ProtocolOp::AbandonRequest(r::AbandonRequest(u32::try_from(*id).ok()?)),
        Op::Extended(name, value) => r::ProtocolOp::ExtendedReq(r::ExtendedRequest {
            request_name: octets(name.as_bytes()),
            request_value: value.as_deref().map(octets),
        }),
        Op::BindResponse(outcome, sasl) => r::ProtocolOp::BindResponse(r::BindResponse::new(
            code(outcome.code)?,
            text(&outcome.matched),
            text(&outcome.diagnostic),
            None,
            sasl.as_deref().map(octets),
        )),
        Op::Entry(dn, attributes) => r::ProtocolOp::SearchResEntry(r::SearchResultEntry::new(
            text(dn),
            attributes.iter().map(partial).collect(),
        )),
        Op::Reference(uris) => {
            r::ProtocolOp::SearchResRef(r::SearchResultReference(uris.iter().map(|uri| text(uri)).collect()))
        }
        Op::Result(tag, outcome) => {
            let result = result(outcome)?;
            match tag {
                0x65 => r::ProtocolOp::SearchResDone(r::SearchResultDone(result)),
                0x67 => r::ProtocolOp::ModifyResponse(r::ModifyResponse(result)),
                0x69 => r::ProtocolOp::AddResponse(r::AddResponse(result)),
                0x6b => r::ProtocolOp::DelResponse(r::DelResponse(result)),
                0x6d => r::ProtocolOp::ModDnResponse(r::ModifyDnResponse(result)),
                _ => r::ProtocolOp::CompareResponse(r::CompareResponse(result)),
            }
        }
        Op::ExtendedResponse(outcome, name, value) => r::ProtocolOp::ExtendedResp(r::ExtendedResponse {
            result_code: code(outcome.code)?,
            matched_dn: text(&outcome.matched),
            diagnostic_message: text(&outcome.diagnostic),
            referral: None,
            response_name: name.as_ref().map(|name| octets(name.as_bytes())),
            response_value: value.as_deref().map(octets),
        }),
        Op::Intermediate(name, value) => r::ProtocolOp::IntermediateResponse(r::IntermediateResponse {
            response_name: name.as_ref().map(|name| octets(name.as_bytes())),
            response_value: value.as_deref().map(octets),
        }),
    };
    let mut built = r::LdapMessage::new(u32::try_from(message.id).ok()?, op);
    if !message.controls.is_empty() {
        let control = |(oid, critical, value): &(String, bool, Option<Octets>)| {
            r::Control::new(octets(oid.as_bytes()), *critical, value.as_deref().map(octets))
        };
        built.controls = Some(message.controls.iter().map(control).collect());
    }
    Some(built)
}

fn text(text: &str) -> r::LdapString {
    text.into()
}

fn octets(value: &[u8]) -> OctetString {
    OctetString::from(value)
}

fn set(values: &[Octets]) -> SetOf<OctetString> {
    values.iter().map(|value| octets(value)).collect::<Vec<_>>().into()
}

fn partial((name, values): &Attribute) -> r::PartialAttribute {
    r::PartialAttribute::new(text(name), set(values))
}

fn result(outcome: &Outcome) -> Option<r::LdapResult> {
    Some(r::LdapResult::new(code(outcome.code)?, text(&outcome.matched), text(&outcome.diagnostic)))
}

/// Through the wire form, which saves the list.
fn code(code: u32) -> Option<r::ResultCode> {
    rasn::ber::decode(&[0x0a, 1, u8::try_from(code).ok()?]).ok()
}

fn assertion(assertion: &Assertion<'_>) -> r::AttributeValueAssertion {
    r::AttributeValueAssertion::new(text(&assertion.attribute), octets(&assertion.value))
}

fn filter(from: &Filter<'_>) -> r::Filter {
    let all = |filters: &[Filter<'_>]| filters.iter().map(filter).collect::<Vec<_>>().into();
    match from {
        Filter::And(filters) => r::Filter::And(all(filters)),
        Filter::Or(filters) => r::Filter::Or(all(filters)),
        Filter::Not(inner) => r::Filter::Not(Box::new(filter(inner))),
        Filter::Equality(a) => r::Filter::EqualityMatch(assertion(a)),
        Filter::GreaterOrEqual(a) => r::Filter::GreaterOrEqual(assertion(a)),
        Filter::LessOrEqual(a) => r::Filter::LessOrEqual(assertion(a)),
        Filter::Approximate(a) => r::Filter::ApproxMatch(assertion(a)),
        Filter::Present(name) => r::Filter::Present(text(name)),
        Filter::Substrings(s) => {
            let initial = s.initial.iter().map(|part| r::SubstringChoice::Initial(octets(part)));
            let any = s.any.iter().map(|part| r::SubstringChoice::Any(octets(part)));
            let last = s.last.iter().map(|part| r::SubstringChoice::Final(octets(part)));
            r::Filter::Substrings(r::SubstringFilter::new(
                text(&s.attribute),
                initial.chain(any).chain(last).collect(),
            ))
        }
        Filter::Extensible(e) => r::Filter::ExtensibleMatch(r::MatchingRuleAssertion::new(
            e.rule.as_deref().map(text),
            e.attribute.as_deref().map(text),
            octets(&e.value),
            e.dn_attributes,
        )),
    }
}
