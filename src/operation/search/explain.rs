//! `debugsearchindex`: asked for, a search answers with its plan instead of its entries.

use bytes::BytesMut;

use crate::access::Privilege;
use crate::backend::Query;
use crate::operation::answer::Exchange;
use crate::operation::sight::Sight;
use crate::protocol::encode;
use crate::protocol::message::SearchRequest;
use crate::protocol::result::LdapResult;

const ATTRIBUTE: &str = "debugsearchindex";

/// Whether the plan is asked for.
pub(super) fn is_wanted(search: &SearchRequest<'_>) -> bool {
    search.attributes.iter().any(|name| name.eq_ignore_ascii_case(ATTRIBUTE))
}

/// Whether the requester may see plans, which tell how many entries have which value.
pub(super) fn may(sight: &Sight) -> bool {
    let privileges = sight.who.privileges;
    privileges.has(Privilege::UnindexedSearch) || privileges.has(Privilege::ConfigRead)
}

/// Sends the plan as the one entry `cn=debugsearch`.
pub(super) fn send(exchange: &mut Exchange, parts: &[Query]) -> LdapResult {
    let store = std::sync::Arc::clone(exchange.store());
    let plans: Vec<String> = parts.iter().map(|query| store.plan(query).explanation).collect();
    let mut attributes = BytesMut::new();
    encode::attribute(&mut attributes, "cn", std::iter::once(&b"debugsearch"[..]));
    encode::attribute(&mut attributes, ATTRIBUTE, plans.iter().map(String::as_bytes));
    exchange.entry("cn=debugsearch", &[&attributes], &[]);
    LdapResult::success()
}
