//! What is told about operations: counters, access and audit logs.

use super::Call;
use super::answer::Exchange;
use crate::access::Requester;
use crate::protocol::message::OperationKind;
use crate::protocol::oid;
use crate::protocol::result::LdapResult;
use crate::telemetry::{LoggedEnd, LoggedRequest};

/// The request as logs see it.
fn logged(call: &Call) -> LoggedRequest<'_> {
    LoggedRequest {
        connection: call.connection_number,
        operation: call.operation_number,
        request: &call.request,
        user_dn: &call.requester.dn,
        transaction_id: transaction_id(call),
    }
}

/// The transaction id, where it is trusted.
fn transaction_id(call: &Call) -> Option<&str> {
    if !call.directory.config.load().global.trust_transaction_ids {
        return None;
    }
    let control = call.request.controls().find(|control| control.oid == oid::TRANSACTION_ID)?;
    std::str::from_utf8(control.value?).ok()
}

/// A request has come.
pub(super) fn begun(call: &Call) {
    call.metrics().request(call.request.kind());
    let log = &call.directory.access_log;
    if log.wants_requests() {
        log.request(&logged(call));
    }
}

/// A request is over.
pub(super) fn ended(exchange: &Exchange, who: &Requester, result: &LdapResult) {
    let call = exchange.call();
    let directory = &call.directory;
    let (kind, metrics) = (call.request.kind(), call.metrics());
    let took = exchange.elapsed();
    metrics.response(kind, result.code, took);
    let is_search = kind == OperationKind::Search;
    if is_search {
        metrics.entries(exchange.entries.into());
        if exchange.unindexed {
            metrics.unindexed_search();
        }
    }
    if !directory.access_log.wants_end(took) {
        return;
    }
    let is_bind = kind == OperationKind::Bind;
    let is_proxied = !is_bind && who.serial != call.requester.serial && who.dn != call.requester.dn;
    let end = LoggedEnd {
        result,
        took,
        etime_in_nanoseconds: directory.config.load().global.etime_in_nanoseconds,
        entries: is_search.then_some(exchange.entries.into()),
        is_unindexed: exchange.unindexed,
        authenticated_dn: is_bind.then_some(who.dn.as_str()),
        authorization_dn: is_proxied.then_some(who.dn.as_str()),
        authentication_failure: exchange.bind_failure,
    };
    directory.access_log.end(&logged(call), &end);
}
