//! Indexes built anew and compared with the entries; sizes.

use std::sync::Arc;

use crate::access::Privilege;
use crate::backend::{Backend, DataStore, Rebuild};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::task::class::{Class, Done, Handle, Source, Work};

/// Differences that a task's log names.
const NAMED: usize = 100;

fn refuse(code: ResultCode, text: impl Into<String>) -> LdapResult {
    LdapResult::with(code, text.into())
}

/// The indexes that an entry names, which there must be.
fn named(source: &Source<'_>) -> Result<Vec<String>, LdapResult> {
    let names = source.all("ds-task-rebuild-index");
    match source.context.backend.current().unknown_indexes(&names).first() {
        Some(unknown) => {
            Err(refuse(ResultCode::UNWILLING_TO_PERFORM, format!("there is no index {unknown}")))
        }
        None => Ok(names),
    }
}

struct RebuildWork {
    backend: Arc<DataStore>,
    which: Rebuild,
}

/// `RebuildTask`.
pub(super) fn rebuild() -> Class {
    Class::new(&["RebuildTask"], &[Privilege::LdifImport], |source| {
        source.required("ds-task-rebuild-base-dn")?;
        source.base_dns("ds-task-rebuild-base-dn")?;
        let names = source.all("ds-task-rebuild-index");
        let special = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word));
        let which = if special("all") {
            Rebuild::All
        } else if special("degraded") {
            Rebuild::Degraded
        } else if names.is_empty() {
            let text = "a rebuild task needs ds-task-rebuild-index: names, all, or degraded";
            return Err(refuse(ResultCode::OBJECT_CLASS_VIOLATION, text));
        } else {
            Rebuild::Named(named(source)?)
        };
        Ok(Box::new(RebuildWork { backend: Arc::clone(&source.context.backend), which }))
    })
}

impl Work for RebuildWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        let built = self.backend.current().rebuild(&self.which, &mut |done, total| {
            handle.progress("rebuilding: entries", done, total);
            !handle.is_cancelled()
        });
        match built.map_err(|error| error.to_string())? {
            names if names.is_empty() => handle.say("rebuilt indexes=0: none needs it"),
            names => handle.say(format!("rebuilt indexes={}: {}", names.len(), names.join(" "))),
        }
        Ok(Done::Successfully)
    }
}

struct VerifyWork {
    backend: Arc<DataStore>,
    names: Option<Vec<String>>,
}

/// Ours: compares indexes with entries; all if no name is given.
pub(super) fn verify_class() -> Class {
    Class::new(&["ds-task-verify"], &[Privilege::ConfigRead], |source| {
        source.base_dns("ds-task-rebuild-base-dn")?;
        let names = named(source)?;
        let names = (!names.is_empty()).then_some(names);
        Ok(Box::new(VerifyWork { backend: Arc::clone(&source.context.backend), names }))
    })
}

impl Work for VerifyWork {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        verify(&self.backend.current(), self.names.as_deref(), handle)
    }
}

/// Verifies, and tells the differences.
pub(crate) fn verify(backend: &Backend, names: Option<&[String]>, handle: &Handle) -> Result<Done, String> {
    let report = backend.verify(names, &mut |what, done, total| {
        if what == "entries" {
            handle.progress("verifying: entries", done, total);
        }
        !handle.is_cancelled()
    });
    let report = report.map_err(|error| error.to_string())?;
    for name in &report.left_out {
        handle.say(format!("left out index={name}: it is not ready"));
    }
    report.found.iter().take(NAMED).for_each(|found| handle.say(found.to_string()));
    handle.say(format!(
        "verified entries={} keys={} records={} differences={}",
        report.entries, report.keys, report.records, report.differences
    ));
    Ok(if report.differences == 0 { Done::Successfully } else { Done::WithErrors })
}

struct Stat(Arc<DataStore>);

/// Ours: tells sizes.
pub(super) fn stat() -> Class {
    Class::new(&["ds-task-backend-stat"], &[Privilege::ConfigRead], |source| {
        Ok(Box::new(Stat(Arc::clone(&source.context.backend))))
    })
}

impl Work for Stat {
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String> {
        figures(&self.0.current()).into_iter().for_each(|line| handle.say(line));
        Ok(Done::Successfully)
    }
}

/// Sizes of the store, one figure a line.
pub(crate) fn figures(backend: &Backend) -> Vec<String> {
    let stats = backend.stats();
    let mut lines = vec![
        format!("entries={}", stats.entries),
        format!(
            "log segments={} compacted={} octets={} live-octets={} dead-octets={} file-octets={} spares={} \
             first-sequence={} last-sequence={}",
            stats.log.segments,
            stats.compacted,
            stats.log.octets,
            stats.live_octets,
            stats.log.octets.saturating_sub(stats.live_octets),
            stats.file_octets,
            stats.log.spares,
            stats.log.first_sequence,
            stats.log.last_sequence
        ),
        format!("cache octets={} hits={} misses={}", stats.cache_bytes, stats.cache_hits, stats.cache_misses),
        format!(
            "commits groups={} group-size={:.1} syncs={} syncs-per-second={:.1} effective-purge-delay={}s",
            stats.log.groups,
            stats.group_size,
            stats.log.syncs,
            stats.syncs_per_second,
            stats.effective_purge_delay.as_secs()
        ),
    ];
    lines.extend(backend.segments().iter().map(|one| {
        format!(
            "segment number={} octets={} file-octets={} live-entries={} live-octets={} dead-octets={} compacted={}",
            one.number,
            one.octets,
            one.size,
            one.live_entries,
            one.live_octets,
            one.octets.saturating_sub(one.live_octets),
            one.is_compacted
        )
    }));
    let trees = backend.memory();
    let total: u64 = trees.iter().map(|(_, octets)| octets).sum();
    lines.extend(trees.into_iter().map(|(name, octets)| format!("tree name={name} octets={octets}")));
    lines.push(format!("trees octets={total}"));
    lines
}
