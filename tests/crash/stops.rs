//! (a) A disk that stops at every durable point of a life with all kinds of changes, checkpoints and other indexes.

use std::collections::{BTreeMap, BTreeSet};

use ctsd::backend::{Backend, BackendOptions, ChangeKind, IndexConfig, IndexType, Rebuild, TokenStore};
use ctsd::entry::StoredEntry;
use ctsd::log::fault::{Fault, Unsynced};

use super::store::{
    Disks, SUFFIX, Token, add_base, add_kind, agrees, delete_kind, key, look, modify_kind, rename_kind,
    submit, wait_ready,
};

/// What is known, by DN.
type Tree = BTreeMap<String, Token>;

/// What a change that was not acknowledged may have done.
#[derive(Debug, Clone, Default)]
enum Doubt {
    #[default]
    None,
    /// All of this or nothing: which entries are there with which value, and which are not.
    Whole(Vec<(String, Option<Option<String>>)>),
    /// Any of these may be gone.
    Subtree(Vec<String>),
}

#[derive(Default)]
struct Life {
    tree: Tree,
    doubt: Doubt,
    /// The indexes that were configured last.
    indexes: Vec<IndexConfig>,
}

fn below(rdn: &str) -> String {
    format!("{rdn},{SUFFIX}")
}

fn token(id: u32) -> String {
    below(&format!("coreTokenId=t{id},ou=a"))
}

impl Life {
    /// Makes a change; none once the disk has stopped.
    fn change(
        &mut self,
        backend: &Backend,
        dn: &str,
        kind: ChangeKind,
        after: &[(&str, Option<&str>)],
    ) -> Option<()> {
        let after = after.iter().map(|(dn, value)| ((*dn).into(), value.map(|value| Some(value.into()))));
        self.doubt = Doubt::Whole(after.collect());
        let committed = submit(backend, dn, kind).ok()?;
        let Doubt::Whole(touched) = std::mem::take(&mut self.doubt) else { return None };
        for (dn, value) in touched {
            self.knows(backend, dn, value.and(committed.after.as_deref()));
        }
        Some(())
    }

    /// Notes what was acknowledged of a name. It is visible, too, unless the disk has stopped meanwhile.
    fn knows(&mut self, backend: &Backend, dn: String, after: Option<&StoredEntry>) {
        let token = after.map(Token::of);
        if let Ok(found) = backend.get(&key(&dn)) {
            assert_eq!(found.as_deref().map(Token::of), token, "{dn}");
        }
        match token {
            Some(token) => self.tree.insert(dn, token),
            None => self.tree.remove(&dn),
        };
    }

    fn add(&mut self, backend: &Backend, dn: &str, octets: usize) -> Option<()> {
        self.change(backend, dn, add_kind(dn, Some("v"), octets), &[(dn, Some("v"))])
    }

    fn modify(&mut self, backend: &Backend, dn: &str, value: &str) -> Option<()> {
        self.change(backend, dn, modify_kind(value), &[(dn, Some(value))])
    }

    fn delete(&mut self, backend: &Backend, dn: &str) -> Option<()> {
        self.change(backend, dn, delete_kind(false), &[(dn, None)])
    }

    fn rename(&mut self, backend: &Backend, from: &str, to: &str) -> Option<()> {
        self.change(backend, from, rename_kind(to, "moved"), &[(from, None), (to, Some("moved"))])
    }

    fn delete_subtree(&mut self, backend: &Backend, dn: &str) -> Option<()> {
        let doomed: Vec<String> = self.tree.keys().filter(|one| one.ends_with(dn)).cloned().collect();
        assert!(doomed.len() > 2);
        self.doubt = Doubt::Subtree(doomed.clone());
        submit(backend, dn, delete_kind(true)).ok()?;
        doomed.iter().for_each(|dn| drop(self.tree.remove(dn)));
        self.doubt = Doubt::None;
        Some(())
    }

    /// The script. A checkpoint that cannot be written is no reason to stop.
    fn run(&mut self, backend: &Backend, options: &BackendOptions) -> Option<()> {
        self.doubt = Doubt::Whole(vec![(SUFFIX.into(), Some(None))]);
        let committed = add_base(backend).ok()?;
        self.doubt = Doubt::None;
        self.knows(backend, SUFFIX.into(), committed.after.as_deref());
        for ou in ["ou=a", "ou=b", "ou=c"] {
            self.add(backend, &below(ou), 0)?;
        }
        for id in 0..6 {
            self.add(backend, &token(id), if id == 3 { 9000 } else { 300 })?;
        }
        self.modify(backend, &token(0), "w")?;
        self.delete(backend, &token(1))?;
        let _ = backend.checkpoint();
        self.rename(backend, &token(2), &below("coreTokenId=t2,ou=b"))?;
        self.modify(backend, &token(3), "x")?;
        for id in 0..3 {
            self.add(backend, &below(&format!("coreTokenId=s{id},ou=c")), 100)?;
        }
        // Another index comes and is built, beside changes.
        let mut more = options.indexes.clone();
        more.push(IndexConfig {
            attribute: "coreTokenString10".into(),
            types: vec![IndexType::Presence],
            substring_length: 6,
        });
        backend.set_indexes(more.clone());
        self.indexes = more;
        self.add(backend, &token(7), 40)?;
        wait_ready(backend);
        let _ = backend.checkpoint();
        self.delete_subtree(backend, &below("ou=c"))?;
        self.rename(backend, &token(4), &token(40))?;
        if backend.unwilling().is_none() {
            backend.rebuild(&Rebuild::All, &mut |_, _| true).ok()?;
        }
        // And goes again.
        backend.set_indexes(options.indexes.clone());
        self.indexes.clone_from(&options.indexes);
        self.add(backend, &token(4), 20)?;
        let _ = backend.checkpoint();
        self.modify(backend, &token(7), "y")?;
        self.delete(backend, &token(40))
    }
}

fn live(disks: &Disks) -> Life {
    let options = disks.options();
    let mut life = Life { indexes: options.indexes.clone(), ..Life::default() };
    if let Ok(backend) = disks.try_open_with(&options) {
        let _ = life.run(&backend, &options);
    }
    life
}

/// What is found is what was acknowledged, and of what was not, all or nothing. Gives back what is there.
fn check(backend: &Backend, life: &Life, at: &str) -> Tree {
    agrees(backend, at);
    let mut doubtful: BTreeSet<&String> = BTreeSet::new();
    match &life.doubt {
        Doubt::None => {}
        Doubt::Whole(after) => {
            doubtful.extend(after.iter().map(|(dn, _)| dn));
            let is_before = after.iter().all(|(dn, _)| look(backend, dn).as_ref() == life.tree.get(dn));
            let is_after =
                after.iter().all(|(dn, value)| look(backend, dn).map(|token| token.value) == *value);
            assert!(is_before || is_after, "{at}: {after:?} is half there");
        }
        Doubt::Subtree(doomed) => {
            doubtful.extend(doomed);
            for dn in doomed {
                let found = look(backend, dn);
                assert!(found.is_none() || found.as_ref() == life.tree.get(dn), "{at}: {dn}");
            }
        }
    }
    let mut found = Tree::new();
    for dn in life.tree.keys().chain(doubtful.iter().copied()) {
        let token = look(backend, dn);
        assert!(doubtful.contains(dn) || token.as_ref() == life.tree.get(dn), "{at}: {dn} {token:?}");
        found.extend(token.map(|token| (dn.clone(), token)));
    }
    assert_eq!(backend.entries(), found.len() as u64, "{at}: nothing else is there");
    found
}

/// Stops a life at a point of one of the disks and looks at what is left.
fn stop_at(point: u64, fault: Fault, is_log: bool) {
    let disks = Disks::new();
    if is_log { &disks.log } else { &disks.home }.fail_at(point, fault);
    let life = live(&disks);
    for unsynced in [Unsynced::Lost, Unsynced::Some(point)] {
        let at = format!("{} point {point} {fault:?} {unsynced:?}", if is_log { "log" } else { "home" });
        let left = disks.after_crash(unsynced);
        let options = BackendOptions { indexes: life.indexes.clone(), ..left.options() };
        let backend = left.try_open_with(&options).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(backend.recovered().damage.is_empty(), "{at}: {:?}", backend.recovered());
        assert!(backend.unwilling().is_none(), "{at}");
        let tree = check(&backend, &life, &at);
        // It goes on, and what was found stays so.
        let mut later = Life { tree, ..Life::default() };
        if later.tree.contains_key(&below("ou=a")) {
            later.add(&backend, &token(99), 10).unwrap();
        }
        drop(backend);
        check(&left.try_open_with(&options).unwrap(), &later, &at);
    }
}

#[test]
fn a_stop_at_every_durable_point() {
    let whole = Disks::new();
    let life = live(&whole);
    assert!(matches!(life.doubt, Doubt::None) && life.tree.contains_key(&token(7)));
    check(&whole.open(), &life, "undisturbed");
    let (in_log, at_home) = (whole.log.points(), whole.home.points());
    assert!(in_log > 25 && at_home > 8, "{in_log} {at_home}");
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for (points, is_log) in [(in_log, true), (at_home, false)] {
                    for point in (1..=points).filter(|point| point % 2 == half) {
                        for fault in [Fault::Stop, Fault::Late, Fault::Torn(point * 7919), Fault::Once] {
                            stop_at(point, fault, is_log);
                        }
                    }
                }
            });
        }
    });
}
