//! A log with its settings: what goes into it, and what of an operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::log_filter::{Client, Ended, Filter, Subject};
use super::sink::Sink;
use crate::config::LogPublisher;
use crate::protocol::message::{Operation, OperationKind, Request};
use crate::protocol::result::{LdapResult, ResultCode};

/// A request, as logs see it.
#[derive(Debug, Clone, Copy)]
pub struct LoggedRequest<'a> {
    /// Number of its connection; 0 for the server's own.
    pub connection: u64,
    /// Its number on the connection.
    pub operation: u64,
    /// What was asked.
    pub request: &'a Request,
    /// Who had bound; empty for nobody.
    pub user_dn: &'a str,
    /// The transaction id, only where it is trusted.
    pub transaction_id: Option<&'a str>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct LoggedEnd<'a> {
    /// The answer.
    pub result: &'a LdapResult,
    /// Time from the request's arrival.
    pub took: Duration,
    /// Whether that is written in nanoseconds, not milliseconds.
    pub etime_in_nanoseconds: bool,
    /// Entries that a search returned.
    pub entries: Option<u64>,
    /// Whether a search was served without an index.
    pub is_unindexed: bool,
    /// Who has bound.
    pub authenticated_dn: Option<&'a str>,
    /// Whom the request acted for, where that is not who bound.
    pub authorization_dn: Option<&'a str>,
    /// Why a bind failed; the client is not told.
    pub authentication_failure: Option<&'a str>,
}

impl<'a> LoggedEnd<'a> {
    /// The end of a request that is answered at once.
    pub const fn at_once(result: &'a LdapResult) -> Self {
        Self {
            result,
            took: Duration::ZERO,
            etime_in_nanoseconds: false,
            entries: None,
            is_unindexed: false,
            authenticated_dn: None,
            authorization_dn: None,
            authentication_failure: None,
        }
    }
}

/// What became of a log's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// The publisher's name.
    pub name: String,
    /// Records written.
    pub records: u64,
    /// Octets written.
    pub octets: u64,
    /// Records dropped because the log could not keep up.
    pub dropped: u64,
    /// Records lost because the file could not be written.
    pub failed: u64,
}

/// A log that is written, as it was configured.
pub(super) struct Publisher {
    pub(super) of: LogPublisher,
    pub(super) filter: Filter,
    /// What it has to say of a request can be said only when the request is over.
    pub(super) is_deferred: bool,
    pub(super) sink: Arc<Sink>,
    seen: AtomicU64,
}

/// What a record tells of an operation.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Request,
    End(&'a LoggedEnd<'a>),
    Both(Option<&'a LoggedEnd<'a>>),
    Change,
}

impl Publisher {
    /// Whether sampling leaves out this one of many that went well.
    /// A log with this file; `sink` writes it.
    pub(super) fn new(of: &LogPublisher, sink: Arc<Sink>) -> Self {
        let filter = Filter::of(of);
        Self {
            is_deferred: of.sample_every > 1 || of.slower_than.is_some() || filter.needs_end(),
            filter,
            sink,
            seen: AtomicU64::new(0),
            of: of.clone(),
        }
    }

    /// Whether the record of an operation goes into this log, as far as its criteria know.
    pub(super) fn admits(
        &self,
        asked: &LoggedRequest<'_>,
        operation: &Operation<'_>,
        end: Option<&LoggedEnd<'_>>,
        client: impl FnOnce() -> Option<Client>,
    ) -> bool {
        if self.of.suppress_internal && asked.connection == 0 {
            return false;
        }
        if self.filter.is_off() {
            return true;
        }
        self.filter.admits(&Subject {
            record: record_type(asked.request.kind()),
            client: if self.filter.needs_client() { client() } else { None },
            user: end.and_then(|end| end.authenticated_dn).unwrap_or(asked.user_dn),
            target: target(operation),
            ended: end.map(|end| Ended {
                took: end.took,
                code: end.result.code,
                entries: end.entries,
                is_unindexed: end.is_unindexed,
            }),
        })
    }

    /// What happened to its records.
    pub(super) fn report(&self) -> LogReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogReport {
            name: self.of.name.clone(),
            records: get(&self.sink.counts.records),
            octets: get(&self.sink.counts.octets),
            dropped: get(&self.sink.counts.dropped),
            failed: get(&self.sink.counts.failed),
        }
    }

    pub(super) fn skips(&self, kind: OperationKind, code: ResultCode) -> bool {
        let is_one_of_many = !matches!(kind, OperationKind::Bind | OperationKind::Extended)
            && matches!(code, ResultCode::SUCCESS | ResultCode::COMPARE_TRUE | ResultCode::COMPARE_FALSE);
        self.of.sample_every > 1
            && is_one_of_many
            && !self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.of.sample_every.into())
    }
}

/// The word of `ds-cfg-log-record-type`.
const fn record_type(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::ModifyDn => "rename",
        other => other.name(),
    }
}

/// The DN an operation is about.
const fn target<'a>(operation: &Operation<'a>) -> Option<&'a str> {
    match operation {
        Operation::Bind(bind) => Some(bind.dn),
        Operation::Search(search) => Some(search.base),
        Operation::Modify(modify) => Some(modify.dn),
        Operation::Add(add) => Some(add.dn),
        Operation::Delete(delete) => Some(delete.dn),
        Operation::ModifyDn(rename) => Some(rename.dn),
        Operation::Compare(compare) => Some(compare.dn),
        Operation::Abandon(_) | Operation::Extended(_) | Operation::Unbind => None,
    }
}
