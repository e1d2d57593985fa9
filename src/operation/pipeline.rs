//! What operations share: the gate their controls pass, the assertion, the entries read before and after a change,
//! and the way of a change through the store.

use std::sync::Arc;

use super::answer::Exchange;
use super::search::Children;
use super::sight::{Condition, Sight, View};
use super::{Errand, identity, outcome, place};
use crate::access::Privilege;
use crate::backend::{Change, ChangeError, ChangeKind, Committed, TokenStore};
use crate::config::Writability;
use crate::entry::{EntryContext, Selection, StoredEntry};
use crate::protocol::control::{ControlKind, RequestControls, read_entry};
use crate::protocol::encode::ResponseControl;
use crate::protocol::message::{OperationKind, Request, Strings};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// Gathers a request's controls and keeps those that the requester may use: a critical one that is denied or
/// unknown ends the request with 12, others are dropped. Proxied authorization takes effect here.
pub(super) fn admit<'r>(
    exchange: &mut Exchange,
    request: &'r Request,
    target: &NormalizedDn,
) -> Result<RequestControls<'r>, LdapResult> {
    let mut controls = RequestControls::gather(request).map_err(|refusal| refusal.result())?;
    if controls.is_empty() {
        return Ok(controls);
    }
    // These two mean nothing to the server, so there is nothing to be granted.
    let asked = |kind: &ControlKind| !matches!(kind, ControlKind::TransactionId | ControlKind::Affinity);
    if controls.has(ControlKind::Proxied) {
        allow(exchange, &mut controls, ControlKind::Proxied, target)?;
        if let Some(authorization) = controls.proxied {
            exchange.sight.who = identity::proxy(exchange, authorization)?;
        }
    }
    let kinds: smallvec::SmallVec<[ControlKind; 4]> = controls.kinds().filter(asked).collect();
    for kind in kinds {
        if kind != ControlKind::Proxied {
            allow(exchange, &mut controls, kind, target)?;
        }
    }
    Ok(controls)
}

fn allow(
    exchange: &Exchange,
    controls: &mut RequestControls<'_>,
    kind: ControlKind,
    target: &NormalizedDn,
) -> Result<(), LdapResult> {
    let sight = &exchange.sight;
    if sight.access.may_control(&sight.who, kind.oid(), target) {
        return Ok(());
    }
    if controls.is_critical(kind) {
        return Err(LdapResult::with(
            ResultCode::UNAVAILABLE_CRITICAL_EXTENSION,
            format!(
                "no access control instruction lets the requester use control {} ({})",
                kind.oid(),
                kind.name()
            ),
        ));
    }
    controls.forget(kind);
    Ok(())
}

/// Refuses (122) unless the assertion is true of the entry and may be asked of it.
pub(super) fn assert_holds(
    assertion: &Condition,
    sight: &Sight,
    entry: &StoredEntry,
    key: &NormalizedDn,
    context: &dyn EntryContext,
) -> Result<(), LdapResult> {
    if !sight.may_ask(assertion, entry, key) {
        return Err(outcome::denied("the assertion asks about attributes that the requester may not search"));
    }
    if assertion.is_true(entry, context) {
        Ok(())
    } else {
        Err(LdapResult::new(ResultCode::ASSERTION_FAILED, "the assertion is not true of the entry"))
    }
}

/// What the controls of a write ask for; owned, so that it can go to the sequencer.
#[derive(Clone, Default)]
pub(super) struct WriteControls {
    pub(super) assertion: Option<Arc<Condition>>,
    pre_read: Option<Arc<Selection>>,
    post_read: Option<Arc<Selection>>,
    pub(super) is_no_op: bool,
    pub(super) is_permissive: bool,
    pub(super) is_subtree: bool,
}

impl WriteControls {
    /// Resolves the controls of a write.
    pub(super) fn of(controls: &RequestControls<'_>, schema: &Schema) -> Self {
        let selection = |names: Strings<'_>| Arc::new(Selection::compile(names, false, schema));
        let assertion = controls.assertion.as_ref().map(|filter| Arc::new(Condition::of(filter, schema)));
        Self {
            assertion,
            pre_read: controls.pre_read.map(selection),
            post_read: controls.post_read.map(selection),
            is_no_op: controls.has(ControlKind::NoOp),
            is_permissive: controls.has(ControlKind::PermissiveModify),
            is_subtree: controls.has(ControlKind::SubtreeDelete),
        }
    }

    /// The controls of the answer to a change.
    fn answered(&self, exchange: &Exchange, change: &Committed) -> smallvec::SmallVec<[ResponseControl; 2]> {
        let mut controls = smallvec::SmallVec::new();
        if let Some((selection, before)) = self.pre_read.as_ref().zip(change.before.as_ref()) {
            controls.push(read(exchange, selection, before, &change.key, read_entry::pre_read));
        }
        if let Some((selection, after)) = self.post_read.as_ref().zip(change.after.as_ref()) {
            let key = change.new_key.as_ref().unwrap_or(&change.key);
            controls.push(read(exchange, selection, after, key, read_entry::post_read));
        }
        controls
    }
}

/// The entry as the requester may read it; without any attribute if it must not be seen.
fn read(
    exchange: &Exchange,
    selection: &Selection,
    entry: &StoredEntry,
    key: &NormalizedDn,
    control: fn(&str, &[&[u8]]) -> ResponseControl,
) -> ResponseControl {
    let schema = &exchange.schema;
    match exchange.sight.of(entry, key) {
        None => control(entry.dn(), &[]),
        Some(readable) => {
            let context = Children { directory: exchange.directory(), schema };
            let view = View { selection, values: None, schema, context: &context };
            view.project(&exchange.sight, &readable, entry, |slices| control(entry.dn(), slices))
        }
    }
}

/// Refuses a write where the configuration lets nobody write, or the disk has no room for it.
pub(super) fn writable(exchange: &Exchange, is_delete: bool) -> Result<(), LdapResult> {
    let config = exchange.directory().config.load();
    let data = config.data().map_or(Writability::Enabled, |data| data.writability);
    if config.global.writability == Writability::Enabled && data == Writability::Enabled {
        let is_root = exchange.sight.who.privileges.has(Privilege::BypassLockdown);
        let room = exchange.directory().store.writable(is_root, is_delete);
        return room.map_err(|error| outcome::store_error(&error));
    }
    let text = "the server takes no writes of clients (ds-cfg-writability-mode)";
    Err(LdapResult::new(ResultCode::UNWILLING_TO_PERFORM, text))
}

/// Refuses the controls that entries which are made, not stored, cannot honour; those that are not critical and
/// harmless to leave out are ignored.
pub(super) fn virtual_controls(controls: &RequestControls<'_>) -> Result<(), LdapResult> {
    use ControlKind::{Assertion, NoOp, PostRead, PreRead, SubtreeDelete};
    let needed = [Assertion, NoOp, SubtreeDelete].into_iter().find(|&kind| controls.has(kind));
    let needed = needed.or_else(|| [PreRead, PostRead].into_iter().find(|&kind| controls.is_critical(kind)));
    match needed {
        None => Ok(()),
        Some(kind) => Err(LdapResult::with(
            ResultCode::UNAVAILABLE_CRITICAL_EXTENSION,
            format!("control {} ({}) is not available on this entry", kind.oid(), kind.name()),
        )),
    }
}

/// Hands a change to the store; the exchange is answered when it is durable and visible, or refused.
pub(super) fn submit(exchange: Exchange, target: NormalizedDn, kind: ChangeKind, controls: WriteControls) {
    let kind = if controls.is_no_op { ChangeKind::Trial(Box::new(kind)) } else { kind };
    let store = Arc::clone(exchange.store());
    let mut reply = Box::new(Reply { exchange, controls, outcome: None });
    let done = move |outcome: Result<Committed, ChangeError>| {
        reply.outcome = Some(outcome);
        let connection = Arc::clone(&reply.exchange.call().connection);
        connection.bring(reply);
    };
    store.submit(Change { target, kind, done: Box::new(done) });
}

/// The answer to a change, made where the connection is served: the store's thread only says what came of it.
struct Reply {
    exchange: Exchange,
    controls: WriteControls,
    outcome: Option<Result<Committed, ChangeError>>,
}

impl Errand for Reply {
    fn run(self: Box<Self>) {
        let Self { exchange, controls, outcome } = *self;
        if let Some(outcome) = outcome {
            answer(exchange, &controls, outcome);
        }
    }
}

fn answer(exchange: Exchange, controls: &WriteControls, outcome: Result<Committed, ChangeError>) {
    match outcome {
        Ok(change) => {
            let answered = controls.answered(&exchange, &change);
            let result = if controls.is_no_op {
                LdapResult::new(
                    ResultCode::NO_OPERATION,
                    "nothing was changed, as asked; it would have worked",
                )
            } else {
                LdapResult::success()
            };
            exchange.finish_with(&result, &answered);
        }
        Err(error) => {
            let mut result = outcome::change_error(error);
            if result.code == ResultCode::NO_SUCH_OBJECT {
                // The same words for what is not there and for what must not be seen.
                result.matched = place::disclosed(&exchange, std::mem::take(&mut result.matched));
                match exchange.request().kind() {
                    OperationKind::Add => result.diagnostic = "the parent entry does not exist".into(),
                    OperationKind::ModifyDn => {}
                    _ => result.diagnostic = outcome::NO_ENTRY.into(),
                }
            }
            exchange.finish(&result);
        }
    }
}

/// What answers who may not do something to an entry: 50, or for who must not know of the entry, 32 as if it were not
/// there.
pub(super) fn refuse(
    sight: &Sight,
    entry: &StoredEntry,
    key: &NormalizedDn,
    store: &dyn TokenStore,
    why: LdapResult,
) -> LdapResult {
    if sight.sees(entry, key) {
        return why;
    }
    let above = key.parent().map(|parent| store.deepest(&parent));
    outcome::no_such_object("").matched(above.unwrap_or_default())
}
