use bytes::{Bytes, BytesMut};

use super::entry_change::{ChangeType, EntryChange};
use super::paged::PagedRequest;
use super::*;
use crate::protocol::decode::{Limits, decode};
use crate::protocol::message::{Control, MessageId};
use crate::protocol::request;

fn search(controls: &[Control<'_>]) -> Request {
    let mut out = BytesMut::new();
    request::search(&mut out, MessageId(1), &request::Search::base(""), controls);
    decode(out.freeze(), &Limits::default()).unwrap()
}

fn modify(controls: &[Control<'_>]) -> Request {
    let mut out = BytesMut::new();
    request::modify(&mut out, MessageId(1), "cn=a", &[], controls);
    decode(out.freeze(), &Limits::default()).unwrap()
}

fn control<'a>(oid: &'a str, critical: bool, value: Option<&'a [u8]>) -> Control<'a> {
    Control { oid, critical, value }
}

const PSEARCH: &[u8] = b"\x30\x09\x02\x01\x0f\x01\x01\xff\x01\x01\xff";

#[test]
fn every_kind_is_listed_and_found_by_its_oid() {
    for kind in ControlKind::ALL {
        assert_eq!(ControlKind::from_oid(kind.oid()), Some(*kind));
        let is_silent = matches!(kind, ControlKind::Affinity | ControlKind::PasswordPolicy);
        assert_eq!(SUPPORTED.contains(&kind.oid()), !is_silent, "{kind:?}");
    }
    // One response control on top, two that are accepted in silence.
    assert_eq!(SUPPORTED.len(), ControlKind::ALL.len() - 1);
    let bits = ControlKind::ALL.iter().fold(0, |bits, kind| bits | kind.bit());
    assert_eq!(bits.count_ones() as usize, ControlKind::ALL.len());
}

#[test]
fn the_contracts_values_are_read_byte_for_byte() {
    let etag = b"\xa3\x18\x04\x04etag\x04\x100123456789abcdef";
    let request = modify(&[
        control(oid::TRANSACTION_ID, false, Some(b"0de7\xff/0")),
        control(oid::POST_READ, true, Some(b"\x30\x06\x04\x04etag")),
        control(oid::PRE_READ, true, Some(b"\x30\x08\x04\x02cn\x04\x02sn")),
        control(oid::ASSERTION, true, Some(etag)),
    ]);
    let controls = RequestControls::gather(&request).unwrap();
    assert_eq!(controls.transaction_id, Some(&b"0de7\xff/0"[..]));
    assert_eq!(controls.post_read.unwrap().iter().collect::<Vec<_>>(), ["etag"]);
    assert_eq!(controls.pre_read.unwrap().iter().collect::<Vec<_>>(), ["cn", "sn"]);
    assert!(matches!(controls.assertion, Some(Filter::Equality(_))));
    assert!(
        controls.is_critical(ControlKind::Assertion) && !controls.is_critical(ControlKind::TransactionId)
    );

    let request = search(&[
        control(oid::PAGED_RESULTS, true, Some(b"\x30\x06\x02\x02\x03\xe8\x04\x00")),
        control(oid::PERSISTENT_SEARCH, true, Some(PSEARCH)),
    ]);
    let controls = RequestControls::gather(&request).unwrap();
    assert_eq!(controls.paged, Some(PagedRequest { size: 1000, cookie: Bytes::new() }));
    let psearch = controls.persistent_search.unwrap();
    assert_eq!((psearch.change_types, psearch.changes_only, psearch.return_notifications), (15, true, true));
    assert_eq!(psearch.value().as_ref(), PSEARCH);
    assert!(psearch.wants(ChangeType::ModifyDn));
}

#[test]
fn responses_are_written_byte_for_byte() {
    assert_eq!(EntryChange::new(ChangeType::Delete).value().as_ref(), b"\x30\x03\x0a\x01\x02");
    let renamed = EntryChange {
        change: ChangeType::ModifyDn,
        previous_dn: Some("cn=a".into()),
        change_number: Some(300),
    };
    assert_eq!(renamed.value().as_ref(), b"\x30\x0d\x0a\x01\x08\x04\x04cn=a\x02\x02\x01\x2c");
    assert_eq!(EntryChange::parse(&renamed.value()), Ok(renamed));
    // A previous DN belongs to a rename alone: it is not sent, and not taken.
    let wrong =
        EntryChange { change: ChangeType::Add, previous_dn: Some("cn=a".into()), change_number: None };
    assert_eq!(wrong.value().as_ref(), b"\x30\x03\x0a\x01\x01");
    assert!(EntryChange::parse(b"\x30\x09\x0a\x01\x01\x04\x04cn=a").is_err());
    assert!(EntryChange::parse(b"\x30\x03\x0a\x01\x03").is_err());

    assert_eq!(paged::response(0, Bytes::new()).value.unwrap().as_ref(), b"\x30\x05\x02\x01\x00\x04\x00");
    let entry = read_entry::post_read("cn=a", &[b"\x30\x0b\x04\x04etag\x31\x03\x04\x01x"]);
    let value = entry.value.unwrap();
    assert_eq!(value.as_ref(), b"\x64\x15\x04\x04cn=a\x30\x0d\x30\x0b\x04\x04etag\x31\x03\x04\x01x");
    let (dn, attributes) = read_entry::parse_response(&value).unwrap();
    assert_eq!((dn, attributes.len()), ("cn=a", 1));

    let failed = sort::response(ResultCode::NO_SUCH_ATTRIBUTE, Some("cn"));
    assert_eq!(failed.value.as_deref(), Some(&b"\x30\x07\x0a\x01\x10\x80\x02cn"[..]));
    assert_eq!(
        sort::parse_response(b"\x30\x07\x0a\x01\x10\x80\x02cn"),
        Ok((ResultCode::NO_SUCH_ATTRIBUTE, Some("cn")))
    );
    assert_eq!(authorization_identity::response("cn=a").value.as_deref(), Some(&b"dn:cn=a"[..]));
    assert_eq!(authorization_identity::response("").value.as_deref(), Some(&b""[..]));
}

#[test]
fn unknown_controls_are_refused_only_if_critical() {
    assert!(RequestControls::gather(&search(&[control("1.2.3", false, None)])).unwrap().is_empty());
    let request = search(&[control("1.2.3", true, None)]);
    let refusal = RequestControls::gather(&request).unwrap_err();
    assert_eq!(refusal.code(), ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
    assert!(refusal.result().diagnostic.contains("1.2.3"));
}

#[test]
fn a_control_on_the_wrong_operation_is_refused_only_if_critical() {
    // Its value is not even looked at.
    let request = modify(&[control(oid::PAGED_RESULTS, false, Some(b"junk"))]);
    assert!(RequestControls::gather(&request).unwrap().is_empty());
    let request = modify(&[control(oid::PAGED_RESULTS, true, Some(b"junk"))]);
    let refusal = RequestControls::gather(&request).unwrap_err();
    assert_eq!(
        refusal,
        ControlRefusal::Inappropriate { kind: ControlKind::Paged, operation: OperationKind::Modify }
    );
    assert_eq!(refusal.code(), ResultCode::UNAVAILABLE_CRITICAL_EXTENSION);
}

#[test]
fn wrong_values_and_duplicates_are_protocol_errors() {
    let wrong: &[(&str, Option<&[u8]>)] = &[
        (oid::PAGED_RESULTS, None),
        (oid::PAGED_RESULTS, Some(b"")),
        (oid::PAGED_RESULTS, Some(b"\x30\x05\x02\x01\xff\x04\x00")),
        (oid::PAGED_RESULTS, Some(b"\x30\x80\x02\x01\x01\x04\x00\x00\x00")),
        (oid::PAGED_RESULTS, Some(b"\x30\x05\x02\x01\x01\x04\x00\x00")),
        (oid::PAGED_RESULTS, Some(b"\x30\x07\x02\x01\x01\x24\x02\x04\x00")),
        (oid::PERSISTENT_SEARCH, Some(b"\x30\x09\x02\x01\x00\x01\x01\xff\x01\x01\xff")),
        (oid::PERSISTENT_SEARCH, Some(b"\x30\x09\x02\x01\x10\x01\x01\xff\x01\x01\xff")),
        (oid::PERSISTENT_SEARCH, Some(b"\x30\x09\x02\x01\x0f\x01\x01\x01\x01\x01\xff")),
        (oid::ASSERTION, Some(b"\xa2\x00")),
        (oid::SORT_REQUEST, Some(b"\x30\x00")),
        (oid::SUBENTRIES, Some(b"\x01\x01\x01")),
        (oid::MATCHED_VALUES, Some(b"\x30\x02\xa0\x00")),
        (oid::MANAGE_DSA_IT, Some(b"x")),
    ];
    for (oid, value) in wrong {
        for critical in [true, false] {
            let request = search(&[control(oid, critical, *value)]);
            let refusal = RequestControls::gather(&request).unwrap_err();
            assert_eq!(refusal.code(), ResultCode::PROTOCOL_ERROR, "{oid} {value:?}");
            assert!(refusal.to_string().contains(oid), "{refusal}");
        }
    }
    let twice = control(oid::PERSISTENT_SEARCH, true, Some(PSEARCH));
    let request = search(&[twice, twice]);
    assert!(matches!(RequestControls::gather(&request), Err(ControlRefusal::Duplicate { .. })));
    let large = vec![0; value::MAX + 1];
    let request = search(&[control(oid::ASSERTION, true, Some(&large))]);
    assert!(matches!(
        RequestControls::gather(&request),
        Err(ControlRefusal::Malformed { reason: ControlError::TooLarge, .. })
    ));
}

#[test]
fn a_transaction_id_is_never_an_error() {
    for value in [None, Some(&b""[..]), Some(b"\xff\xff")] {
        for critical in [true, false] {
            let id = control(oid::TRANSACTION_ID, critical, value);
            let request = search(&[id, id]);
            assert_eq!(
                RequestControls::gather(&request).unwrap().transaction_id,
                Some(value.unwrap_or_default())
            );
        }
    }
}

#[test]
fn the_other_controls_are_read() {
    let keys = sort::request_value(&[
        sort::SortKey { attribute: "cn".into(), rule: None, reverse: false },
        sort::SortKey { attribute: "sn".into(), rule: Some("2.5.13.3".into()), reverse: true },
    ]);
    assert_eq!(keys.as_ref(), b"\x30\x19\x30\x04\x04\x02cn\x30\x11\x04\x02sn\x80\x082.5.13.3\x81\x01\xff");
    let request = search(&[
        control(oid::SORT_REQUEST, false, Some(&keys)),
        control(oid::PROXIED_AUTHORIZATION, true, Some(b"dn:cn=b")),
        control(oid::SUBENTRIES, false, Some(b"\x01\x01\xff")),
        control(oid::MATCHED_VALUES, false, Some(b"\x30\x05\x87\x03abc")),
        control(oid::MANAGE_DSA_IT, true, None),
    ]);
    let mut controls = RequestControls::gather(&request).unwrap();
    assert!(controls.sort.as_ref().is_some_and(|keys| keys.len() == 2 && keys[1].reverse));
    assert_eq!(controls.proxied, Some("dn:cn=b"));
    assert_eq!(controls.subentries, Some(true));
    assert_eq!(controls.matched_values, Some(vec![Filter::Present("abc".into())]));
    assert_eq!(controls.kinds().count(), 5);
    controls.forget(ControlKind::Sort);
    assert!(controls.sort.is_none() && !controls.has(ControlKind::Sort) && controls.kinds().count() == 4);

    let request = search(&[control(oid::PROXIED_AUTHORIZATION, false, Some(b"dn:cn=b"))]);
    assert!(matches!(
        RequestControls::gather(&request),
        Err(ControlRefusal::Malformed { reason: ControlError::NotCritical, .. })
    ));
}
