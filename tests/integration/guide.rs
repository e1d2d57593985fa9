//! The guide "Configuring the Core Token Service", walked with OpenLDAP's tools against a fresh instance: once with
//! OpenAM's files, once with ours. The guide's own tools come with the administration issue; `ldapmodify -a` stands for
//! OpenDJ's, which takes a record without changetype for an addition.

use std::path::Path;

use crate::support::{
    CTS_USER, Ctl, FAMRECORDS, INDEXES, Instance, PASSWORD, Query, Ran, SUFFIX, TID, Token, all_cts_fields,
    fixture, ldif_file, request, tool, within,
};

const GLOBAL_ACI: &str = r#"(target = "ldap:///cn=schema")(targetattr = "attributeTypes || objectClasses")(version 3.0; acl "Modify schema"; allow (write) userdn = "ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com";)"#;

fn load(instance: &Instance, file: &Path) -> Ran {
    tool("ldapmodify", instance).args(["-a"]).file(file).run()
}

fn load_on(instance: &Instance, file: &Path) -> Ran {
    tool("ldapmodify", instance).args(["-a", "-c"]).file(file).run()
}

fn loaded(instance: &Instance, file: &Path) {
    let ran = load(instance, file);
    assert_eq!(ran.code, 0, "{}: {ran:?}", file.display());
}

/// Everything that was there already is said so, each record by itself.
fn there_already(instance: &Instance, file: &Path, records: usize) {
    let ran = load(instance, file);
    assert_eq!(ran.code, 68, "{}: {ran:?}", file.display());
    let ran = load_on(instance, file);
    assert_eq!(ran.err.matches("(68)").count(), records, "{}: {ran:?}", file.display());
}

fn index_types(instance: &Instance, attribute: &str) -> Vec<String> {
    let found =
        instance.root().read(&format!("ds-cfg-attribute={attribute},{INDEXES}"), &["ds-cfg-index-type"]);
    found.entries.first().map(|entry| entry.texts("ds-cfg-index-type")).unwrap_or_default()
}

fn global_aci(instance: &Instance, aci: &str) -> Ran {
    let ldif = format!(
        "dn: cn=Access Control Handler,cn=config\nchangetype: modify\nadd: ds-cfg-global-aci\nds-cfg-global-aci: {aci}\n"
    );
    tool("ldapmodify", instance).input(&ldif).run()
}

/// The steps of the guide in the guide's order, each twice; then OpenAM's life on what they made.
#[test]
fn the_whole_guide_with_openams_files() {
    let instance = Instance::bare();
    let found =
        tool("ldapsearch", &instance).args(["-LLL", "-b", SUFFIX, "(objectClass=*)", "objectClass"]).run();
    assert_eq!(found.out.matches("dn:").count(), 1, "only the base entry is there: {found:?}");
    assert!(found.out.contains("objectClass: domain"), "{found:?}");

    // Import CTS files: schema, indexes, containers.
    let schema = fixture(&instance, "cts-add-schema.ldif");
    loaded(&instance, &schema);
    loaded(&instance, &schema);
    let served = tool("ldapsearch", &instance)
        .args(["-LLL", "-o", "ldif_wrap=no", "-b", "cn=schema", "-s", "base", "(objectClass=subschema)"])
        .args(["attributeTypes", "objectClasses"])
        .run();
    let tokens =
        served.out.lines().filter(|line| line.starts_with("attributeTypes:") && line.contains("'coreToken"));
    assert_eq!(tokens.count(), 35);
    assert_eq!(served.out.matches("'frCoreToken'").count(), 1);
    let indexes = fixture(&instance, "cts-indices.ldif");
    loaded(&instance, &indexes);
    there_already(&instance, &indexes, 26);
    let under = Query::subtree(INDEXES, "(objectClass=ds-cfg-backend-index)").select(&["ds-cfg-attribute"]);
    let made = instance.root().search(&under, &[]).column("ds-cfg-attribute");
    assert_eq!(
        made.iter().filter(|name| name.starts_with("coreToken") || *name == "etag").count(),
        26,
        "{made:?}"
    );
    assert_eq!(index_types(&instance, "coreTokenExpirationDate"), ["ordering"]);
    assert_eq!(index_types(&instance, "coreTokenDate02"), ["ordering"]);
    assert_eq!(index_types(&instance, "coreTokenUserId"), ["equality"]);
    let containers = fixture(&instance, "cts-container.ldif");
    loaded(&instance, &containers);
    there_already(&instance, &containers, 3);

    // Non-admin user, global ACI, ACIs.
    let user = fixture(&instance, "cts_user.ldif");
    let text = std::fs::read_to_string(&user).unwrap();
    let given = text.lines().find(|line| line.starts_with("userPassword:")).unwrap();
    std::fs::write(&user, text.replace(given, &format!("userPassword: {PASSWORD}"))).unwrap();
    loaded(&instance, &user);
    there_already(&instance, &user, 2);
    let mut openam = instance.bound(CTS_USER);
    let schema_as_user = |file: &Path| {
        crate::support::Tool::new("ldapmodify", &instance.url()).user(CTS_USER, PASSWORD).file(file).run()
    };
    assert_eq!(schema_as_user(&schema).code, 50, "the privilege without the global ACI");
    assert_eq!(global_aci(&instance, GLOBAL_ACI).code, 0);
    assert_eq!(global_aci(&instance, GLOBAL_ACI).code, 20, "there already");
    let handler = instance.root().read("cn=Access Control Handler,cn=config", &["ds-cfg-global-aci"]);
    assert!(handler.entries[0].texts("ds-cfg-global-aci").iter().any(|aci| aci == GLOBAL_ACI));
    assert_eq!(schema_as_user(&schema).code, 0, "now the user may change the schema");
    let before = openam.search(&Query::subtree(SUFFIX, "(objectClass=*)"), &[]);
    assert!(before.entries.is_empty(), "nothing is readable without a grant: {:?}", before.dns());
    let acis = fixture(&instance, "cts_acis.ldif");
    loaded(&instance, &acis);
    assert_eq!(load(&instance, &acis).code, 20, "there already");
    assert_eq!(instance.root().read(SUFFIX, &["aci"]).entries[0].values("aci").len(), 5);

    live(&instance, false);

    // The files of later releases, with tokens in the store.
    let mut writer = instance.bound(CTS_USER);
    let answers = writer.pipeline(2_000, |number, id| {
        Token::session(&format!("old-{number}"), "shandle:old").add_bytes(id, FAMRECORDS)
    });
    assert!(answers.iter().all(|answer| answer.code == 0));
    let multi = fixture(&instance, "cts-add-multivalue.ldif");
    loaded(&instance, &multi);
    loaded(&instance, &multi);
    let multi_indexes = fixture(&instance, "cts-add-multivalue-indices.ldif");
    loaded(&instance, &multi_indexes);
    there_already(&instance, &multi_indexes, 3);
    let old = Query::subtree(FAMRECORDS, "(coreTokenString03=shandle:old)").select(&["1.1"]);
    let found = writer.search(&old, &[Ctl::paged(5_000, b"")]);
    assert_eq!(found.entries.len(), 2_000);
    let dn = Token::session("old-7", "x").dn(FAMRECORDS);
    let change: &[(char, &str, &[&str])] = &[('=', "coreTokenMultiString01", &["a", "b"])];
    assert_eq!(writer.modify(&dn, change, &[]).code, 0, "tokens written before take the new attributes");
    let by_multi = Query::subtree(FAMRECORDS, "(coreTokenMultiString01=B)").select(&["coreTokenId"]);
    let found = within(|| Some(writer.search(&by_multi, &[])).filter(|found| !found.entries.is_empty()));
    assert_eq!(found.unwrap().column("coreTokenId"), ["old-7"]);
    live(&instance, true);

    let update = fixture(&instance, "cts-update-date01-index.ldif");
    loaded(&instance, &update);
    loaded(&instance, &update);
    assert_eq!(index_types(&instance, "coreTokenDate01"), ["ordering"]);
    let unused = fixture(&instance, "cts-remove-unused-indices.ldif");
    assert_eq!(load(&instance, &unused).code, 32, "they were never there, and the tool stops at the first");
    for name in ["04", "06", "07", "11", "12", "13"] {
        let ldif = format!(
            "dn: ds-cfg-attribute=coreTokenString{name},{INDEXES}\nobjectClass: top\nobjectClass: ds-cfg-backend-index\n\
             ds-cfg-attribute: coreTokenString{name}\nds-cfg-index-type: equality\n"
        );
        let ran = tool("ldapadd", &instance).input(&ldif).run();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    loaded(&instance, &unused);
    assert_eq!(load(&instance, &unused).code, 32);
    assert!(index_types(&instance, "coreTokenString13").is_empty());

    // "Restart the OpenDJ instance."
    assert!(instance.stop().status.success());
    instance.start();
    assert_eq!(index_types(&instance, "coreTokenExpirationDate"), ["ordering"]);
    assert!(index_types(&instance, "coreTokenString13").is_empty());
    let mut writer = instance.bound(CTS_USER);
    assert_eq!(writer.search(&old, &[Ctl::paged(5_000, b"")]).entries.len(), 2_000);
    live(&instance, true);
}

/// What OpenAM does all day, as the guide's user.
fn live(instance: &Instance, multi: bool) {
    let mut link = instance.link();
    assert_eq!(link.bind_with(CTS_USER, PASSWORD, &[Ctl::transaction_id(TID)]).code, 0);
    let mut watcher = instance.bound(CTS_USER);
    let watched = Query::subtree(FAMRECORDS, "(&(coreTokenType=SESSION)(objectClass=frCoreToken))");
    let watch = watcher.start(
        &watched.select(&["coreTokenString02", "dn"]),
        &[Ctl::transaction_id(TID), Ctl::openam_persistent()],
    );
    assert!(watcher.heartbeat());
    let mut token = Token::session("guide-token", "shandle:guide").with("coreTokenUserId", "id=guide");
    if multi {
        token = token.with("coreTokenMultiString01", "one").with("coreTokenMultiString01", "two");
    }
    let dn = token.dn(FAMRECORDS);
    let etag = token.create(&mut link, FAMRECORDS);
    let read = link.search(&Query::base(&dn).select(&["*", "etag"]).size(1), &[Ctl::transaction_id(TID)]);
    assert_eq!((read.code(), read.entries[0].text("etag")), (0, Some(etag.clone())));
    let change: &[(char, &str, &[&str])] =
        &[('=', "coreTokenString01", &["2"]), ('=', "coreTokenString05", &[])];
    let controls = |etag: &str| [Ctl::transaction_id(TID), Ctl::post_read(&["etag"]), Ctl::etag(etag)];
    let changed = link.modify(&dn, change, &controls(&etag)).etag().unwrap();
    assert_eq!(link.modify(&dn, change, &controls(&etag)).code, 122);
    let filter = "(&(coreTokenUserId=id=guide)(objectClass=frCoreToken))";
    let found = link.search(&Query::subtree(FAMRECORDS, filter).select(&["coreTokenString02", "etag"]), &[]);
    assert_eq!(found.dns(), [dn.as_str()]);
    let all = "(&(&)(objectClass=frCoreToken))";
    let page = link
        .search(&Query::subtree(FAMRECORDS, all).select(&["coreTokenId", "etag"]), &[Ctl::paged(1_000, b"")]);
    assert_eq!(page.code(), 0, "by unindexed-search: {:?}", page.done);
    let fields = all_cts_fields();
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    let answer = link.delete(&dn, &[Ctl::transaction_id(TID), Ctl::pre_read(&fields), Ctl::etag(&changed)]);
    assert_eq!(
        (answer.code, answer.before().unwrap().text("coreTokenType").as_deref()),
        (0, Some("SESSION"))
    );
    for _ in 0..3 {
        assert_eq!(watcher.notified(watch).texts("coreTokenString02"), ["AQIC5wM2LY4Sfcxguide-token"]);
    }
    assert!(watcher.heartbeat());
    let id = link.id();
    link.send(&request::unbind(id));
    assert!(link.closes());
}

/// Our own files, which need nothing replaced and say add where they add.
#[test]
fn the_whole_guide_with_our_files() {
    let instance = Instance::bare();
    let run = |file: &str| tool("ldapmodify", &instance).file(&ldif_file(&instance, file)).run();
    for file in [
        "cts-add-schema.ldif",
        "cts-indices.ldif",
        "cts-container.ldif",
        "cts-add-multivalue.ldif",
        "cts-add-multivalue-indices.ldif",
        "cts-user.ldif",
        "cts-global-aci.ldif",
        "cts-acis.ldif",
        "cts-update-date01-index.ldif",
    ] {
        let ran = run(file);
        assert_eq!(ran.code, 0, "{file}: {ran:?}");
        let again = run(file);
        assert!(matches!(again.code, 0 | 20 | 68), "{file} again: {again:?}");
    }
    assert_eq!(run("cts-remove-unused-indices.ldif").code, 32);
    let mut root = instance.root();
    assert_eq!(root.modify(CTS_USER, &[('=', "userPassword", &[PASSWORD])], &[]).code, 0);
    live(&instance, true);
}

/// "Kill/restart": the profile makes what the guide's steps make.
#[test]
fn the_profile_is_the_guide_in_one_word() {
    let guide = Instance::bare();
    for file in [
        "cts-add-schema.ldif",
        "cts-add-multivalue.ldif",
        "cts-indices.ldif",
        "cts-add-multivalue-indices.ldif",
        "cts-container.ldif",
    ] {
        loaded(&guide, &fixture(&guide, file));
    }
    let profile = Instance::started(crate::support::Setup { cts: true, tls: false });
    let state = |instance: &Instance| {
        let mut root = instance.root();
        let mut indexes: Vec<_> = root
            .search(&Query::subtree(INDEXES, "(objectClass=ds-cfg-backend-index)"), &[])
            .entries
            .iter()
            .map(|entry| (entry.dn.to_lowercase(), entry.texts("ds-cfg-index-type")))
            .collect();
        indexes.sort_unstable();
        let containers = root.search(&Query::subtree(SUFFIX, "(objectClass=*)").select(&["1.1"]), &[]).dns();
        let schema = root.read("cn=schema", &["attributeTypes"]).entries.remove(0);
        let mut names: Vec<_> = schema
            .texts("attributeTypes")
            .iter()
            .filter(|text| text.contains("'coreToken"))
            .map(|text| text.split_whitespace().nth(1).unwrap().to_owned())
            .collect();
        names.sort_unstable();
        (indexes, containers, names)
    };
    let (by_guide, by_profile) = (state(&guide), state(&profile));
    assert_eq!(by_guide.2.len(), 38);
    assert_eq!(by_guide, by_profile);
}
