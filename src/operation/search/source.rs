//! Where a search's candidates come from: the store, suffix by suffix, or a list made beforehand.

use std::sync::Arc;

use bytes::Bytes;

use super::lens::{Lens, is_in_scope};
use super::paged::Place;
use crate::backend::{Candidate, Candidates, Query, Reach, Resume, StoreError, TokenStore};
use crate::entry::StoredEntry;
use crate::protocol::message::Scope;
use crate::schema::{NormalizedDn, Schema};

/// An entry that may match.
pub(super) struct Found {
    pub(super) key: NormalizedDn,
    pub(super) entry: Arc<StoredEntry>,
    pub(super) place: Place,
}

/// A stream of candidates.
pub(super) enum Source {
    /// Searches of the store, one after another.
    Store { parts: Vec<Query>, part: u16, open: Option<Box<dyn Candidates>> },
    /// Entries made beforehand, in scope; those before `at` have been given.
    Made { entries: Vec<(NormalizedDn, Arc<StoredEntry>)>, at: usize },
}

/// A resume point that is not valid (any more).
#[derive(Debug)]
pub(super) struct Stale;

impl Source {
    /// Searches of the store.
    pub(super) const fn store(parts: Vec<Query>) -> Self {
        Self::Store { parts, part: 0, open: None }
    }

    /// Of made entries, those in the search's scope.
    pub(super) fn made(made: Vec<(NormalizedDn, Arc<StoredEntry>)>, lens: &Lens) -> Self {
        let entries = made.into_iter().filter(|(key, _)| is_in_scope(&lens.base, lens.scope, key)).collect();
        Self::Made { entries, at: 0 }
    }

    /// Goes on at a place that was given before.
    pub(super) fn resume(
        &mut self,
        place: &Place,
        store: &dyn TokenStore,
    ) -> Result<Result<(), Stale>, StoreError> {
        match self {
            Self::Made { at, entries } => {
                let Some(octets) = place.resume.first_chunk::<4>() else { return Ok(Err(Stale)) };
                *at = (u32::from_be_bytes(*octets) as usize).min(entries.len());
            }
            Self::Store { parts, part, open } => {
                let Some(query) = parts.get(usize::from(place.part)) else { return Ok(Err(Stale)) };
                let Some(stream) = store.open(query, Some(&Resume(place.resume.clone())))? else {
                    return Ok(Err(Stale));
                };
                *part = place.part;
                *open = Some(stream);
            }
        }
        Ok(Ok(()))
    }

    /// The first search of the store that no index serves. Those that are opened for that and come first stay open.
    pub(super) fn unindexed(&mut self, store: &dyn TokenStore) -> Result<Option<&Query>, StoreError> {
        let Self::Store { parts, part, open } = self else { return Ok(None) };
        for (number, query) in parts.iter().enumerate() {
            let is_indexed = match (number == usize::from(*part), &mut *open) {
                (true, Some(stream)) => stream.is_indexed(),
                (is_next, open) => {
                    let Some(stream) = store.open(query, None)? else { continue };
                    let is_indexed = stream.is_indexed();
                    if is_next {
                        *open = Some(stream);
                    }
                    is_indexed
                }
            };
            if !is_indexed && query.scope != Scope::Base {
                return Ok(Some(query));
            }
        }
        Ok(None)
    }

    /// Appends candidates, having looked at no more than about `budget` places. `waits` says whether the disk may be waited
    /// for.
    pub(super) fn next(
        &mut self,
        budget: usize,
        waits: bool,
        store: &dyn TokenStore,
        schema: &Schema,
        out: &mut Vec<Found>,
    ) -> Result<Reach, StoreError> {
        match self {
            Self::Made { entries, at } => {
                let batch = entries.iter().enumerate().skip(*at).take(budget);
                let before = out.len();
                for (index, (key, entry)) in batch {
                    let next = u32::try_from(index + 1).unwrap_or(u32::MAX);
                    let resume = Bytes::copy_from_slice(&next.to_be_bytes());
                    let place = Place { part: 0, resume };
                    out.push(Found { key: key.clone(), entry: Arc::clone(entry), place });
                }
                *at += out.len() - before;
                Ok(if *at < entries.len() { Reach::More } else { Reach::End })
            }
            Self::Store { parts, part, open } => {
                let Some(query) = parts.get(usize::from(*part)) else { return Ok(Reach::End) };
                let mut stream = match open.take() {
                    Some(stream) => stream,
                    None => match store.open(query, None)? {
                        Some(stream) => stream,
                        None => return Ok(Reach::End),
                    },
                };
                let mut batch = Vec::new();
                let reach = match waits {
                    false => stream.next_at_hand(budget, &mut batch)?,
                    true if stream.next(budget, &mut batch)? => Reach::More,
                    true => Reach::End,
                };
                out.extend(batch.into_iter().filter_map(|candidate| found(candidate, *part, schema)));
                if reach != Reach::End {
                    *open = Some(stream);
                    return Ok(reach);
                }
                *part += 1;
                Ok(if usize::from(*part) < parts.len() { Reach::More } else { Reach::End })
            }
        }
    }
}

fn found(candidate: Candidate, part: u16, schema: &Schema) -> Option<Found> {
    let key = NormalizedDn::parse(candidate.entry.dn(), schema).ok()?;
    Some(Found { key, entry: candidate.entry, place: Place { part, resume: candidate.resume.0 } })
}
