//! Add (RFC 4511 §4.7): the attributes are looked at once; what the client left out (superior classes, RDN values)
//! is completed.

use std::sync::Arc;

use bytes::BytesMut;

use super::answer::Exchange;
use super::pipeline::{self, WriteControls};
use super::place::{self, Place};
use super::search::Children;
use super::stamp::Stamp;
use super::{Served, guarded, outcome, password};
use crate::access::Right;
use crate::auth::{Secret, random_id};
use crate::backend::{ChangeKind, NewEntry};
use crate::entry::{EntryBuilder, EntryParts, EntryUuid, Naming, StoredEntry, take_rdn};
use crate::protocol::encode;
use crate::protocol::message::{AddRequest, Operation, Request};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::NormalizedDn;

/// Serves an add.
pub(super) fn serve(mut exchange: Exchange) -> Served {
    let request = exchange.request().clone();
    let Operation::Add(add) = request.operation() else { return Served::Answered };
    match prepare(&mut exchange, &request, &add) {
        Err(result) => exchange.finish(&result),
        Ok(mut prepared) if prepared.passwords.is_empty() => match prepared.new_entry(&exchange) {
            Ok(entry) => prepared.submit(exchange, entry),
            Err(result) => exchange.finish(&result),
        },
        Ok(prepared) => return Served::Before(Box::pin(hash_and_submit(exchange, prepared))),
    }
    Served::Answered
}

/// An add that passed what can be checked beforehand.
struct Prepared {
    target: NormalizedDn,
    dn: String,
    builder: EntryBuilder,
    controls: WriteControls,
    passwords: Vec<Option<Secret>>,
}

async fn hash_and_submit(exchange: Exchange, mut prepared: Prepared) {
    let directory = Arc::clone(exchange.directory());
    let passwords = std::mem::take(&mut prepared.passwords);
    let entry = match password::encode(&directory, passwords).await {
        Ok(encoded) => {
            let mut encoded = encoded.into_iter();
            let next = |_: &[u8]| Ok::<_, LdapResult>(encoded.next().flatten());
            let replaced = prepared.builder.map_values(password::ATTRIBUTE, next);
            replaced.and_then(|()| prepared.new_entry(&exchange))
        }
        Err(result) => Err(result),
    };
    match entry {
        Ok(entry) => prepared.submit(exchange, entry),
        Err(result) => exchange.finish(&result),
    }
}

impl Prepared {
    /// Encodes the entry, and asks for the right to add it.
    fn new_entry(&mut self, exchange: &Exchange) -> Result<NewEntry, LdapResult> {
        let random = random_id().map_err(|error| super::bind::auth_error(&error))?;
        let uuid = EntryUuid::v4(random);
        let (user, given) = self.builder.encode();
        let stamp = Stamp::now(exchange);
        let mut operational = BytesMut::with_capacity(given.len() + 2 * stamp.who.len() + 128);
        operational.extend_from_slice(&given);
        for (name, value) in [
            ("creatorsName", stamp.who.as_bytes()),
            ("createTimestamp", stamp.time.as_bytes()),
            ("modifiersName", stamp.who.as_bytes()),
            ("modifyTimestamp", stamp.time.as_bytes()),
        ] {
            if !value.is_empty() {
                encode::attribute(&mut operational, name, std::iter::once(value));
            }
        }
        let entry =
            NewEntry { dn: std::mem::take(&mut self.dn), uuid, user, operational: operational.freeze() };
        self.check_access(exchange, &entry)?;
        Ok(entry)
    }

    fn check_access(&self, exchange: &Exchange, entry: &NewEntry) -> Result<(), LdapResult> {
        let sight = &exchange.sight;
        // Without the content an ACI that looks at it grants nothing, so a grant is one for any content.
        let is_granted = sight.access.may_entry(&sight.who, Right::Add, None, &self.target);
        if is_granted && self.controls.assertion.is_none() {
            return Ok(());
        }
        let whole = StoredEntry::compose(&EntryParts {
            dn: &entry.dn,
            uuid: entry.uuid,
            etag_state: 0,
            add_csn: [0; 12],
            last_csn: [0; 12],
            user: &entry.user,
            operational: &entry.operational,
        });
        if !is_granted && !sight.access.may_add(&sight.who, &whole, &self.target) {
            return Err(outcome::denied("the requester may not add this entry"));
        }
        match &self.controls.assertion {
            Some(assertion) => {
                let context = Children { directory: exchange.directory(), schema: &exchange.schema };
                pipeline::assert_holds(assertion, sight, &whole, &self.target, &context)
            }
            None => Ok(()),
        }
    }

    fn submit(self, exchange: Exchange, entry: NewEntry) {
        pipeline::submit(exchange, self.target, ChangeKind::Add { entry, check: None }, self.controls);
    }
}

fn prepare(exchange: &mut Exchange, request: &Request, add: &AddRequest<'_>) -> Result<Prepared, LdapResult> {
    let target = place::key(add.dn, "entry's DN", &exchange.schema)?;
    let controls = pipeline::admit(exchange, request, &target)?;
    let directory = Arc::clone(exchange.directory());
    if let Place::Virtual(backend) = place::of(&directory, &target) {
        pipeline::virtual_controls(&controls)?;
        return Err(backend.add(&directory, &exchange.sight.who, add));
    }
    pipeline::writable(exchange, false)?;
    if let Some(hint) = outcome::placeholder_hint(add.dn) {
        return Err(LdapResult::with(ResultCode::NO_SUCH_OBJECT, hint));
    }
    let controls = WriteControls::of(&controls, &exchange.schema);
    let schema = Arc::clone(&exchange.schema);
    let mut builder = EntryBuilder::from_request(add.attributes, &schema, false)
        .map_err(|error| outcome::modify_error(&error))?;
    let completes = directory.config.load().global.add_missing_rdn_attributes;
    let naming = if completes { Naming::Completed } else { Naming::Strict };
    take_rdn(add.dn, &mut builder, &schema, naming).map_err(|error| outcome::naming_error(add.dn, &error))?;
    builder.check_classes(&schema).map_err(|violation| outcome::violation(&violation))?;
    guarded::check_new(exchange, &builder, &target)?;
    let passwords = builder.values(password::ATTRIBUTE).map(|value| password::take(&directory, value));
    let passwords = passwords.collect::<Result<Vec<_>, _>>()?;
    password::check_count(&directory, passwords.len())?;
    Ok(Prepared { target, dn: add.dn.to_owned(), builder, controls, passwords })
}
