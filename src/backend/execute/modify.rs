//! Changing an entry's content.

use std::sync::Arc;

use smallvec::SmallVec;

use super::super::store::Edit;
use super::{Effect, Executor, Outcome, Pushed, guarded, nothing};
use crate::changelog::{Csn, Op};
use crate::schema::NormalizedDn;

impl Executor {
    pub(super) fn modify(
        &mut self,
        target: NormalizedDn,
        mut edit: Box<dyn Edit>,
        is_trial: bool,
    ) -> Outcome {
        let (id, current) = self.target(&target)?;
        let Some(verdict) = guarded(|| edit.decide(&current))? else {
            return Ok(nothing(target, Some(Arc::clone(&current)), Some(current)));
        };
        let csn = if is_trial { Csn::ZERO } else { self.next_csn() };
        let after = self.next_version(&current, current.dn(), csn, &verdict.user, &verdict.operational);
        if is_trial {
            return Ok(nothing(target, Some(current), Some(after)));
        }
        let (parent, children) = self.links(id)?;
        let (csn, sequence, image) = self.push(&Pushed {
            op: Op::Modify,
            csn,
            id,
            uuid: current.uuid(),
            add_csn: current.add_csn(),
            parent,
            parent_uuid: None,
            payload: &verdict.effects,
            after: Some(&after),
        })?;
        self.change(id)?.entry = Some(Arc::clone(&after));
        self.performed(Effect {
            id,
            image,
            parent,
            children,
            before: Some(current),
            after: Some(after),
            old_name: None,
            new_name: None,
            counts: SmallVec::new(),
            key: target,
            new_key: None,
            csn,
            oseq: 0,
            sequence,
        })
    }
}
