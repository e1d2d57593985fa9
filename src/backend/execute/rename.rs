//! Renaming and moving an entry.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use super::super::index_store::EntryId;
use super::super::store::Edit;
use super::super::view::name_key;
use super::{Effect, Executor, Outcome, Pushed, guarded, nothing, refused};
use crate::ber::write;
use crate::changelog::{Csn, Op};
use crate::protocol::result::ResultCode;
use crate::schema::NormalizedDn;

impl Executor {
    pub(super) fn rename(
        &mut self,
        target: NormalizedDn,
        new_dn: &str,
        new_key: NormalizedDn,
        mut edit: Box<dyn Edit>,
        is_trial: bool,
    ) -> Outcome {
        let (id, current) = self.target(&target)?;
        let (old_parent, children) = self.links(id)?;
        if children > 0 {
            return Err(refused(
                ResultCode::UNWILLING_TO_PERFORM,
                "an entry with children cannot be renamed or moved".to_owned(),
            ));
        }
        if old_parent == EntryId::ROOT {
            return Err(refused(
                ResultCode::UNWILLING_TO_PERFORM,
                "a base entry cannot be renamed".to_owned(),
            ));
        }
        if new_key != target && target.covers(&new_key) {
            return Err(refused(
                ResultCode::UNWILLING_TO_PERFORM,
                "an entry cannot be moved below itself".to_owned(),
            ));
        }
        let Some((parent, parent_uuid)) = self.parent_of(new_key.as_bytes())? else {
            return Err(self.no_such_object(new_key.as_bytes(), "the new parent entry does not exist"));
        };
        if parent == EntryId::ROOT {
            return Err(refused(
                ResultCode::ENTRY_ALREADY_EXISTS,
                "the new name is a base entry's".to_owned(),
            ));
        }
        if new_key != target && self.child(parent, new_key.rdn_key())?.is_some() {
            return Err(refused(
                ResultCode::ENTRY_ALREADY_EXISTS,
                "an entry of the new name exists".to_owned(),
            ));
        }
        let Some(verdict) = guarded(|| edit.decide(&current))? else {
            return Ok(nothing(target, Some(Arc::clone(&current)), Some(current)));
        };
        let csn = if is_trial { Csn::ZERO } else { self.next_csn() };
        let after = self.next_version(&current, new_dn, csn, &verdict.user, &verdict.operational);
        if is_trial {
            return Ok(nothing(target, Some(current), Some(after)));
        }
        let mut payload = BytesMut::with_capacity(new_dn.len() + verdict.effects.len() + 8);
        let rdn = crate::name::Dn::parse(new_dn).ok().and_then(|dn| dn.rdn().map(ToString::to_string));
        write::octets(&mut payload, rdn.unwrap_or_default().as_bytes());
        payload.put_slice(&verdict.effects);
        let (csn, sequence, image) = self.push(&Pushed {
            op: Op::Rename,
            csn,
            id,
            uuid: current.uuid(),
            add_csn: current.add_csn(),
            parent,
            parent_uuid,
            payload: &payload,
            after: Some(&after),
        })?;
        let old_name = name_key(old_parent, target.rdn_key());
        let new_name = name_key(parent, new_key.rdn_key());
        self.overlay.set_name(&old_name, None, self.number);
        self.overlay.set_name(&new_name, Some(id), self.number);
        let pending = self.change(id)?;
        pending.entry = Some(Arc::clone(&after));
        pending.parent = parent;
        self.parents.remove(target.as_bytes());
        let mut counts = SmallVec::new();
        if parent != old_parent {
            counts.extend(self.count(old_parent, -1)?);
            counts.extend(self.count(parent, 1)?);
        }
        self.performed(Effect {
            id,
            image,
            parent,
            children,
            before: Some(current),
            after: Some(after),
            old_name: Some(old_name),
            new_name: Some(new_name),
            counts,
            key: target,
            new_key: Some(new_key),
            csn,
            oseq: 0,
            sequence,
        })
    }
}
