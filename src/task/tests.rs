//! Which task entries are taken.

use bytes::BytesMut;

use super::request::{Job, read};
use crate::access::Privilege;
use crate::backend::Rebuild;
use crate::ber::write::{element, octets};
use crate::protocol::message::{AddRequest, Attributes};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, SchemaStore};

const NOW_MS: u64 = 1_700_000_000_000;

fn order(attributes: &[(&str, &str)]) -> Result<Job, LdapResult> {
    let schema = SchemaStore::builtin(true).current();
    let mut content = BytesMut::new();
    for (name, value) in [("objectClass", "ds-task"), ("ds-task-id", "x")].iter().chain(attributes) {
        let (mut attribute, mut values) = (BytesMut::new(), BytesMut::new());
        octets(&mut attribute, name.as_bytes());
        octets(&mut values, value.as_bytes());
        element(&mut attribute, 0x31, &values);
        element(&mut content, 0x30, &attribute);
    }
    let request = AddRequest {
        dn: "ds-task-id=x,cn=Scheduled Tasks,cn=Tasks",
        attributes: Attributes::parse(&content).unwrap(),
    };
    let suffix = ("dc=x".to_owned(), NormalizedDn::parse("dc=x", &schema).unwrap());
    read(&request, "x", &[suffix], NOW_MS, &schema).map(|ordered| ordered.job)
}

const REBUILD: (&str, &str) = ("ds-task-class-name", "org.opends.server.tasks.RebuildTask");
const BASE: (&str, &str) = ("ds-task-rebuild-base-dn", "DC=x");
const ALL: (&str, &str) = ("ds-task-rebuild-index", "all");

#[test]
fn what_can_be_done_at_once_is_taken() {
    let all = order(&[REBUILD, BASE, ALL]).unwrap();
    assert_eq!((all.privilege(), all), (Privilege::LdifImport, Job::Rebuild(Rebuild::All)));
    for start in ["0", "20200101000000", "20200101000000Z"] {
        assert!(order(&[REBUILD, BASE, ALL, ("ds-task-scheduled-start-time", start)]).is_ok(), "{start}");
    }
    assert_eq!(
        order(&[REBUILD, BASE, ("ds-task-rebuild-index", "sn")]),
        Ok(Job::Rebuild(Rebuild::Named(vec!["sn".into()])))
    );
    assert_eq!(order(&[("ds-task-class-name", "ds-task-verify")]), Ok(Job::Verify(None)));
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    use ResultCode as Code;
    let cases: &[(&[(&str, &str)], Code, &str)] = &[
        (&[BASE, ALL], Code::OBJECT_CLASS_VIOLATION, "ds-task-class-name"),
        (&[REBUILD, ALL], Code::OBJECT_CLASS_VIOLATION, "ds-task-rebuild-base-dn"),
        (&[REBUILD, BASE], Code::OBJECT_CLASS_VIOLATION, "ds-task-rebuild-index"),
        (
            &[REBUILD, ALL, ("ds-task-rebuild-base-dn", "dc=y")],
            Code::UNWILLING_TO_PERFORM,
            "dc=y is not a base DN",
        ),
        (
            &[REBUILD, BASE, ALL, ("ds-task-scheduled-start-time", "20400101000000Z")],
            Code::UNWILLING_TO_PERFORM,
            "scheduled tasks come later",
        ),
        (
            &[REBUILD, BASE, ALL, ("ds-task-scheduled-start-time", "soon")],
            Code::INVALID_ATTRIBUTE_SYNTAX,
            "yyyyMMddHHmmssZ",
        ),
        (
            &[REBUILD, BASE, ALL, ("ds-task-notify-on-error", "a@b")],
            Code::UNWILLING_TO_PERFORM,
            "notification",
        ),
        (&[REBUILD, BASE, ALL, ("ds-task-dependency-id", "y")], Code::UNWILLING_TO_PERFORM, "dependencies"),
        (
            &[("ds-task-class-name", "org.opends.server.tasks.BackupTask")],
            Code::UNWILLING_TO_PERFORM,
            "comes later",
        ),
        (&[("ds-task-class-name", "NoTask")], Code::UNWILLING_TO_PERFORM, "there is no task class NoTask"),
    ];
    for (attributes, code, text) in cases {
        let refusal = order(attributes).unwrap_err();
        assert_eq!(refusal.code, *code, "{attributes:?}: {refusal:?}");
        assert!(refusal.diagnostic.contains(text), "{attributes:?}: {refusal:?}");
    }
}
