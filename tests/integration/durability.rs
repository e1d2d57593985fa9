//! A restart finds everything. That what was acknowledged survives a SIGKILL under load is shown in `tests/crash`.

use crate::support::{DM, FAMRECORDS, Instance, PASSWORD, Query, SUFFIX, Setup, Token};

/// A restart, in peace or not, finds tokens, schema, indexes and configuration as they were left.
#[test]
fn a_restart_finds_everything() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let token = Token::session("kept", "shandle:kept").with_bytes("coreTokenObject", &[0, 1, 2, 255]);
    token.create(&mut root, FAMRECORDS);
    let whole = root.read(&token.dn(FAMRECORDS), &["*", "+"]).entries;
    let kind = "( 1.3.6.1.4.1.99999.1 NAME 'testKept' SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 X-ORIGIN 'test' )";
    assert_eq!(root.modify("cn=schema", &[('+', "attributeTypes", &[kind])], &[]).code, 0);
    let class = "( 1.3.6.1.4.1.99999.2 NAME 'testClass' SUP top AUXILIARY MAY testKept )";
    assert_eq!(root.modify("cn=schema", &[('+', "objectClasses", &[class])], &[]).code, 0);
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-size-limit", &["7"])], &[]).code, 0);
    let index = "ds-cfg-attribute=testKept,cn=Index,ds-cfg-backend-id=userRoot,cn=Backends,cn=config";
    let entry: &[(&str, &[&str])] = &[
        ("objectClass", &["ds-cfg-backend-index"]),
        ("ds-cfg-attribute", &["testKept"]),
        ("ds-cfg-index-type", &["equality"]),
    ];
    assert_eq!(root.add(index, entry, &[]).code, 0);
    let handler = "cn=Access Control Handler,cn=config";
    let aci = "(targetattr=\"dc\")(version 3.0; acl \"dc\"; allow (read, search) userdn=\"ldap:///anyone\";)";
    assert_eq!(root.modify(handler, &[('+', "ds-cfg-global-aci", &[aci])], &[]).code, 0);
    assert_eq!(
        root.modify(SUFFIX, &[('+', "objectClass", &["testClass"]), ('=', "testKept", &["value"])], &[]).code,
        0
    );

    for peaceful in [true, false, true] {
        if peaceful {
            assert!(instance.stop().status.success());
        } else {
            instance.kill();
        }
        instance.start();
        assert_eq!(instance.link().bind(DM, PASSWORD).code, 0);
        let mut root = instance.root();
        assert_eq!(root.read(&token.dn(FAMRECORDS), &["*", "+"]).entries, whole);
        let schema = root.read("cn=schema", &["attributeTypes", "objectClasses"]).entries.remove(0);
        assert!(schema.texts("attributeTypes").iter().any(|text| text.contains("'testKept'")));
        assert!(schema.texts("objectClasses").iter().any(|text| text.contains("'testClass'")));
        assert_eq!(
            root.read("cn=config", &["ds-cfg-size-limit"]).entries[0].texts("ds-cfg-size-limit"),
            ["7"]
        );
        assert_eq!(
            root.read(index, &["ds-cfg-index-type"]).entries[0].texts("ds-cfg-index-type"),
            ["equality"]
        );
        let found = root.search(&Query::subtree(SUFFIX, "(testKept=VALUE)").select(&["testKept"]), &[]);
        assert_eq!(found.dns(), [SUFFIX]);
        let anonymous = instance.link().read(SUFFIX, &["*"]);
        assert_eq!(anonymous.entries[0].names(), ["dc", "objectClass"], "the global ACI holds");
        let found = root.search(&Query::subtree(SUFFIX, "(coreTokenString03=shandle:kept)"), &[]);
        assert_eq!(found.entries.len(), 1);
    }
    assert!(instance.path("config/schema/99-user.ldif").is_file());
}
