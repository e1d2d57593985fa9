//! One entry, one key, one name against all the others.

use std::sync::Arc;

use super::{Difference, difference};
use crate::backend::StoreError;
use crate::backend::index::{IndexSet, Keys, key};
use crate::backend::index_store::{EntryId, Slot, TreeId, Visit};
use crate::backend::pieces;
use crate::backend::view::{NameKey, View, name_key, parent_key};
use crate::entry::StoredEntry;
use crate::schema::{NormalizedDn, Schema};

/// The current version, past the cache if it is not in it: what is hot stays.
pub(crate) fn read(view: &View, id: EntryId) -> Result<Option<(Slot, Arc<StoredEntry>)>, StoreError> {
    loop {
        let Some(slot) = view.store.slot(id)? else { return Ok(None) };
        if let Some(entry) = view.cache.get(id, slot.place) {
            return Ok(Some((slot, entry)));
        }
        match pieces::read(&view.log, slot.place) {
            Ok(entry) => return Ok(Some((slot, Arc::new(entry)))),
            Err(error) => match view.store.slot(id)? {
                Some(now) if now.place == slot.place => return Err(error),
                _ => {}
            },
        }
    }
}

/// Whether an index is still in force: trees of others look empty.
fn is_in_force(view: &View, tree: TreeId) -> bool {
    view.indexes.load().indexes.iter().any(|index| index.tree == tree)
}

fn name_of(set: &IndexSet, tree: TreeId) -> &str {
    set.indexes.iter().find(|index| index.tree == tree).map_or("", |index| index.name.as_str())
}

pub(super) fn check_entry(
    view: &View,
    schema: &Schema,
    id: EntryId,
    trees: &[TreeId],
    whole: bool,
    keys: &mut Keys,
) -> Result<Vec<Difference>, StoreError> {
    let mut found = Vec::new();
    let (slot, entry) = match read(view, id) {
        Ok(Some(current)) => current,
        Ok(None) => return Ok(found),
        Err(error) => {
            if whole {
                found.push(difference("entries", &id.to_bytes(), "", format!("cannot be read: {error}")));
            }
            return Ok(found);
        }
    };
    let set = view.indexes.load_full();
    let is_wanted = |tree: TreeId| trees.contains(&tree) && set.indexes.iter().any(|one| one.tree == tree);
    set.keys(id, &entry, &|index| index.progress.is_ready() && is_wanted(index.tree), keys);
    for (tree, key) in keys.iter() {
        if !view.store.get(tree, key, &mut |_| ())? && is_in_force(view, tree) {
            let start = key::split(key).map_or(key, |(start, _)| start);
            found.push(difference(name_of(&set, tree), start, entry.dn(), "a key of the entry is missing"));
        }
    }
    if !whole {
        return Ok(found);
    }
    let Ok(dn) = NormalizedDn::parse(entry.dn(), schema) else {
        found.push(difference("entries", &id.to_bytes(), entry.dn(), "its DN does not parse"));
        return Ok(found);
    };
    let is_suffix = slot.parent == EntryId::ROOT;
    let Some(name) = name_of_entry(&slot, &entry, schema) else { return Ok(found) };
    let mut named = None;
    view.store.get(view.names, &name, &mut |value| named = EntryId::from_tail(value))?;
    if named != Some(id) {
        let what = if named.is_some() { "its name leads to another entry" } else { "its name is missing" };
        found.push(difference("names", &name, entry.dn(), what));
    }
    if !is_suffix && view.walk(parent_key(dn.as_bytes()), |id, rdn| view.child(id, rdn))? != Some(slot.parent)
    {
        found.push(difference("names", &name, entry.dn(), "it is not below the entry that its DN says"));
    }
    Ok(found)
}

/// The key under which an entry's name must be; none if its DN does not parse.
pub(crate) fn name_of_entry(slot: &Slot, entry: &StoredEntry, schema: &Schema) -> Option<NameKey> {
    let dn = NormalizedDn::parse(entry.dn(), schema).ok()?;
    let is_suffix = slot.parent == EntryId::ROOT;
    Some(name_key(slot.parent, if is_suffix { dn.as_bytes() } else { dn.rdn_key() }))
}

pub(super) fn check_key(
    view: &View,
    tree: TreeId,
    key: &[u8],
    keys: &mut Keys,
) -> Result<Option<Difference>, StoreError> {
    let set = view.indexes.load_full();
    if !set.indexes.iter().any(|index| index.tree == tree) || !view.store.get(tree, key, &mut |_| ())? {
        return Ok(None);
    }
    let name = name_of(&set, tree);
    let Some((start, id)) = key::split(key) else {
        return Ok(Some(difference(name, key, "", "a key is too short")));
    };
    let entry = match read(view, id) {
        Ok(Some((_, entry))) => entry,
        Ok(None) => return Ok(Some(difference(name, start, "", "a key leads to an entry that is gone"))),
        // Told with the entry.
        Err(_) => return Ok(None),
    };
    set.keys(id, &entry, &|index| index.tree == tree, keys);
    let is_own = keys.iter().any(|(_, own)| own == key);
    Ok((!is_own)
        .then(|| difference(name, start, entry.dn(), "a key leads to an entry that has no such value")))
}

pub(crate) fn check_name(
    view: &View,
    schema: &Schema,
    name: &[u8],
) -> Result<Option<Difference>, StoreError> {
    let mut id = None;
    if !view.store.get(view.names, name, &mut |value| id = EntryId::from_tail(value))? {
        return Ok(None);
    }
    let fault = |dn: &str, what: &str| Ok(Some(difference("names", name, dn, what)));
    let Some(id) = id else { return fault("", "a name leads nowhere") };
    let (slot, entry) = match read(view, id) {
        Ok(Some(current)) => current,
        Ok(None) => return fault("", "a name leads to an entry that is gone"),
        Err(_) => return Ok(None),
    };
    match name_of_entry(&slot, &entry, schema) {
        Some(own) if own.as_slice() != name => {}
        _ => return Ok(None),
    }
    fault(entry.dn(), "a name leads to an entry of another name")
}

/// The names below an entry, counted up to about `bound`.
pub(crate) fn count_children(view: &View, id: EntryId, bound: u64) -> Result<u64, StoreError> {
    let end = EntryId(id.0.saturating_add(1)).to_bytes();
    let mut counted = 0;
    view.store.range(view.names, &id.to_bytes(), Some(&end), &mut |_, _| {
        counted += 1;
        if counted < bound { Visit::Continue } else { Visit::Stop }
    })?;
    Ok(counted)
}

/// A counter that does not tell how many names there are.
#[derive(Debug, Clone)]
pub(crate) struct Miscount {
    pub(crate) difference: Difference,
    /// What is to be added to the counter.
    pub(crate) by: i64,
}

pub(super) fn miscounted(view: &View, id: EntryId, slot: &Slot, counted: u64) -> Option<Miscount> {
    if counted == slot.children {
        return None;
    }
    let dn = view.current(id).ok().flatten().map(|(_, entry)| entry.dn().to_owned()).unwrap_or_default();
    let what = format!("the counter says {}, the names are {counted}", slot.children);
    let by = i64::try_from(counted).unwrap_or(i64::MAX) - i64::try_from(slot.children).unwrap_or(i64::MAX);
    Some(Miscount { difference: difference("children", &id.to_bytes(), &dn, what), by })
}
