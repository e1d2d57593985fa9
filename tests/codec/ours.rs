//! Our codec, as the model sees it.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use ctsd::protocol::decode::{Limits, Malformed, decode as decode_request};
use ctsd::protocol::encode::{self, ResponseControl, ResponseKind};
use ctsd::protocol::list::{Attributes, Values};
use ctsd::protocol::message::{Authentication, Control, MessageId, ModifyOperation, Operation, Scope};
use ctsd::protocol::request::{self, Search};
use ctsd::protocol::response::{self, Response};
use ctsd::protocol::result::{LdapResult, ResultCode};

use super::model::{self, Attribute, Credentials, Message, Octets, Op, Outcome};

/// `None` where our encoders cannot say it: an unknown authentication choice. They bind with version 3, whatever
/// the message has; the length is the same.
pub(crate) fn encode(message: &Message) -> Option<Octets> {
    let mut out = BytesMut::new();
    let id = MessageId(message.id);
    let c: Vec<Control<'_>> = message
        .controls
        .iter()
        .map(|(oid, critical, value)| Control { oid, critical: *critical, value: value.as_deref() })
        .collect();
    let rc: Vec<ResponseControl> = message
        .controls
        .iter()
        .map(|(oid, critical, value)| ResponseControl {
            oid: Cow::Owned(oid.clone()),
            critical: *critical,
            value: value.clone().map(Bytes::from),
        })
        .collect();
    match &message.op {
        Op::Bind(_, dn, Credentials::Simple(password)) => request::bind(&mut out, id, dn, password, &c),
        Op::Bind(_, dn, Credentials::Sasl(mechanism, credentials)) => {
            request::bind_sasl(&mut out, id, dn, mechanism, credentials.as_deref(), &c);
        }
        Op::Bind(_, _, Credentials::Other) => return None,
        Op::Unbind => request::unbind(&mut out, id, &c),
        Op::Search(search) => {
            let attributes: Vec<&str> = search.attributes.iter().map(String::as_str).collect();
            let search = Search {
                base: &search.base,
                scope: Scope::from_number(search.scope.into()).unwrap(),
                deref: search.deref,
                size_limit: search.size_limit,
                time_limit: search.time_limit,
                types_only: search.types_only,
                filter: search.filter.clone(),
                attributes: &attributes,
            };
            request::search(&mut out, id, &search, &c);
        }
        Op::Modify(dn, changes) => {
            let values: Vec<Vec<&[u8]>> = changes.iter().map(|(_, (_, values))| slices(values)).collect();
            let changes: Vec<_> = changes
                .iter()
                .zip(&values)
                .map(|((operation, (name, _)), values)| {
                    (modification(*operation), (name.as_str(), &values[..]))
                })
                .collect();
            request::modify(&mut out, id, dn, &changes, &c);
        }
        Op::Add(dn, attributes) => {
            let values: Vec<Vec<&[u8]>> = attributes.iter().map(|(_, values)| slices(values)).collect();
            let attributes: Vec<_> = attributes
                .iter()
                .zip(&values)
                .map(|((name, _), values)| (name.as_str(), &values[..]))
                .collect();
            request::add(&mut out, id, dn, &attributes, &c);
        }
        Op::Delete(dn) => request::delete(&mut out, id, dn, &c),
        Op::ModifyDn(dn, rdn, delete, superior) => {
            request::modify_dn(&mut out, id, dn, rdn, *delete, superior.as_deref(), &c);
        }
        Op::Compare(dn, attribute, value) => request::compare(&mut out, id, dn, attribute, value, &c),
        Op::Abandon(target) => request::abandon(&mut out, id, MessageId(*target), &c),
        Op::Extended(name, value) => request::extended(&mut out, id, name, value.as_deref(), &c),
        Op::BindResponse(outcome, sasl) => encode::bind(&mut out, id, &result(outcome), sasl.as_deref(), &rc),
        Op::Entry(dn, attributes) => {
            let stored: Vec<BytesMut> = attributes
                .iter()
                .map(|(name, values)| {
                    let mut stored = BytesMut::new();
                    encode::attribute(&mut stored, name, values.iter().map(Vec::as_slice));
                    stored
                })
                .collect();
            let stored: Vec<&[u8]> = stored.iter().map(BytesMut::as_ref).collect();
            encode::entry(&mut out, id, dn, &stored, &rc);
        }
        Op::Reference(uris) => {
            let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
            encode::reference(&mut out, id, &uris, &rc);
        }
        Op::Result(tag, outcome) => {
            encode::result(&mut out, id, ResponseKind::from_tag(*tag).unwrap(), &result(outcome), &rc);
        }
        Op::ExtendedResponse(outcome, name, value) => {
            encode::extended(&mut out, id, &result(outcome), name.as_deref(), value.as_deref(), &rc);
        }
        Op::Intermediate(name, value) => {
            encode::intermediate(&mut out, id, name.as_deref(), value.as_deref(), &rc);
        }
    }
    Some(out.to_vec())
}

pub(crate) fn decode(octets: &[u8]) -> Option<Message> {
    let request = match decode_request(Bytes::copy_from_slice(octets), &Limits::default()) {
        Ok(request) => request,
        Err(error) if matches!(error.reason, Malformed::UnknownOperation(_)) => {
            return decode_response(octets);
        }
        Err(_) => return None,
    };
    let op = match request.operation() {
        Operation::Bind(bind) => Op::Bind(
            bind.version,
            bind.dn.into(),
            match bind.authentication {
                Authentication::Simple(password) => Credentials::Simple(password.into()),
                Authentication::Sasl { mechanism, credentials } => {
                    Credentials::Sasl(mechanism.into(), credentials.map(Into::into))
                }
                Authentication::Other(_) => Credentials::Other,
            },
        ),
        Operation::Unbind => Op::Unbind,
        Operation::Search(search) => Op::Search(model::Search {
            base: search.base.into(),
            scope: search.scope.number(),
            deref: search.deref,
            size_limit: search.size_limit,
            time_limit: search.time_limit,
            types_only: search.types_only,
            filter: search.filter.into_owned(),
            attributes: search.attributes.iter().map(Into::into).collect(),
        }),
        Operation::Modify(modify) => Op::Modify(
            modify.dn.into(),
            modify
                .changes
                .iter()
                .map(|change| {
                    let attribute = (change.attribute.description.into(), values(change.attribute.values));
                    (change.operation.number(), attribute)
                })
                .collect(),
        ),
        Operation::Add(add) => Op::Add(add.dn.into(), attributes(add.attributes)),
        Operation::Delete(delete) => Op::Delete(delete.dn.into()),
        Operation::ModifyDn(rename) => Op::ModifyDn(
            rename.dn.into(),
            rename.new_rdn.into(),
            rename.delete_old_rdn,
            rename.new_superior.map(Into::into),
        ),
        Operation::Compare(compare) => {
            Op::Compare(compare.dn.into(), compare.attribute.into(), compare.value.into())
        }
        Operation::Abandon(target) => Op::Abandon(target.0),
        Operation::Extended(extended) => Op::Extended(extended.name.into(), extended.value.map(Into::into)),
    };
    Some(Message { id: request.id().0, op, controls: request.controls().map(control).collect() })
}

fn decode_response(octets: &[u8]) -> Option<Message> {
    let message = response::decode(octets).ok()?;
    let op = match message.response {
        Response::Entry { dn, attributes: list } => Op::Entry(dn.into(), attributes(list)),
        Response::Reference(uris) => Op::Reference(uris.iter().map(Into::into).collect()),
        Response::Result { kind, result } => Op::Result(kind.tag(), outcome(result)),
        Response::Bind { result, server_sasl } => {
            Op::BindResponse(outcome(result), server_sasl.map(Into::into))
        }
        Response::Extended { result, name, value } => {
            Op::ExtendedResponse(outcome(result), name.map(Into::into), value.map(Into::into))
        }
        Response::Intermediate { name, value } => {
            Op::Intermediate(name.map(Into::into), value.map(Into::into))
        }
    };
    Some(Message { id: message.id.0, op, controls: message.controls.map(control).collect() })
}

fn slices(values: &[Octets]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

fn modification(number: u8) -> ModifyOperation {
    [ModifyOperation::Add, ModifyOperation::Delete, ModifyOperation::Replace, ModifyOperation::Increment]
        [usize::from(number)]
}

fn control(control: Control<'_>) -> (String, bool, Option<Octets>) {
    (control.oid.into(), control.critical, control.value.map(Into::into))
}

fn values(values: Values<'_>) -> Vec<Octets> {
    values.iter().map(Into::into).collect()
}

fn attributes(list: Attributes<'_>) -> Vec<Attribute> {
    list.iter().map(|attribute| (attribute.description.into(), values(attribute.values))).collect()
}

fn result(outcome: &Outcome) -> LdapResult {
    LdapResult::with(ResultCode(outcome.code), outcome.diagnostic.clone()).matched(outcome.matched.clone())
}

fn outcome(result: LdapResult) -> Outcome {
    Outcome { code: result.code.0, matched: result.matched, diagnostic: result.diagnostic.into_owned() }
}
