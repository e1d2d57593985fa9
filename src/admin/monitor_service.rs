//! What `cn=monitor` tells of listeners, waiting work, logs and the process.

use std::path::Path;

use super::monitor_entries::Item;
use crate::protocol::message::OperationKind;
use crate::protocol::result::ResultCode;
use crate::telemetry::{LogReport, ProcessReport, Totals, host};

/// Requests that were refused because too much waited.
fn busy(totals: &Totals) -> u64 {
    let codes = totals.operations.iter().flat_map(|operation| &operation.codes);
    codes.filter(|(code, _)| *code == ResultCode::BUSY).map(|(_, count)| count).sum()
}

/// What waits, and what was turned away because too much did.
pub(super) fn work_queue(item: &mut Item<'_>, totals: &[(String, Totals)], capacity: usize, waiting: u64) {
    let sum = |pick: fn(&Totals) -> u64| totals.iter().map(|(_, totals)| pick(totals)).sum();
    item.number("maxWorkQueueCapacity", capacity as u64);
    item.number("currentRequestBacklog", waiting);
    item.number("requestsSubmitted", sum(Totals::initiated));
    item.number("requestsInProgress", sum(|totals| totals.initiated().saturating_sub(totals.completed())));
    item.number("requestsRejectedDueToQueueFull", sum(busy));
}

/// What became of a log's records.
pub(super) fn log(item: &mut Item<'_>, log: &LogReport) {
    let LogReport { name, records, octets, dropped, failed } = log;
    item.text(
        "ds-cts-log-publisher",
        &format!("\"{name}\" records={records} octets={octets} dropped={dropped} failed={failed}"),
    );
}

/// The process and its machine.
pub(super) fn system(item: &mut Item<'_>, instance: &Path) {
    let process = ProcessReport::now();
    item.number("availableCPUs", process.processors);
    item.number("residentMemory", process.resident);
    item.number("peakResidentMemory", process.peak_resident);
    item.number("dataMemory", process.own_data);
    item.number("swappedMemory", process.swapped);
    item.number("threads", process.threads);
    item.number("openFiles", process.open_files);
    item.number("maxOpenFiles", process.most_files);
    item.number("processId", process.id);
    item.text("allocator", "jemalloc");
    let (name, release) = host();
    item.text("systemName", &name);
    item.text("operatingSystem", std::env::consts::OS);
    item.text("operatingSystemVersion", &release);
    item.text("architecture", std::env::consts::ARCH);
    item.text("workingDirectory", &instance.display().to_string());
    item.text("instancePath", &instance.display().to_string());
}

/// The words for an operation: in `…Requests`, and in `ds-mon-…-operations-total-count`.
const fn words(kind: OperationKind) -> (&'static str, &'static str) {
    match kind {
        OperationKind::Abandon => ("abandon", "abandon"),
        OperationKind::Add => ("add", "add"),
        OperationKind::Bind => ("bind", "bind"),
        OperationKind::Compare => ("compare", "compare"),
        OperationKind::Delete => ("delete", "delete"),
        OperationKind::Extended => ("extended", "extended"),
        OperationKind::Modify => ("modify", "mod"),
        OperationKind::ModifyDn => ("modifyDN", "moddn"),
        OperationKind::Search => ("search", "search"),
        OperationKind::Unbind => ("unbind", "unbind"),
    }
}

/// What a listener counts.
pub(super) fn statistics(item: &mut Item<'_>, totals: &Totals) {
    item.number("bytesRead", totals.bytes_read);
    item.number("bytesWritten", totals.bytes_written);
    item.number("ldapMessagesRead", totals.messages_read);
    item.number("ldapMessagesWritten", totals.messages_written);
    item.number("operationsInitiated", totals.initiated());
    item.number("operationsCompleted", totals.completed());
    item.number("connectionsEstablished", totals.total_connections);
    item.number("connectionsClosed", totals.total_connections.saturating_sub(totals.current_connections));
    item.number("searchResultEntries", totals.entries);
    item.number("searchResultsDone", 0);
    item.number("persistentSearches", totals.persistent_searches);
    item.number("persistentSearchNotifications", totals.notifications);
    item.number("unindexedSearches", totals.unindexed_searches);
    for operation in &totals.operations {
        let (word, short) = words(operation.kind);
        item.number(&format!("{word}Requests"), operation.requests);
        match operation.kind {
            OperationKind::Abandon => item.number("operationsAbandoned", operation.requests),
            OperationKind::Unbind => {}
            OperationKind::Search => {
                item.builder.remove("searchResultsDone");
                item.number("searchResultsDone", operation.responses);
            }
            _ => item.number(&format!("{word}Responses"), operation.responses),
        }
        item.number(&format!("ds-mon-{short}-operations-total-count"), operation.responses);
        let ms = u64::try_from(operation.total_time.as_millis()).unwrap_or(u64::MAX);
        item.number(&format!("ds-mon-resident-time-{short}-operations-total-time"), ms);
        if operation.responses > 0 {
            let took = &operation.latencies;
            for (name, time) in [
                ("p50", took.percentile(50.0)),
                ("p90", took.percentile(90.0)),
                ("p99", took.percentile(99.0)),
                ("max", took.max()),
            ] {
                let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                item.number(&format!("ds-mon-{short}-operations-{name}-time"), microseconds);
            }
        }
        for (code, count) in &operation.codes {
            item.text("ds-cts-result-count", &format!("{word} {} {count}", code.0));
        }
    }
}
