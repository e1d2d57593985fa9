//! Compare (RFC 4511 §4.10).

use std::borrow::Cow;
use std::sync::Arc;

use super::answer::Exchange;
use super::place::{self, Place};
use super::search::Children;
use super::sight::Condition;
use super::{outcome, pipeline};
use crate::access::Right;
use crate::entry::{CompiledFilter, StoredEntry, Tri};
use crate::protocol::filter::{Assertion, Filter};
use crate::protocol::message::{CompareRequest, Operation, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves a compare.
pub(super) fn serve(mut exchange: Exchange) {
    let request = exchange.request().clone();
    let Operation::Compare(compare) = request.operation() else { return };
    let result = decide(&mut exchange, &request, &compare).unwrap_or_else(|refusal| refusal);
    exchange.finish(&result);
}

fn decide(
    exchange: &mut Exchange,
    request: &Request,
    compare: &CompareRequest<'_>,
) -> Result<LdapResult, LdapResult> {
    let key = place::key(compare.dn, "entry's DN", &exchange.schema)?;
    let controls = pipeline::admit(exchange, request, &key)?;
    let schema = Arc::clone(&exchange.schema);
    let directory = Arc::clone(exchange.directory());
    let entry = find(exchange, &key)?;
    let visible = entry.filter(|entry| exchange.sight.sees(entry, &key));
    let Some(entry) = visible else {
        let matched = place::matched(exchange, &key);
        return Err(outcome::no_such_object(compare.dn).matched(matched));
    };
    let Some(described) = schema.describe(compare.attribute) else {
        let text = format!("attribute {} is not defined in the schema", compare.attribute);
        return Err(LdapResult::with(ResultCode::UNDEFINED_ATTRIBUTE_TYPE, text));
    };
    let name = described.attribute_type.name();
    if !exchange.sight.may(Right::Compare, &entry, &key, name) {
        return Err(outcome::denied("the requester may not compare this attribute"));
    }
    let context = Children { directory: &directory, schema: &schema };
    if let Some(assertion) = &controls.assertion {
        let assertion = Condition::of(assertion, &schema);
        pipeline::assert_holds(&assertion, &exchange.sight, &entry, &key, &context)?;
    }
    let canonical = described.canonical();
    let holds =
        |filter: Filter<'_>| CompiledFilter::compile(&filter, &schema).evaluate_with(&entry, &context);
    let equality = holds(Filter::Equality(Assertion {
        attribute: Cow::Borrowed(&canonical),
        value: Cow::Borrowed(compare.value),
    }));
    Ok(match equality {
        Tri::True => LdapResult::new(ResultCode::COMPARE_TRUE, ""),
        Tri::Undefined => {
            let text =
                format!("the value cannot be compared with attribute {canonical}: it breaks its syntax");
            LdapResult::with(ResultCode::INVALID_ATTRIBUTE_SYNTAX, text)
        }
        Tri::False if holds(Filter::Present(Cow::Borrowed(&canonical))) != Tri::True => {
            LdapResult::with(ResultCode::NO_SUCH_ATTRIBUTE, format!("the entry has no attribute {canonical}"))
        }
        Tri::False => LdapResult::new(ResultCode::COMPARE_FALSE, ""),
    })
}

fn find(exchange: &Exchange, key: &NormalizedDn) -> Result<Option<Arc<StoredEntry>>, LdapResult> {
    let directory = exchange.directory();
    match place::of(directory, key) {
        Place::Stored => directory.store.get(key).map_err(|error| outcome::store_error(&error)),
        Place::Virtual(backend) => {
            let entries = backend.entries(directory, &exchange.sight.who)?;
            Ok(entries.into_iter().find(|(other, _)| other == key).map(|(_, entry)| entry))
        }
    }
}
