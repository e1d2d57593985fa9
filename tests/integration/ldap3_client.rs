//! The `ldap3` crate as a client: bind, add, paged search, modify, compare, delete.

use std::collections::HashSet;

use ldap3::adapters::{Adapter, EntriesOnly, PagedResults};
use ldap3::controls::{PostRead, PostReadResp};
use ldap3::{LdapConnAsync, Mod, Scope, SearchEntry};

use crate::support::{CTS_USER, PASSWORD, cts};

fn set<'a>(values: &[&'a str]) -> HashSet<&'a str> {
    values.iter().copied().collect()
}

#[test]
fn the_ldap3_crate_is_served() {
    let base = cts().container("ldap3");
    let url = cts().instance.url();
    tokio::runtime::Runtime::new().unwrap().block_on(async move {
        let (connection, mut ldap) = LdapConnAsync::new(&url).await.unwrap();
        ldap3::drive!(connection);
        assert_eq!(ldap.simple_bind(CTS_USER, "wrong").await.unwrap().rc, 49);
        ldap.simple_bind(CTS_USER, PASSWORD).await.unwrap().success().unwrap();
        let mut post_read = PostRead::new(vec!["etag"]);
        post_read.crit = true;
        for number in 0..25 {
            let id = format!("crate-{number}");
            let date = if number < 15 { "20200101000000.5+0300" } else { "20991122021638Z" };
            let attributes = vec![
                ("objectClass", set(&["frCoreToken"])),
                ("coreTokenId", set(&[&id])),
                ("coreTokenType", set(&["GENERIC"])),
                ("coreTokenExpirationDate", set(&[date])),
            ];
            let dn = format!("coreTokenId={id},{base}");
            let added = ldap.with_controls(post_read.clone()).add(&dn, attributes).await.unwrap();
            let control =
                added.ctrls.into_iter().find(|control| control.1.ctype == "1.3.6.1.1.13.2").unwrap();
            let after = control.1.parse::<PostReadResp>();
            assert_eq!(after.attrs["etag"][0].len(), 16);
            assert_eq!(added.rc, 0);
        }
        let adapters: Vec<Box<dyn Adapter<_, _>>> =
            vec![Box::new(EntriesOnly::new()), Box::new(PagedResults::new(4))];
        let filter = "(&(coreTokenExpirationDate<=20261122021638Z)(objectClass=frCoreToken))";
        let mut search = ldap
            .streaming_search_with(adapters, &base, Scope::Subtree, filter, vec!["coreTokenId", "etag"])
            .await
            .unwrap();
        let mut found = HashSet::new();
        while let Some(entry) = search.next().await.unwrap() {
            let entry = SearchEntry::construct(entry);
            assert!(found.insert(entry.attrs["coreTokenId"][0].clone()));
        }
        search.finish().await.success().unwrap();
        assert_eq!(found.len(), 15);

        let dn = format!("coreTokenId=crate-3,{base}");
        let changes = vec![
            Mod::Replace("coreTokenString01", set(&["one"])),
            Mod::Replace("coreTokenString02", HashSet::new()),
            Mod::Add("coreTokenMultiString01", set(&["a", "b"])),
        ];
        ldap.modify(&dn, changes).await.unwrap().success().unwrap();
        let compared = ldap.compare(&dn, "coreTokenString01", "ONE").await.unwrap();
        assert_eq!(compared.0.rc, 50, "the guide's ACIs do not grant compare");
        let (entries, _) = ldap
            .search(&dn, Scope::Base, "(objectClass=*)", vec!["*", "etag"])
            .await
            .unwrap()
            .success()
            .unwrap();
        let entry = SearchEntry::construct(entries.into_iter().next().unwrap());
        assert_eq!((entry.dn.as_str(), entry.attrs["coreTokenMultiString01"].len()), (dn.as_str(), 2));
        ldap.modifydn(&dn, "coreTokenId=renamed", true, None).await.unwrap().success().unwrap();
        assert_eq!(ldap.delete(&dn).await.unwrap().rc, 32);
        ldap.delete(&format!("coreTokenId=renamed,{base}")).await.unwrap().success().unwrap();
        ldap.unbind().await.unwrap();
    });
}
