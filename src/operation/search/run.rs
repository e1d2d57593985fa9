//! A search in progress: it takes candidates, sends what matches, and stops at the first limit. It works in slices,
//! so that a long one neither holds its thread nor outruns its client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::lens::{Children, Lens};
use super::paged::Place;
use super::persistent::Listener;
use super::sort::{Sorted, Sorting};
use super::source::{Found, Source};
use crate::access::Readable;
use crate::backend::{Reach, Reading};
use crate::operation::answer::Exchange;
use crate::operation::sight::Sight;
use crate::operation::{Served, outcome};
use crate::protocol::control::paged;
use crate::protocol::encode::ResponseControl;
use crate::protocol::result::{LdapResult, ResultCode};

/// Candidates looked at before a search leaves its caller's thread.
const FIRST_SLICE: usize = 128;
/// Candidates looked at between two looks at the room of the connection.
const SLICE: usize = 256;
/// Candidates that are read from the disk before they are looked at.
const COLD_SLICE: usize = 64;
/// Octets waiting to be written above which the first slice ends early.
const FIRST_SLICE_OCTETS: usize = 1 << 18;
/// Candidates between two looks at the clock.
const CLOCK_EVERY: u32 = 64;

/// A limit and whose it is; none is no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) value: u32,
    pub(super) whose: &'static str,
}

/// The smaller of what the request wants and what the requester may; 0 is none.
pub(super) const fn smaller(wanted: u32, allowed: u32, attribute: &'static str) -> Option<Bound> {
    match (wanted, allowed) {
        (0, 0) => None,
        (wanted, allowed) if allowed == 0 || (wanted != 0 && wanted <= allowed) => {
            Some(Bound { value: wanted, whose: "the request" })
        }
        (_, allowed) => Some(Bound { value: allowed, whose: attribute }),
    }
}

/// The limits of one search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) size: Option<Bound>,
    pub(super) time: Option<Bound>,
    /// 0 is none.
    pub(super) lookthrough: u32,
}

/// The page a search is asked for.
pub(super) struct Page {
    /// Entries; at least 1.
    pub(super) size: u32,
    /// What binds a cookie to the query.
    pub(super) digest: u64,
}

/// A search in progress.
pub(super) struct Run {
    pub(super) exchange: Exchange,
    pub(super) lens: Arc<Lens>,
    pub(super) source: Source,
    pub(super) bounds: Bounds,
    pub(super) page: Option<Page>,
    pub(super) sorting: Option<Sorting>,
    /// Goes on listening when the entries that are there have been sent.
    pub(super) listener: Option<Arc<Listener>>,
    /// Controls of the answer that are known beforehand.
    pub(super) controls: Vec<ResponseControl>,
    /// The answer if no entry is found, whatever else would be: the base must not be seen.
    pub(super) unless_found: Option<LdapResult>,
    /// Sends no entry: the first one that is found is all that is to be known.
    pub(super) is_mute: bool,
    progress: Progress,
}

#[derive(Default)]
struct Progress {
    batch: std::vec::IntoIter<Found>,
    is_exhausted: bool,
    /// Candidates need no test any more: they were sorted, so they matched.
    is_tested: bool,
    looked: u32,
    /// Where the last entry sent was found.
    last: Option<Place>,
}

/// How far a slice came.
enum Step {
    More,
    /// What comes next has to be read from the disk.
    Cold,
    Done(LdapResult),
}

impl Run {
    /// A search that has not begun.
    pub(super) fn new(exchange: Exchange, lens: Arc<Lens>, source: Source, bounds: Bounds) -> Self {
        Self {
            exchange,
            lens,
            source,
            bounds,
            page: None,
            sorting: None,
            listener: None,
            controls: Vec::new(),
            unless_found: None,
            is_mute: false,
            progress: Progress::default(),
        }
    }

    /// Works off a first slice at once; the rest, if any, goes on beside other requests.
    pub(super) fn start(mut self) -> Served {
        match self.step(FIRST_SLICE, true) {
            Step::Done(result) => {
                self.end(&result);
                Served::Answered
            }
            Step::More | Step::Cold => Served::Beside(Box::pin(self.go_on())),
        }
    }

    async fn go_on(mut self) {
        let connection = Arc::clone(&self.exchange.call().connection);
        loop {
            if !std::future::poll_fn(|context| connection.poll_room(context)).await {
                return self.exchange.forget();
            }
            match self.step(SLICE, false) {
                Step::Done(result) => return self.end(&result),
                Step::More => tokio::task::yield_now().await,
                Step::Cold => {
                    if let Some(result) = self.read().await {
                        return self.end(&result);
                    }
                }
            }
        }
    }

    /// Has the next candidates read by a thread that may wait for the disk; a result ends the search.
    async fn read(&mut self) -> Option<LdapResult> {
        let store = Arc::clone(self.exchange.store());
        let schema = Arc::clone(&self.exchange.schema);
        let empty = Source::Made { entries: Vec::new(), at: 0 };
        let mut source = std::mem::replace(&mut self.source, empty);
        let (sender, read) = tokio::sync::oneshot::channel();
        let reading = Arc::clone(&store);
        let job = move || {
            let mut out = Vec::with_capacity(COLD_SLICE);
            let reach = source.next(COLD_SLICE, true, &*reading, &schema, &mut out);
            let _ = sender.send((source, reach, out));
        };
        store.read_beside(Reading::Many, Box::new(job));
        let Ok((source, reach, out)) = read.await else {
            return Some(LdapResult::new(
                ResultCode::OTHER,
                "the search failed inside the server; see its log",
            ));
        };
        self.source = source;
        self.progress.batch = out.into_iter();
        match reach {
            Ok(reach) => self.progress.is_exhausted = reach == Reach::End,
            Err(error) => return Some(outcome::store_error(&error)),
        }
        None
    }

    fn end(self, result: &LdapResult) {
        let Self { exchange, listener, controls, unless_found, progress, .. } = self;
        if let Some(hidden) = unless_found.filter(|_| progress.last.is_none()) {
            if let Some(listener) = listener {
                listener.withdraw(exchange.directory());
            }
            return exchange.finish(&hidden);
        }
        match listener {
            Some(listener) if result.code == ResultCode::SUCCESS && !exchange.is_ended() => {
                listener.go_live(exchange);
            }
            Some(listener) => {
                listener.withdraw(exchange.directory());
                exchange.finish_with(result, &controls);
            }
            None => exchange.finish_with(result, &controls),
        }
    }

    fn step(&mut self, budget: usize, is_first: bool) -> Step {
        let directory = Arc::clone(self.exchange.directory());
        let schema = Arc::clone(&self.exchange.schema);
        let context = Children { directory: &directory, schema: &schema };
        let sight = self.exchange.sight.clone();
        let mut left = budget;
        loop {
            let Some(found) = self.progress.batch.next() else {
                if self.progress.is_exhausted {
                    match self.exhausted() {
                        Some(result) => return Step::Done(result),
                        None => continue,
                    }
                }
                if left == 0 || self.exchange.is_ended() {
                    return if left == 0 { Step::More } else { Step::Done(LdapResult::success()) };
                }
                // Few at first: a search that wants one entry should not read a hundred.
                let batch = left.min(if self.progress.looked == 0 { 16 } else { 128 });
                left -= batch;
                let mut out = Vec::with_capacity(batch);
                match self.source.next(batch, false, &*directory.store, &schema, &mut out) {
                    Ok(Reach::Cold) if out.is_empty() => return Step::Cold,
                    Ok(reach) => self.progress.is_exhausted = reach == Reach::End,
                    Err(error) => return Step::Done(outcome::store_error(&error)),
                }
                self.progress.batch = out.into_iter();
                if is_first && self.exchange.connection().queued() > FIRST_SLICE_OCTETS {
                    left = 0;
                }
                continue;
            };
            if let Some(result) = self.look(&found, &sight, &context) {
                return Step::Done(result);
            }
        }
    }

    /// Looks at one candidate; a result ends the search.
    fn look(&mut self, found: &Found, sight: &Sight, context: &Children<'_>) -> Option<LdapResult> {
        if !self.progress.is_tested {
            if let Some(result) = self.limits() {
                return Some(result);
            }
            self.progress.looked += 1;
        }
        let readable = if self.progress.is_tested {
            sight.of(&found.entry, &found.key)?
        } else {
            self.lens.finds(sight, &found.entry, &found.key, context)?
        };
        if let Some(sorting) = &mut self.sorting {
            let place =
                Found { key: found.key.clone(), entry: Arc::clone(&found.entry), place: found.place.clone() };
            return match sorting.take(place, sight) {
                Ok(()) => None,
                Err(refusal) => self.unsorted(refusal, sight),
            };
        }
        self.send(found, sight, &readable)
    }

    fn send(&mut self, found: &Found, sight: &Sight, readable: &Readable<'_>) -> Option<LdapResult> {
        if self.is_mute {
            self.progress.last = Some(found.place.clone());
            return Some(LdapResult::success());
        }
        let sent = self.exchange.entries;
        let limit = self.bounds.size;
        if let Some(page) = &self.page {
            let size = limit.map_or(page.size, |limit| limit.value.min(page.size));
            if sent >= size {
                self.turn_page();
                return Some(LdapResult::success());
            }
        } else if let Some(limit) = limit.filter(|limit| sent >= limit.value) {
            let text = format!(
                "more entries match than the size limit of {} ({}) allows to return",
                limit.value, limit.whose
            );
            return Some(LdapResult::with(ResultCode::SIZE_LIMIT_EXCEEDED, text));
        }
        self.lens.show(&mut self.exchange, sight, &found.entry, readable, &[]);
        self.progress.last = Some(found.place.clone());
        None
    }

    /// There is more: the cookie says where.
    fn turn_page(&mut self) {
        if let (Some(page), Some(last)) = (&self.page, &self.progress.last) {
            let cookie = self.exchange.directory().cookies.cookie(page.digest, last);
            self.controls.push(paged::response(0, cookie));
        }
        self.page = None;
    }

    fn limits(&mut self) -> Option<LdapResult> {
        let looked = self.progress.looked;
        let lookthrough = self.bounds.lookthrough;
        if lookthrough != 0 && looked >= lookthrough {
            let is_page_full = self.page.as_ref().is_some_and(|page| self.exchange.entries >= page.size);
            if is_page_full {
                // The page is there, only whether it is the last one is not known.
                self.turn_page();
                return Some(LdapResult::success());
            }
            let text = format!(
                "the search would look at more entries than the look-through limit of {lookthrough} \
                 (ds-rlim-lookthrough-limit) allows"
            );
            return Some(LdapResult::with(ResultCode::ADMIN_LIMIT_EXCEEDED, text));
        }
        if looked.is_multiple_of(CLOCK_EVERY) {
            if self.exchange.is_ended() {
                return Some(LdapResult::success());
            }
            let limit = self.bounds.time?;
            if self.exchange.elapsed() > Duration::from_secs(limit.value.into()) {
                let text = format!("the time limit of {} s ({}) has passed", limit.value, limit.whose);
                return Some(LdapResult::with(ResultCode::TIME_LIMIT_EXCEEDED, text));
            }
        }
        None
    }

    /// All candidates were looked at. No result: sorted entries are to be sent now.
    fn exhausted(&mut self) -> Option<LdapResult> {
        if let Some(sorting) = self.sorting.take() {
            self.controls.push(sorting.response());
            self.go_through(sorting.finish());
            return None;
        }
        if self.page.take().is_some() {
            self.controls.push(paged::response(0, Bytes::new()));
        }
        Some(LdapResult::success())
    }

    fn go_through(&mut self, sorted: Sorted) {
        let skip = sorted.skip;
        self.source = Source::Made { entries: sorted.entries, at: skip };
        self.progress.is_tested = true;
        self.progress.is_exhausted = false;
        self.progress.batch = Vec::new().into_iter();
    }

    /// Too many to sort: the end, if the client insists; else they come as they are found.
    fn unsorted(&mut self, refusal: LdapResult, sight: &Sight) -> Option<LdapResult> {
        let sorting = self.sorting.take()?;
        self.controls.push(sorting.refused(refusal.code));
        if sorting.is_critical() {
            return Some(LdapResult { code: ResultCode::UNAVAILABLE_CRITICAL_EXTENSION, ..refusal });
        }
        for found in sorting.give_back() {
            let Some(readable) = sight.of(&found.entry, &found.key) else { continue };
            if let Some(result) = self.send(&found, sight, &readable) {
                return Some(result);
            }
        }
        None
    }
}
