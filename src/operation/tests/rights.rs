//! Each right of each operation (features.md §5.3): nothing done without it, done with it, not done where it is denied
//! as well; and neither allowed nor denied by an ACI that is about something else, or for somebody else.

use super::*;
use crate::protocol::oid;

const ASKER: &str = "uid=asker,ou=admins,dc=cts,dc=example,dc=com";
const OLD: &str = "ou=tokens,dc=cts,dc=example,dc=com";
const NEW: &str = "ou=new,dc=cts,dc=example,dc=com";

/// What everybody has in any case: they see entries, and may use the controls that are needed to show anything.
const GLOBALS: [&str; 2] = [
    "(targetattr=\"objectClass\")(version 3.0; acl \"seen\"; allow (read) userdn=\"ldap:///anyone\";)",
    "(targetcontrol=\"2.16.840.1.113730.3.4.18 || 1.3.6.1.1.13.1 || 1.3.6.1.1.13.2\")(version 3.0; acl \"controls\"; \
     allow (read) userdn=\"ldap:///all\";)",
];

struct Stage {
    manager: Client,
    asker: Client,
    count: std::cell::Cell<u32>,
}

impl Stage {
    fn new() -> Self {
        let server = Server::new();
        let schema = server.directory.schema.current();
        server.directory.access.set_globals(&GLOBALS.map(str::to_owned), &schema).unwrap();
        let manager = server.manager();
        let asker: &[(&str, &[&str])] = &[
            ("objectClass", &["account", "simpleSecurityObject"]),
            ("userPassword", &["secret"]),
            ("ds-privilege-name", &["proxied-auth"]),
        ];
        manager.add(ASKER, asker).code(ResultCode::SUCCESS);
        manager.add(NEW, &[("objectClass", &["organizationalUnit"])]).code(ResultCode::SUCCESS);
        let asker = server.connect();
        asker.bind(ASKER, PASSWORD).code(ResultCode::SUCCESS);
        Self { manager, asker, count: std::cell::Cell::new(0) }
    }

    /// A name that nothing has yet.
    fn name(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("t{}", self.count.get())
    }

    /// The DN of a token that is there.
    fn token(&self) -> String {
        let name = self.name();
        let more: &[(&str, &[&str])] = &[("coreTokenUserId", &["demo"]), ("coreTokenString01", &["one"])];
        self.manager.add_token(&name, more).code(ResultCode::SUCCESS);
        token(&name)
    }

    fn put_acis(&self, acis: &[String]) {
        let values: Vec<&[u8]> = acis.iter().map(String::as_bytes).collect();
        let change = [(ModifyOperation::Replace, ("aci", &values[..]))];
        self.manager.modify(SUFFIX, &change, &[]).code(ResultCode::SUCCESS);
    }

    fn modify(&self, dn: &str, operation: ModifyOperation, name: &str, value: &str) -> bool {
        done(&self.asker.modify(dn, &[(operation, (name, &[value.as_bytes()]))], &[]))
    }

    /// What a modification of a token tells of it by this control.
    fn told(&self, kind: ControlKind) -> bool {
        let names = b"\x30\x11\x04\x0fcoreTokenUserId";
        let change = [(ModifyOperation::Replace, ("coreTokenString02", &[&b"two"[..]][..]))];
        let answer = self.asker.modify(&self.token(), &change, &[critical(kind, names)]);
        answer.code(ResultCode::SUCCESS).read(kind).names() == ["coreTokenUserId"]
    }

    fn rename(&self, rdn: &str, superior: Option<&str>) -> bool {
        let dn = self.token();
        let rdn = if rdn.is_empty() {
            dn.split(',').next().unwrap().to_owned()
        } else {
            format!("{rdn}{}", self.name())
        };
        done(&self.asker.send(|out, id| request::modify_dn(out, id, &dn, &rdn, true, superior, &[])))
    }
}

/// Whether it was done; if not, access was the reason.
#[track_caller]
fn done(answer: &Answer) -> bool {
    use ResultCode as Code;
    let is_refusal = |code| {
        [Code::INSUFFICIENT_ACCESS_RIGHTS, Code::UNAVAILABLE_CRITICAL_EXTENSION, Code::AUTHORIZATION_DENIED]
            .contains(&code)
    };
    let code = answer.result().code;
    assert!(code == Code::SUCCESS || code == Code::COMPARE_TRUE || is_refusal(code), "{answer:?}");
    !is_refusal(code)
}

/// A right, what it is granted on, and what else the operation takes.
struct Row {
    right: &'static str,
    targets: &'static str,
    /// The same clause for something else.
    others: &'static str,
    more: &'static [&'static str],
    does: fn(&Stage) -> bool,
}

const fn row(
    right: &'static str,
    targets: &'static str,
    others: &'static str,
    does: fn(&Stage) -> bool,
) -> Row {
    Row { right, targets, others, more: &[], does }
}

fn check(stage: &Stage, row: &Row) {
    let Row { right, targets, others, more, does } = row;
    let aci = |verb: &str, targets: &str, who: &str| {
        format!("{targets}(version 3.0; acl \"{verb}\"; {verb} ({right}) userdn=\"ldap:///{who}\";)")
    };
    let base: Vec<String> = more
        .iter()
        .map(|more| {
            format!("{more} userdn=\"ldap:///{ASKER}\";)")
                .replace("(allow", "(version 3.0; acl \"more\"; allow")
        })
        .collect();
    let (allow, deny) = (aci("allow", targets, ASKER), aci("deny", targets, ASKER));
    let (of_others, for_others) = (aci("allow", others, ASKER), aci("allow", targets, USER));
    let (deny_others, deny_for_others) = (aci("deny", others, ASKER), aci("deny", targets, USER));
    for (acis, expected) in [
        (vec![], false),
        (vec![&allow], true),
        (vec![&allow, &deny], false),
        (vec![&of_others, &for_others], false),
        (vec![&allow, &deny_others, &deny_for_others], true),
    ] {
        let acis: Vec<String> = base.iter().chain(acis).cloned().collect();
        stage.put_acis(&acis);
        assert_eq!(does(stage), expected, "{right} {targets}: {acis:#?}");
    }
}

#[test]
fn each_right_of_each_operation() {
    const WRITE_RDN: &str = "(targetattr=\"coreTokenId\")(allow (write)";
    let stage = Stage::new();
    let user_id = "(targetattr=\"coreTokenUserId\")";
    let string = "(targetattr=\"coreTokenString01\")";
    let there = "(target=\"ldap:///ou=new,dc=cts,dc=example,dc=com\")";
    let here = "(target=\"ldap:///ou=tokens,dc=cts,dc=example,dc=com\")";
    let control = "(targetcontrol=\"1.2.840.113556.1.4.805\")";
    for row in [
        row("search", user_id, string, |stage| {
            stage.token();
            !stage.asker.find("(coreTokenUserId=demo)", &["1.1"], &[]).entries.is_empty()
        }),
        row("read", user_id, string, |stage| {
            let read = stage.asker.read(&stage.token(), &["*"]);
            read.entry().names().contains(&"coreTokenUserId")
        }),
        row("compare", user_id, string, |stage| {
            let dn = stage.token();
            done(&stage.asker.send(|out, id| request::compare(out, id, &dn, "coreTokenUserId", b"demo", &[])))
        }),
        row("add", here, there, |stage| {
            let name = stage.name();
            let token: &[(&str, &[&str])] = &[
                ("objectClass", &["frCoreToken"]),
                ("coreTokenId", &[&name]),
                ("coreTokenType", &["SESSION"]),
            ];
            done(&stage.asker.add(&format!("coreTokenId={name},{OLD}"), token))
        }),
        row("delete", here, there, |stage| done(&stage.asker.delete(&stage.token(), &[]))),
        row("write", user_id, string, |stage| {
            let dn = stage.token();
            stage.modify(&dn, ModifyOperation::Replace, "coreTokenUserId", "other")
        }),
        row("write", user_id, string, |stage| {
            let dn = stage.token();
            stage.modify(&dn, ModifyOperation::Delete, "coreTokenUserId", "demo")
        }),
        row("selfwrite", "(targetattr=\"member\")", string, |stage| {
            let name = stage.name();
            let dn = format!("cn={name},{SUFFIX}");
            let group: &[(&str, &[&str])] = &[("objectClass", &["groupOfNames"]), ("member", &[USER])];
            stage.manager.add(&dn, group).code(ResultCode::SUCCESS);
            let is_written = stage.modify(&dn, ModifyOperation::Add, "member", ASKER);
            assert!(!stage.modify(&dn, ModifyOperation::Add, "member", "cn=somebody else"));
            is_written
        }),
        row("write", "(targetattr=\"coreTokenId\")", string, |stage| stage.rename("coreTokenId=r", None)),
        Row {
            more: &[WRITE_RDN],
            ..row("write", "(targetattr=\"coreTokenString03\")", user_id, |stage| {
                let dn = stage.token();
                let rdn = format!("{}+coreTokenString03=x", dn.split(',').next().unwrap());
                done(&stage.asker.send(|out, id| request::modify_dn(out, id, &dn, &rdn, false, None, &[])))
            })
        },
        Row {
            more: &[WRITE_RDN, "(target=\"ldap:///ou=new,dc=cts,dc=example,dc=com\")(allow (import)"],
            ..row("export", here, there, |stage| stage.rename("", Some(NEW)))
        },
        Row {
            more: &[WRITE_RDN, "(target=\"ldap:///ou=tokens,dc=cts,dc=example,dc=com\")(allow (export)"],
            ..row("import", there, here, |stage| stage.rename("", Some(NEW)))
        },
        row(
            "proxy",
            "(target=\"ldap:///uid=openam_cts,ou=admins,dc=cts,dc=example,dc=com\")",
            here,
            |stage| {
                let value = format!("dn:{USER}");
                let acts = Control {
                    oid: oid::PROXIED_AUTHORIZATION,
                    critical: true,
                    value: Some(value.as_bytes()),
                };
                done(&stage.asker.search(&Search::base(""), &[acts]))
            },
        ),
        Row {
            more: &["(allow (delete)"],
            ..row("read", control, "(targetcontrol=\"1.2.3\")", |stage| {
                let dn = stage.token();
                let whole = Control { oid: oid::SUBTREE_DELETE, critical: true, value: None };
                done(&stage.asker.delete(&dn, &[whole]))
            })
        },
        row("read", "(extop=\"1.3.6.1.4.1.4203.1.11.3\")", "(extop=\"1.2.3\")", |stage| {
            done(&stage.asker.send(|out, id| request::extended(out, id, oid::WHO_AM_I, None, &[])))
        }),
        Row {
            more: &["(targetattr=\"coreTokenString02\")(allow (write)"],
            ..row("read", user_id, string, |stage| stage.told(ControlKind::PreRead))
        },
        Row {
            more: &["(targetattr=\"coreTokenString02\")(allow (write)"],
            ..row("read", user_id, string, |stage| stage.told(ControlKind::PostRead))
        },
    ] {
        check(&stage, &row);
    }
}

/// What values are allowed and denied is asked of the operations, too.
#[test]
fn values_decide_where_an_aci_says_so() {
    let stage = Stage::new();
    let add = |name: &str, kind: &str| {
        let token: &[(&str, &[&str])] =
            &[("objectClass", &["frCoreToken"]), ("coreTokenId", &[name]), ("coreTokenType", &[kind])];
        done(&stage.asker.add(&format!("coreTokenId={name},{OLD}"), token))
    };
    let aci = |clause: &str, rights: &str, rule: &str| {
        format!("{clause}(version 3.0; acl \"x\"; allow ({rights}) {rule};)")
    };
    let me = format!("userdn=\"ldap:///{ASKER}\"");
    let kinds =
        "(targattrfilters=\"add=coreTokenType:(coreTokenType=S*), del=coreTokenType:(coreTokenType=S*)\")";
    stage.put_acis(&[aci(kinds, "add,delete,write", &me)]);
    assert!(add("a", "SESSION") && !add("b", "OAUTH"));
    let change = |name: &str, value: &str| {
        stage.modify(&format!("coreTokenId={name},{OLD}"), ModifyOperation::Replace, "coreTokenType", value)
    };
    assert!(change("a", "SAML2") && !change("a", "OAUTH"));
    stage.manager.add_token("c", &[("coreTokenType", &["OAUTH"])]).code(ResultCode::SUCCESS);
    assert!(!change("c", "SESSION"), "what goes does not match");
    assert!(!done(&stage.asker.delete(&token("c"), &[])) && done(&stage.asker.delete(&token("a"), &[])));
    // A name is a value as well.
    let names = "(targattrfilters=\"add=coreTokenId:(coreTokenId=r*), del=coreTokenId:(coreTokenId=*)\")";
    stage.put_acis(&[aci(names, "write", &me)]);
    assert!(stage.rename("coreTokenId=r", None) && !stage.rename("coreTokenId=s", None));
    // A new entry does not tell who may add it; the one above it does.
    stage.put_acis(&[aci("", "add", "userattr=\"seeAlso#USERDN\"")]);
    let unit = |name: &str| {
        let unit: &[(&str, &[&str])] = &[("objectClass", &["organizationalUnit"]), ("seeAlso", &[ASKER])];
        done(&stage.asker.add(&format!("ou={name},{NEW}"), unit))
    };
    assert!(!unit("a"));
    let of_parent = aci("", "add", "userattr=\"parent[0,1].seeAlso#USERDN\"");
    stage.put_acis(std::slice::from_ref(&of_parent));
    assert!(!unit("a"));
    let change = [(ModifyOperation::Add, ("seeAlso", &[ASKER.as_bytes()][..]))];
    stage.manager.modify(NEW, &change, &[]).code(ResultCode::SUCCESS);
    assert!(unit("a"));
    // What is not served is not stored, and says what to write instead.
    for (rule, words) in [
        ("dns=\"*.example.com\"", "use `ip`"),
        ("roledn=\"ldap:///cn=x\"", "use `groupdn`"),
        ("userattr=\"manager#ROLEDN\"", "use #GROUPDN"),
    ] {
        let text = aci("(targetattr=\"*\")", "read", rule);
        let change = [(ModifyOperation::Add, ("aci", &[text.as_bytes()][..]))];
        let answer = stage.manager.modify(SUFFIX, &change, &[]);
        let keyword = rule.split('=').next().unwrap();
        answer.code(ResultCode::INVALID_ATTRIBUTE_SYNTAX).says(words).says(keyword);
    }
}
