//! Accounts locked after wrong passwords, privileges that are not asked for, and starts in lockdown mode.

use crate::support::{CTS_USER, DM, Instance, PASSWORD, Query, SUFFIX, Setup};

const POLICY: &str = "cn=Default Password Policy,cn=Password Policies,cn=config";

#[test]
fn wrong_passwords_lock_an_account_until_its_password_is_reset() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let set = |root: &mut crate::support::Link, name: &str, value: &str| {
        assert_eq!(root.modify(POLICY, &[('=', name, &[value])], &[]).code, 0, "{name}");
    };
    let dn = format!("uid=victim,{SUFFIX}");
    let classes: &[&str] = &["top", "inetOrgPerson"];
    let user = [("objectClass", classes), ("cn", &["V"]), ("sn", &["V"]), ("userPassword", &[PASSWORD])];
    assert_eq!(root.add(&dn, &user, &[]).code, 0);
    let locked = |root: &mut crate::support::Link| {
        let names = ["ds-cts-locked-account-count", "ds-cts-locked-account"];
        let found = root.read("cn=Locked Accounts,cn=monitor", &names);
        let entry = &found.entries[0];
        (entry.text(names[0]).unwrap(), entry.texts(names[1]))
    };
    let nobody = ("0".to_owned(), Vec::new());
    assert_eq!(locked(&mut root), nobody);
    let bind = |password: &str| instance.link().bind(&dn, password).code;
    (0..10).for_each(|_| assert_eq!(bind("wrong"), 49));
    assert_eq!(bind(PASSWORD), 0, "nobody is locked unless the policy says so");
    set(&mut root, "ds-cfg-lockout-failure-count", "3");
    assert_eq!((bind("wrong"), bind("wrong"), bind(PASSWORD)), (49, 49, 0), "two are not three");
    assert_eq!((bind("wrong"), bind("wrong"), bind("wrong")), (49, 49, 49));
    assert_eq!(locked(&mut root), ("1".to_owned(), vec![dn.clone()]));
    let refused = instance.link().bind(&dn, PASSWORD);
    assert_eq!((refused.code, refused.diagnostic.as_str()), (49, ""), "locked, and nobody is told");
    assert!(instance.log().contains("locked after 3 wrong passwords"), "{}", instance.log());
    assert_eq!(instance.link().bind(&format!("uid=nobody,{SUFFIX}"), PASSWORD).code, 49);
    (0..5).for_each(|_| assert_eq!(instance.link().bind(DM, "wrong").code, 49));
    assert_eq!(instance.link().bind(DM, PASSWORD).code, 0, "the root policy locks nobody");
    // A new password unlocks; so does the end of the lock.
    assert_eq!(root.modify(&dn, &[('=', "userPassword", &["another one"])], &[]).code, 0);
    assert_eq!(locked(&mut root), nobody);
    assert_eq!(bind("another one"), 0);
    (0..3).for_each(|_| assert_eq!(bind("wrong"), 49));
    assert_eq!(bind("another one"), 49);
    // Only now: a lock that ends by itself must not end before it is seen.
    set(&mut root, "ds-cfg-lockout-duration", "1 s");
    let open = crate::support::within(|| (bind("another one") == 0).then_some(()));
    assert!(open.is_some(), "the lock ends");
    assert_eq!(locked(&mut root), nobody);
    // Who asks is told why where the configuration says so.
    assert_eq!(
        root.modify("cn=config", &[('=', "ds-cfg-return-bind-error-messages", &["true"])], &[]).code,
        0
    );
    assert_eq!(instance.link().bind(&dn, "wrong").diagnostic, "wrong password");
}

#[test]
fn a_disabled_privilege_is_everybodys() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let dn = format!("uid=plain,{SUFFIX}");
    let classes: &[&str] = &["top", "inetOrgPerson"];
    let user = [("objectClass", classes), ("cn", &["P"]), ("sn", &["P"]), ("userPassword", &[PASSWORD])];
    assert_eq!(root.add(&dn, &user, &[]).code, 0);
    let aci =
        format!("(targetattr=\"*\")(version 3.0; acl \"p\"; allow (read,search) userdn=\"ldap:///{dn}\";)");
    assert_eq!(root.modify(SUFFIX, &[('+', "aci", &[&aci])], &[]).code, 0);
    let query = Query::subtree(SUFFIX, "(description=none)");
    let refused = instance.bound(&dn).search(&query, &[]);
    assert_eq!(refused.code(), 50, "{:?}", refused.done);
    assert!(refused.done.diagnostic.contains("unindexed-search"), "{:?}", refused.done);
    let disable = |root: &mut crate::support::Link, names: &[&str]| {
        root.modify("cn=config", &[('=', "ds-cfg-disabled-privilege", names)], &[])
    };
    assert_eq!(disable(&mut root, &["unindexed-search"]).code, 0);
    assert_eq!(instance.bound(&dn).search(&query, &[]).code(), 0);
    assert_eq!(disable(&mut root, &[]).code, 0);
    assert_eq!(instance.bound(&dn).search(&query, &[]).code(), 50);
    assert_eq!(disable(&mut root, &["bypass-acl"]).code, 53);
    assert!(disable(&mut root, &["no-such"]).code != 0);
}

/// A configuration that does not pass lets the last one that started take its place, for the administrator alone.
#[test]
fn a_start_with_a_bad_configuration_is_for_the_administrator_alone() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    assert!(instance.stop().status.success());
    let file = instance.dir.join("config/config.ldif");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = good.replace("ds-cfg-size-limit: 1000", "ds-cfg-size-limit: many");
    assert!(bad != good);
    std::fs::write(&file, &bad).unwrap();
    instance.start();
    assert!(instance.log().contains("ds-cfg-size-limit"), "{}", instance.log());
    assert_eq!(std::fs::read_to_string(file.with_extension("ldif.failed")).unwrap(), bad);
    let refused = instance.link().search(&Query::base(""), &[]);
    assert_eq!(refused.code(), 53, "{:?}", refused.done);
    assert!(refused.done.diagnostic.contains("lockdown"), "{:?}", refused.done);
    assert!(matches!(instance.link().bind(CTS_USER, PASSWORD).code, 49 | 53));
    let mut root = instance.root();
    assert_eq!(root.search(&Query::base(SUFFIX), &[]).entries.len(), 1);
    // Any change writes the configuration in force; the next start is an ordinary one.
    assert_eq!(root.modify("cn=config", &[('=', "ds-cfg-size-limit", &["2000"])], &[]).code, 0);
    drop(root);
    assert!(instance.stop().status.success());
    instance.start();
    assert_eq!(instance.link().search(&Query::base(""), &[]).code(), 0);
}

/// Entered and left by a task, as the reference's scripts do it.
#[test]
fn tasks_enter_and_leave_lockdown_mode() {
    let instance = Instance::started(Setup { cts: true, tls: false });
    let mut root = instance.root();
    let run = |root: &mut crate::support::Link, class: &str| {
        let dn = format!("ds-task-id={class},cn=Scheduled Tasks,cn=Tasks");
        let name = format!("org.opends.server.tasks.{class}");
        let task = [
            ("objectClass", &["top", "ds-task"][..]),
            ("ds-task-id", &[class][..]),
            ("ds-task-class-name", &[name.as_str()][..]),
        ];
        let added = root.add(&dn, &task, &[]);
        assert_eq!(added.code, 0, "{added:?}");
        let done = crate::support::within(|| {
            let found = root.read(&dn, &["ds-task-state"]);
            (found.entries[0].text("ds-task-state")? == "COMPLETED_SUCCESSFULLY").then_some(())
        });
        assert!(done.is_some());
    };
    let heartbeat = || instance.link().search(&Query::base(""), &[]).code();
    run(&mut root, "EnterLockdownModeTask");
    assert_eq!(heartbeat(), 53);
    assert!(instance.root().heartbeat());
    run(&mut root, "LeaveLockdownModeTask");
    assert_eq!(heartbeat(), 0);
}
