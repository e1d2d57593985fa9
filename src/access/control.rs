//! Keeps the ACIs current.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use super::aci::Aci;
use super::bind_rule::Lookup;
use super::right::AciError;
use super::set::AccessSet;
use crate::backend::{Committed, Query, StoreError, TokenStore};
use crate::clock::{Clock, SystemClock};
use crate::entry::{CompiledFilter, StoredEntry};
use crate::protocol::filter::Filter;
use crate::protocol::message::Scope;
use crate::schema::{NormalizedDn, Schema};

/// Whether the text is an ACI that `holder` (the root for a global one) can hold; says where it goes wrong.
pub fn check_aci(text: &str, holder: &NormalizedDn, schema: &Schema) -> Result<(), AciError> {
    Aci::compile(text, holder, schema).map(drop)
}

/// Keeps the [`AccessSet`] current: globals from the configuration, `aci` values from the entries of the store.
/// Private suffixes (the root DSE, `cn=config`, `cn=schema`, `cn=monitor`, …) are covered by globals alone: nobody
/// calls [`Self::set_entry`] for an entry that the store does not hold.
pub struct AccessControl {
    state: Mutex<State>,
    current: ArcSwap<AccessSet>,
    lookup: Option<Lookup>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct State {
    schema: Arc<Schema>,
    globals: Vec<Arc<Aci>>,
    held: BTreeMap<NormalizedDn, Vec<Arc<Aci>>>,
}

impl std::fmt::Debug for AccessControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessControl").field("current", &self.current.load()).finish_non_exhaustive()
    }
}

impl Default for AccessControl {
    fn default() -> Self {
        Self::new(Arc::default(), None)
    }
}

impl AccessControl {
    /// No ACI at all: everything is refused but to who bypasses access control. `lookup` finds the entries of groups; a
    /// rule about a group neither allows nor lets a denial fail without it.
    pub fn new(schema: Arc<Schema>, lookup: Option<Lookup>) -> Self {
        Self::with_clock(schema, lookup, Arc::new(SystemClock::new()))
    }

    /// As [`Self::new`], with the clock that the rules `timeofday` and `dayofweek` ask.
    pub fn with_clock(schema: Arc<Schema>, lookup: Option<Lookup>, clock: Arc<dyn Clock>) -> Self {
        let empty = AccessSet::build(Arc::clone(&schema), lookup.clone(), Arc::clone(&clock), Vec::new());
        let state = State { schema, ..State::default() };
        Self { state: Mutex::new(state), current: ArcSwap::from_pointee(empty), lookup, clock }
    }

    /// No ACI yet; groups are looked up in the store.
    pub fn over(store: Arc<dyn TokenStore>, schema: Arc<Schema>) -> Self {
        Self::new(schema, Some(Arc::new(move |key| store.get(key))))
    }

    /// The set in force.
    pub fn current(&self) -> Arc<AccessSet> {
        self.current.load_full()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: &State) {
        let acis = state.globals.iter().chain(state.held.values().flatten()).cloned().collect();
        let (schema, clock) = (Arc::clone(&state.schema), Arc::clone(&self.clock));
        let set = AccessSet::build(schema, self.lookup.clone(), clock, acis);
        self.current.store(Arc::new(set));
    }

    /// Replaces the global ACIs, all or none. The error quotes the text at fault.
    pub fn set_globals(&self, texts: &[String], schema: &Arc<Schema>) -> Result<(), AciError> {
        let compiled = compile(texts, &NormalizedDn::root(), schema)?;
        let mut state = self.lock();
        state.globals = compiled;
        state.adopt(schema);
        self.publish(&state);
        Ok(())
    }

    /// Replaces the ACIs that an entry holds (empty: it holds none any more), all or none.
    pub fn set_entry(
        &self,
        dn: &NormalizedDn,
        texts: &[String],
        schema: &Arc<Schema>,
    ) -> Result<(), AciError> {
        let compiled = compile(texts, dn, schema)?;
        let mut state = self.lock();
        state.adopt(schema);
        if compiled.is_empty() {
            state.held.remove(dn);
        } else {
            state.held.insert(dn.clone(), compiled);
        }
        self.publish(&state);
        Ok(())
    }

    /// Looks all ACIs up anew in a changed schema. What cannot be an ACI any more stays as it was.
    pub fn set_schema(&self, schema: &Arc<Schema>) {
        let mut state = self.lock();
        state.adopt(schema);
        self.publish(&state);
    }

    /// Replaces the ACIs of all entries by those in the store; to be called before the first client is served. Returns the values that are no ACIs, with the DN of their
    /// entry; they grant and deny nothing.
    pub fn load(
        &self,
        store: &dyn TokenStore,
        schema: &Arc<Schema>,
    ) -> Result<Vec<(String, AciError)>, StoreError> {
        let filter = Arc::new(CompiledFilter::compile(&Filter::Present("aci".into()), schema));
        let mut held = BTreeMap::new();
        let mut faults = Vec::new();
        let mut found = Vec::new();
        for (_, base) in store.suffixes() {
            if store.get(&base)?.is_none() {
                continue;
            }
            let query = Query { base, scope: Scope::Subtree, filter: Arc::clone(&filter) };
            let Some(mut candidates) = store.open(&query, None)? else { continue };
            loop {
                let goes_on = candidates.next(1024, &mut found)?;
                for candidate in found.drain(..) {
                    let entry = &candidate.entry;
                    let texts = texts(entry);
                    let Ok(key) = NormalizedDn::parse(entry.dn(), schema) else { continue };
                    let acis = compile_each(&texts, &key, schema, |error| {
                        faults.push((entry.dn().to_owned(), error));
                    });
                    if !acis.is_empty() {
                        held.insert(key, acis);
                    }
                }
                if !goes_on {
                    break;
                }
            }
        }
        let mut state = self.lock();
        state.held = held;
        state.adopt(schema);
        self.publish(&state);
        Ok(faults)
    }

    /// Follows changes of the store; to be called on the applying thread, before they are acknowledged
    /// ([`crate::backend::ChangeListener::applied`]). Costs a look at each new version's operational attributes unless an
    /// `aci`, or a group that some ACI asks about, is concerned. Values that are no ACIs (the operations let none pass)
    /// grant and deny nothing and are logged.
    pub fn applied(&self, changes: &[Committed], schema: &Arc<Schema>) {
        let current = self.current.load();
        let concerns = |change: &Committed| {
            current.holds(&change.key)
                || current.asks_group(&change.key)
                || change.new_key.as_ref().is_some_and(|key| current.asks_group(key))
                || change.after.as_deref().is_some_and(has_aci)
                // A move takes the holders below along.
                || change.new_key.is_some()
        };
        if !changes.iter().any(concerns) {
            return;
        }
        let mut state = self.lock();
        state.adopt(schema);
        for change in changes {
            state.follow(change, schema);
        }
        self.publish(&state);
    }
}

impl State {
    /// Takes a schema; compiles all anew unless it is the one there is.
    fn adopt(&mut self, schema: &Arc<Schema>) {
        if Arc::ptr_eq(&self.schema, schema) {
            return;
        }
        self.schema = Arc::clone(schema);
        for aci in self.globals.iter_mut().chain(self.held.values_mut().flatten()) {
            if let Ok(anew) = Aci::compile(&aci.text, &aci.holder, schema) {
                *aci = Arc::new(anew);
            }
        }
    }

    fn follow(&mut self, change: &Committed, schema: &Schema) {
        let log =
            |error: AciError| tracing::error!(%error, "an entry's aci value is no ACI and has no effect");
        if let Some(new_key) = &change.new_key {
            let below: Vec<_> = self.held.keys().filter(|key| change.key.covers(key)).cloned().collect();
            for old in below {
                let Some(acis) = self.held.remove(&old) else { continue };
                let rest = old.as_bytes().get(change.key.as_bytes().len()..).unwrap_or_default();
                let moved = NormalizedDn::from_bytes(&[new_key.as_bytes(), rest].concat());
                let texts: Vec<_> = acis.iter().map(|aci| aci.text.clone()).collect();
                self.held.insert(moved.clone(), compile_each(&texts, &moved, schema, log));
            }
        }
        let key = change.new_key.as_ref().unwrap_or(&change.key);
        let texts = change.after.as_deref().map(texts).unwrap_or_default();
        if texts.is_empty() {
            self.held.remove(key);
        } else {
            self.held.insert(key.clone(), compile_each(&texts, key, schema, log));
        }
    }
}

/// Looks at the operational attributes alone: this is asked of every change.
fn has_aci(entry: &StoredEntry) -> bool {
    entry.operational().iter().any(|attribute| attribute.description == "aci")
}

fn texts(entry: &StoredEntry) -> Vec<String> {
    super::values(entry, "aci")
        .into_iter()
        .flatten()
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

fn compile(texts: &[String], holder: &NormalizedDn, schema: &Schema) -> Result<Vec<Arc<Aci>>, AciError> {
    let one = |text: &String| {
        Aci::compile(text, holder, schema)
            .map(Arc::new)
            .map_err(|error| AciError { reason: format!("{} (in `{text}`)", error.reason), ..error })
    };
    texts.iter().map(one).collect()
}

fn compile_each(
    texts: &[String],
    holder: &NormalizedDn,
    schema: &Schema,
    mut fault: impl FnMut(AciError),
) -> Vec<Arc<Aci>> {
    let compiled = texts.iter().filter_map(|text| match Aci::compile(text, holder, schema) {
        Ok(aci) => Some(Arc::new(aci)),
        Err(error) => {
            fault(error);
            None
        }
    });
    compiled.collect()
}
