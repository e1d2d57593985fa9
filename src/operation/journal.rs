//! What is told about operations: counters and the access log.

use super::Call;
use super::answer::Exchange;
use crate::access::Requester;
use crate::protocol::message::{Operation, OperationKind};
use crate::protocol::oid;
use crate::protocol::result::LdapResult;
use crate::telemetry::{Moment, RequestDetails, ResponseDetails};

fn moment(call: &Call) -> Moment {
    Moment {
        connection: call.connection_number,
        operation: call.operation_number,
        message_id: call.request.id().0,
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
    let directory = &call.directory;
    directory.metrics.request(call.request.kind());
    if !directory.access_log.is_enabled() {
        return;
    }
    let operation = call.request.operation();
    let extended_name = match &operation {
        Operation::Extended(extended) => match extended.name {
            oid::WHO_AM_I => Some("Who Am I"),
            oid::PASSWORD_MODIFY => Some("Password Modify"),
            _ => None,
        },
        _ => None,
    };
    let details = RequestDetails {
        transaction_id: transaction_id(call),
        authorization_dn: None,
        extended_name,
        control_oids: "",
    };
    directory.access_log.request(moment(call), &operation, &details);
}

/// A request is over.
pub(super) fn ended(exchange: &Exchange, who: &Requester, result: &LdapResult) {
    let call = exchange.call();
    let directory = &call.directory;
    let kind = call.request.kind();
    let took = exchange.elapsed();
    directory.metrics.response(kind, result.code, took);
    let is_search = kind == OperationKind::Search;
    if is_search {
        directory.metrics.entries(exchange.entries.into());
        if exchange.unindexed {
            directory.metrics.unindexed_search();
        }
    }
    if !directory.access_log.is_enabled() {
        return;
    }
    let details = ResponseDetails {
        took,
        etime_in_nanoseconds: directory.config.load().global.etime_in_nanoseconds,
        entries: is_search.then_some(exchange.entries.into()),
        is_unindexed: exchange.unindexed,
        authenticated_dn: (kind == OperationKind::Bind).then_some(who.dn.as_str()),
        authentication_failure: exchange.bind_failure,
        transaction_id: transaction_id(call),
    };
    directory.access_log.response(moment(call), kind, result, &details);
}
