//! Deleting an entry, or a subtree.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::StoreError;
use super::super::index::key::after;
use super::super::index_store::{EntryId, Visit};
use super::super::store::{ChangeError, EntryCheck};
use super::super::view::name_key;
use super::{Effect, Executor, MAX_SUBTREE, Outcome, Pushed, guarded, nothing, refused};
use crate::changelog::Op;
use crate::entry::StoredEntry;
use crate::protocol::result::ResultCode;
use crate::schema::NormalizedDn;

impl Executor {
    pub(super) fn delete(
        &mut self,
        target: &NormalizedDn,
        mut check: EntryCheck,
        subtree: bool,
        is_trial: bool,
    ) -> Outcome {
        let (id, current) = self.target(target)?;
        // Before anything is told of what is below it.
        guarded(|| check(&current))?;
        if self.links(id)?.1 == 0 {
            if is_trial {
                return Ok(nothing(target.clone(), Some(current), None));
            }
            return self.delete_one(target, id, current, false);
        }
        if !subtree {
            return Err(refused(
                ResultCode::NOT_ALLOWED_ON_NON_LEAF,
                "the entry has children; the subtree delete control deletes them too".to_owned(),
            ));
        }
        let mut doomed = vec![(target.clone(), id)];
        let mut at = 0;
        while let Some((key, id)) = doomed.get(at).cloned() {
            for (rdn, child) in self.children(id)? {
                doomed.push((key.child_of_key(&rdn), child));
            }
            if doomed.len() > MAX_SUBTREE {
                return Err(refused(
                    ResultCode::ADMIN_LIMIT_EXCEEDED,
                    format!("the subtree has more than {MAX_SUBTREE} entries; delete parts of it first"),
                ));
            }
            at += 1;
        }
        let mut entries = Vec::with_capacity(doomed.len());
        for (_, id) in &doomed {
            let entry = self.entry(*id)?.ok_or_else(|| {
                ChangeError::Store(StoreError::Corrupt(format!("entry {} of a subtree is not there", id.0)))
            })?;
            guarded(|| check(&entry))?;
            entries.push(entry);
        }
        if is_trial {
            return Ok(nothing(target.clone(), Some(current), None));
        }
        // Parents come before their children in the list, so backwards each entry is a leaf when its turn comes.
        let mut last = None;
        for ((key, id), entry) in doomed.iter().zip(entries).rev() {
            last = Some(self.delete_one(key, *id, entry, true)?);
        }
        last.ok_or_else(|| refused(ResultCode::OTHER, "nothing was deleted".to_owned()))
    }

    /// The children of an entry: RDN keys and ids.
    fn children(&self, id: EntryId) -> Result<Vec<(Vec<u8>, EntryId)>, StoreError> {
        let mut children = BTreeMap::new();
        let from = id.to_bytes();
        let to = after(&from);
        self.view.store.range(self.view.names, &from, to.as_deref(), &mut |key, value| {
            if let (Some(rdn), Some(child)) = (key.get(8..), EntryId::from_tail(value)) {
                children.insert(rdn.to_vec(), child);
            }
            if children.len() > MAX_SUBTREE { Visit::Stop } else { Visit::Continue }
        })?;
        for (name, child) in self.overlay.names_below(id) {
            let Some(rdn) = name.get(8..) else { continue };
            match child {
                Some(child) => children.insert(rdn.to_vec(), child),
                None => children.remove(rdn),
            };
        }
        Ok(children.into_iter().collect())
    }

    fn delete_one(
        &mut self,
        target: &NormalizedDn,
        id: EntryId,
        current: Arc<StoredEntry>,
        subtree: bool,
    ) -> Outcome {
        let (parent, _) = self.links(id)?;
        let csn = self.next_csn();
        let (csn, sequence, image) = self.push(&Pushed {
            op: Op::Delete,
            csn,
            id,
            uuid: current.uuid(),
            add_csn: current.add_csn(),
            parent,
            parent_uuid: None,
            payload: &[u8::from(subtree)],
            after: None,
        })?;
        let rdn = if parent == EntryId::ROOT { target.as_bytes() } else { target.rdn_key() };
        let name = name_key(parent, rdn);
        self.overlay.set_name(&name, None, self.number);
        let pending = self.change(id)?;
        pending.is_gone = true;
        pending.entry = None;
        self.parents.remove(target.as_bytes());
        let counts = self.count(parent, -1)?.into_iter().collect();
        self.performed(Effect {
            id,
            image,
            parent,
            children: 0,
            before: Some(current),
            after: None,
            old_name: Some(name),
            new_name: None,
            counts,
            key: target.clone(),
            new_key: None,
            csn,
            oseq: 0,
            sequence,
        })
    }
}
