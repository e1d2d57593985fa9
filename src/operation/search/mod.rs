//! Search (RFC 4511 §4.5): from the base entry to the answer, by the shortest way that will do.
//!
//! The heartbeat of OpenAM's client and a read of one entry look at that entry alone; all else goes through
//! [`run`], over candidates of the store or over the entries of a virtual backend.

mod explain;
mod lens;
pub(super) mod paged;
pub(super) mod persistent;
mod rights;
mod run;
mod sort;
mod source;

use std::sync::Arc;

use bytes::Bytes;

pub(super) use lens::Children;
use lens::Lens;
use persistent::Listener;
use rights::Rights;
use run::{Bounds, Page, Run, smaller};
use sort::Sorting;
use source::Source;

use super::answer::Exchange;
use super::place::{self, Place};
use super::sight::Condition;
use super::{Served, outcome, pipeline};
use crate::access::Privilege;
use crate::backend::{Query, Reading, TokenStore};
use crate::entry::{Selection, StoredEntry, ValuesFilter};
use crate::protocol::control::persistent_search::PersistentSearchRequest;
use crate::protocol::control::{ControlKind, RequestControls, paged as paged_control};
use crate::protocol::encode::ResponseControl;
use crate::protocol::filter::Filter;
use crate::protocol::message::{Operation, Request, Scope, SearchRequest};
use crate::protocol::oid;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves a search.
pub(super) fn serve(mut exchange: Exchange) -> Served {
    let request = exchange.request().clone();
    let Operation::Search(search) = request.operation() else { return Served::Answered };
    if search.base.is_empty() && is_heartbeat(&request, &search) && beat(&mut exchange) {
        exchange.finish(&LdapResult::success());
        return Served::Answered;
    }
    match glance(&exchange, &search) {
        // One that listens does so before the next request is taken, or the changes of that one could be missed. It comes
        // once in a connection's life, so its base is read here and now.
        Glance::Cold(_) if is_persistent(&request) => serve_from(exchange, &request, &search, None),
        Glance::Cold(key) => Served::Beside(Box::pin(serve_cold(exchange, key))),
        Glance::Base(base) => serve_from(exchange, &request, &search, base),
    }
}

/// What is known of the base before anything is waited for.
enum Glance {
    /// The key and the entry, if it is stored at all; an error is met again later.
    Base(Option<(NormalizedDn, Option<Arc<StoredEntry>>)>),
    /// The disk has to be waited for.
    Cold(NormalizedDn),
}

fn glance(exchange: &Exchange, search: &SearchRequest<'_>) -> Glance {
    let Ok(key) = NormalizedDn::parse(search.base, &exchange.schema) else { return Glance::Base(None) };
    let directory = exchange.directory();
    match place::of(directory, &key) {
        Place::Virtual(_) => Glance::Base(None),
        Place::Stored => match directory.store.glance(&key) {
            Ok(Some(entry)) => Glance::Base(Some((key, entry))),
            Ok(None) => Glance::Cold(key),
            Err(_) => Glance::Base(None),
        },
    }
}

/// Serves a search whose base entry has to be read from the disk, on a thread that may wait for it.
async fn serve_cold(exchange: Exchange, key: NormalizedDn) {
    let store = Arc::clone(exchange.store());
    let (sender, read) = tokio::sync::oneshot::channel();
    let reading = Arc::clone(&store);
    let job = move || {
        let entry = reading.get(&key);
        let _ = sender.send((key, entry));
    };
    store.read_beside(Reading::One, Box::new(job));
    let base = match read.await {
        Ok((key, Ok(entry))) => Some((key, entry)),
        _ => None,
    };
    let request = exchange.request().clone();
    let Operation::Search(search) = request.operation() else { return };
    if let Served::Beside(rest) = serve_from(exchange, &request, &search, base) {
        rest.await;
    }
}

fn serve_from(
    mut exchange: Exchange,
    request: &Request,
    search: &SearchRequest<'_>,
    base: Option<(NormalizedDn, Option<Arc<StoredEntry>>)>,
) -> Served {
    match prepare(&mut exchange, request, search, base) {
        Err(refusal) => {
            exchange.finish(&refusal);
            Served::Answered
        }
        Ok(Plan::Done(result, controls)) => {
            exchange.finish_with(&result, &controls);
            Served::Answered
        }
        Ok(Plan::Run(plan)) => plan.start(exchange),
    }
}

/// The way a search takes.
enum Plan {
    /// All has been sent already.
    Done(LdapResult, Vec<ResponseControl>),
    Run(Box<Search>),
}

/// A search over candidates, ready to run.
struct Search {
    lens: Lens,
    source: Source,
    bounds: Bounds,
    page: Option<Page>,
    sorting: Option<Sorting>,
    controls: Vec<ResponseControl>,
    persistent: Option<PersistentSearchRequest>,
    /// The answer if no entry is found: the base must not be seen.
    unless_found: Option<LdapResult>,
}

impl Search {
    fn start(self, exchange: Exchange) -> Served {
        let lens = Arc::new(self.lens);
        let listener = self
            .persistent
            .map(|request| (request, Listener::register(Arc::clone(&lens), request, exchange.directory())));
        let is_mute = listener.as_ref().is_some_and(|(request, _)| request.changes_only);
        if let Some((_, listener)) = listener.as_ref().filter(|_| is_mute && self.unless_found.is_none()) {
            listener.go_live(exchange);
            return Served::Answered;
        }
        let mut run = Run::new(exchange, lens, self.source, self.bounds);
        run.is_mute = is_mute;
        run.page = self.page;
        run.sorting = self.sorting;
        run.controls = self.controls;
        run.unless_found = self.unless_found;
        run.listener = listener.map(|(_, listener)| listener);
        run.start()
    }
}

/// Whether the request asks for changes as they come.
fn is_persistent(request: &Request) -> bool {
    request.controls().any(|control| control.oid == oid::PERSISTENT_SEARCH)
}

/// Whether the request is what OpenAM's client sends every few seconds (cts-contract.md §1.5).
fn is_heartbeat(request: &Request, search: &SearchRequest<'_>) -> bool {
    let mut attributes = search.attributes.iter();
    search.scope == Scope::Base
        && attributes.next() == Some("1.1")
        && attributes.next().is_none()
        && matches!(&search.filter, Filter::Present(name) if name.eq_ignore_ascii_case("objectClass"))
        && request.controls().is_empty()
}

/// Answers a heartbeat from the root DSE made last; false if there is none or it must not be seen.
fn beat(exchange: &mut Exchange) -> bool {
    let Some(root) = exchange.directory().root_dse.load_full() else { return false };
    if !exchange.sight.sees(&root, &NormalizedDn::root()) {
        return false;
    }
    exchange.entry("", &[], &[]);
    true
}

fn prepare(
    exchange: &mut Exchange,
    request: &Request,
    search: &SearchRequest<'_>,
    base: Option<(NormalizedDn, Option<Arc<StoredEntry>>)>,
) -> Result<Plan, LdapResult> {
    let (base, entry) = match base {
        Some((key, entry)) => (key, Some(entry)),
        None => (place::key(search.base, "search base", &exchange.schema)?, None),
    };
    let mut controls = pipeline::admit(exchange, request, &base)?;
    let schema = Arc::clone(&exchange.schema);
    let lens = Lens {
        base,
        scope: search.scope,
        filter: Condition::of(&search.filter, &schema),
        selection: Selection::compile(search.attributes, search.types_only, &schema),
        values: controls.matched_values.as_deref().map(|items| ValuesFilter::compile(items, &schema)),
        subentries: controls.subentries,
        rights: match controls.effective_rights.take() {
            None => None,
            Some(request) => Rights::of(exchange, request, search)?.map(Box::new),
        },
    };
    if controls.persistent_search.is_some() {
        bound_persistent(exchange)?;
    }
    let directory = Arc::clone(exchange.directory());
    let found = match place::of(&directory, &lens.base) {
        Place::Virtual(backend) => {
            let entries = backend.entries(&directory, &exchange.sight.who)?;
            let base = entries.iter().find(|(key, _)| *key == lens.base).map(|(_, entry)| Arc::clone(entry));
            if lens.base == NormalizedDn::root() {
                directory.root_dse.store(base.clone());
            }
            Base { entry: base, made: Some(entries) }
        }
        Place::Stored => Base {
            entry: match entry {
                Some(entry) => entry,
                None => directory.store.get(&lens.base).map_err(|error| outcome::store_error(&error))?,
            },
            made: None,
        },
    };
    let is_all = lens.base == NormalizedDn::root() && lens.scope != Scope::Base;
    if stands_unseen(exchange, &lens, &found, &controls) {
        let source = Source::store(parts(&*directory.store, &lens, false));
        return plan(exchange, search, &mut controls, lens, source);
    }
    if let Some(hidden) = hidden(exchange, &lens, &found, &controls, search) {
        let mut source = match found.made {
            Some(made) => Source::made(made, &lens),
            None => Source::store(parts(&*directory.store, &lens, false)),
        };
        // Without an index it is as if the base were not there, which needs none.
        if check_index(exchange, &mut source).is_err() {
            return Err(hidden);
        }
        // A later page follows one that found something.
        let is_first = controls.paged.as_ref().is_none_or(|page| page.cookie.is_empty());
        let mut plan = plan(exchange, search, &mut controls, lens, source)?;
        if let Plan::Run(run) = &mut plan {
            run.unless_found = is_first.then_some(hidden);
        }
        return Ok(plan);
    }
    if !is_all {
        let base = visible(exchange, &lens, found.entry.as_ref(), search.base)?;
        if let Some(assertion) = &controls.assertion {
            let context = Children { directory: &directory, schema: &schema };
            let assertion = Condition::of(assertion, &schema);
            pipeline::assert_holds(&assertion, &exchange.sight, base, &lens.base, &context)?;
        }
        if lens.scope == Scope::Base && controls.persistent_search.is_none() {
            return base_only(exchange, &lens, base, &controls);
        }
    }
    let source = if let Some(made) = found.made.filter(|_| !is_all) {
        Source::made(made, &lens)
    } else {
        let parts = parts(&*directory.store, &lens, is_all);
        if explain::is_wanted(search) && explain::may(&exchange.sight) {
            return Ok(Plan::Done(explain::send(exchange, &parts), Vec::new()));
        }
        Source::store(parts)
    };
    plan(exchange, search, &mut controls, lens, source)
}

/// What a search below a base that the requester must not see answers unless it finds something: that the base is not
/// there. None if it is seen, or if nothing below it could be seen either.
///
/// OpenDJ answers success without entries there, which tells that the base exists; a DN is a secret here.
fn hidden(
    exchange: &Exchange,
    lens: &Lens,
    found: &Base,
    controls: &RequestControls<'_>,
    search: &SearchRequest<'_>,
) -> Option<LdapResult> {
    let is_below = lens.scope != Scope::Base && lens.base != NormalizedDn::root();
    let entry = found.entry.as_ref().filter(|_| is_below && controls.assertion.is_none())?;
    let sight = &exchange.sight;
    let may_find = !sight.sees(entry, &lens.base) && sight.access.may_see_below(&sight.who, &lens.base);
    may_find.then(|| outcome::no_such_object(search.base).matched(place::matched(exchange, &lens.base)))
}

/// Whether a persistent search stands below a base that the requester does not see, though nothing may be found there yet:
/// ACIs above the base may show it entries below. They hang on the DN alone, and so does this, whether the base is there or
/// not; otherwise standing would tell. Where ACIs at or below the base show something, see [`hidden`].
fn stands_unseen(exchange: &Exchange, lens: &Lens, found: &Base, controls: &RequestControls<'_>) -> bool {
    let sight = &exchange.sight;
    let is_asked = controls.persistent_search.is_some() && controls.assertion.is_none();
    if !is_asked || lens.scope == Scope::Base || found.made.is_some() {
        return false;
    }
    if found.entry.as_ref().is_some_and(|entry| sight.sees(entry, &lens.base)) {
        return false;
    }
    let store = exchange.store();
    let Some((_, suffix)) = store.suffixes().into_iter().find(|(_, suffix)| suffix.covers(&lens.base)) else {
        return false;
    };
    let is_suffix = suffix == lens.base;
    sight.access.may_see_below_unseen(&sight.who, &lens.base, is_suffix)
        && (sight.has(Privilege::UnindexedSearch) || {
            // Of the suffix: what an index serves below the base may hang on what is there.
            let filter = Arc::clone(&lens.filter.filter);
            store.plan(&Query { base: suffix, scope: Scope::Subtree, filter }).indexed
        })
}

struct Base {
    entry: Option<Arc<StoredEntry>>,
    made: Option<Vec<(NormalizedDn, Arc<StoredEntry>)>>,
}

/// The base entry, or noSuchObject; for who may not see it, it does not exist.
fn visible<'a>(
    exchange: &Exchange,
    lens: &Lens,
    entry: Option<&'a Arc<StoredEntry>>,
    dn: &str,
) -> Result<&'a Arc<StoredEntry>, LdapResult> {
    match entry {
        Some(entry) if exchange.sight.sees(entry, &lens.base) => Ok(entry),
        _ => Err(outcome::no_such_object(dn).matched(place::matched(exchange, &lens.base))),
    }
}

/// A search of the base entry alone.
fn base_only(
    exchange: &mut Exchange,
    lens: &Lens,
    entry: &Arc<StoredEntry>,
    controls: &RequestControls<'_>,
) -> Result<Plan, LdapResult> {
    let directory = Arc::clone(exchange.directory());
    let schema = Arc::clone(&exchange.schema);
    let context = Children { directory: &directory, schema: &schema };
    let wanted = controls.paged.as_ref().is_none_or(|page| page.size > 0 && page.cookie.is_empty());
    if wanted {
        let sight = exchange.sight.clone();
        if let Some(readable) = lens.finds(&sight, entry, &lens.base, &context) {
            lens.show(exchange, &sight, entry, &readable, &[]);
        }
    }
    // Nothing is left, and one entry is sorted.
    let mut answered = Vec::new();
    if let Some(keys) = &controls.sort {
        match Sorting::resolve(keys, false, 0, &schema) {
            Ok(sorting) => answered.push(sorting.response()),
            Err((control, _)) => answered.push(control),
        }
    }
    if controls.paged.is_some() {
        answered.push(paged_control::response(0, Bytes::new()));
    }
    Ok(Plan::Done(LdapResult::success(), answered))
}

/// The store's searches that make up this one: those of all suffixes, if the base is the root.
fn parts(store: &dyn TokenStore, lens: &Lens, is_all: bool) -> Vec<Query> {
    let query = |base: NormalizedDn, scope| Query { base, scope, filter: Arc::clone(&lens.filter.filter) };
    if !is_all {
        return vec![query(lens.base.clone(), lens.scope)];
    }
    let scope = if lens.scope == Scope::One { Scope::Base } else { Scope::Subtree };
    store.suffixes().into_iter().map(|(_, key)| query(key, scope)).collect()
}

/// A search that no index serves needs the privilege (features.md §6).
fn check_index(exchange: &mut Exchange, source: &mut Source) -> Result<(), LdapResult> {
    let store = Arc::clone(exchange.store());
    let unindexed = source.unindexed(&*store).map_err(|error| outcome::store_error(&error))?;
    let Some(query) = unindexed else { return Ok(()) };
    if exchange.sight.who.privileges.has(Privilege::UnindexedSearch) {
        exchange.unindexed = true;
        return Ok(());
    }
    let report = store.plan(query);
    let unindexed = report.unindexed_part.as_deref().unwrap_or("the filter");
    Err(LdapResult::with(
        ResultCode::INSUFFICIENT_ACCESS_RIGHTS,
        format!(
            "the search is not indexed: no index serves {unindexed}; create one, or give the requester the privilege \
             unindexed-search"
        ),
    ))
}

fn bound_persistent(exchange: &Exchange) -> Result<(), LdapResult> {
    let directory = exchange.directory();
    match directory.config.current().global.max_persistent_searches {
        Some(most) if directory.persistent.len() >= most as usize => Err(LdapResult::with(
            ResultCode::ADMIN_LIMIT_EXCEEDED,
            format!("no more than {most} persistent searches (ds-cfg-max-psearches) may stand at once"),
        )),
        _ => Ok(()),
    }
}

fn plan(
    exchange: &mut Exchange,
    search: &SearchRequest<'_>,
    controls: &mut RequestControls<'_>,
    lens: Lens,
    mut source: Source,
) -> Result<Plan, LdapResult> {
    let directory = Arc::clone(exchange.directory());
    let limits = exchange.sight.who.limits;
    let bounds = Bounds {
        size: smaller(search.size_limit, limits.size, "ds-rlim-size-limit"),
        time: smaller(search.time_limit, limits.time, "ds-rlim-time-limit"),
        lookthrough: limits.lookthrough,
    };
    let mut answered = Vec::new();
    let mut resumed = None;
    let page = match controls.paged.take() {
        // An end, asked for (RFC 2696 §3).
        Some(page) if page.size == 0 => {
            answered.push(paged_control::response(0, Bytes::new()));
            source = Source::Made { entries: Vec::new(), at: 0 };
            None
        }
        Some(page) => {
            let generation = directory.store.generation();
            let digest = directory.cookies.digest(generation, &lens.base, lens.scope, search);
            if !page.cookie.is_empty() {
                let refused = || {
                    let text = "the paged results cookie is not of this search, or no longer valid; start with an \
                                empty one";
                    LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text)
                };
                resumed = Some(directory.cookies.place(digest, &page.cookie).ok_or_else(refused)?);
            }
            Some(Page { size: page.size, digest })
        }
        None => None,
    };
    let mut sorting = None;
    if let Some(keys) = controls.sort.take() {
        let critical = controls.is_critical(ControlKind::Sort);
        let skip = resumed.as_ref().and_then(|place| place.resume.first_chunk::<4>());
        let skip = skip.map_or(0, |octets| u32::from_be_bytes(*octets) as usize);
        match Sorting::resolve(&keys, critical, skip, &exchange.schema) {
            Ok(resolved) => {
                sorting = Some(resolved);
                // The place counts sorted entries; all candidates are gathered anew.
                resumed = None;
            }
            Err((_, refusal)) if critical => return Err(refusal),
            Err((control, _)) => answered.push(control),
        }
    }
    if let Some(place) = resumed {
        let went = source.resume(&place, &*directory.store).map_err(|error| outcome::store_error(&error))?;
        if went.is_err() {
            let text =
                "the paged results cookie is no longer valid (an index changed); start with an empty one";
            return Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text));
        }
    }
    check_index(exchange, &mut source)?;
    Ok(Plan::Run(Box::new(Search {
        lens,
        source,
        bounds,
        page,
        sorting,
        controls: answered,
        persistent: controls.persistent_search,
        unless_found: None,
    })))
}
