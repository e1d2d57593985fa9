//! Persistent search under 10,000 rapid changes (`cts-contract` §6, first rows): each change notified exactly once, per
//! entry in the order of its etags, overall in the order of the log, and no etag twice.

use std::collections::{BTreeMap, HashMap, HashSet};

use ctsd::protocol::control::entry_change::ChangeType;

use crate::support::{Ctl, Link, Query, Reply, TID, Token, cts, request};

const CHANGES: usize = 10_000;

/// One notification: of which entry, what, and the entry's etag then.
type Heard = (String, ChangeType, String);

/// Listens until the sentinel is added, with a heartbeat now and then.
fn listen(mut link: Link, id: i32) -> Vec<Heard> {
    let mut heard = Vec::with_capacity(CHANGES);
    let mut beats = 0;
    loop {
        match link.next().unwrap() {
            Reply::Entry(from, entry) if from == id => {
                let change = entry.change().expect("every notification has its control");
                let token = entry.text("coreTokenId").expect("every notification has its attributes");
                if token == "sentinel" {
                    break;
                }
                heard.push((token, change.change, entry.text("etag").unwrap()));
                if heard.len() % 500 == 0 {
                    let id = link.id();
                    link.send(&request::search(id, &Query::base("").select(&["1.1"]), &[]));
                    beats += 1;
                }
            }
            Reply::Answer(answer) => {
                assert!(answer.id != id && answer.code == 0, "{answer:?}");
                beats -= 1;
            }
            _ => {}
        }
    }
    while beats > 0 {
        if let Reply::Answer(_) = link.next().unwrap() {
            beats -= 1;
        }
    }
    heard
}

fn listener(base: &str) -> (Link, i32) {
    let mut link = cts().openam();
    let query = Query::subtree(base, "(objectClass=frCoreToken)").select(&["coreTokenId", "etag", "dn"]);
    let id = link.start(&query, &[Ctl::transaction_id(TID), Ctl::openam_persistent()]);
    assert!(link.heartbeat());
    (link, id)
}

/// What two listeners heard while `write` wrote.
fn storm(base: &str, write: impl FnOnce()) -> Vec<Heard> {
    let (one, two) = (listener(base), listener(base));
    std::thread::scope(|scope| {
        let one = scope.spawn(|| listen(one.0, one.1));
        let two = scope.spawn(|| listen(two.0, two.1));
        write();
        Token::session("sentinel", "shandle:end").create(&mut cts().openam(), base);
        let (one, two) = (one.join().unwrap(), two.join().unwrap());
        assert!(one == two, "two listeners hear the same in the same order");
        one
    })
}

fn per_entry(heard: Vec<Heard>) -> BTreeMap<String, Vec<(ChangeType, String)>> {
    let mut entries: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (token, change, etag) in heard {
        entries.entry(token).or_default().push((change, etag));
    }
    entries
}

fn assert_unique(chain: &[(ChangeType, String)], token: &str) {
    let etags: Vec<_> =
        chain.iter().filter(|(change, _)| *change != ChangeType::Delete).map(|(_, etag)| etag).collect();
    assert_eq!(etags.iter().collect::<HashSet<_>>().len(), etags.len(), "an etag of {token} repeats");
}

#[test]
fn ten_thousand_changes_of_one_writer() {
    let base = cts().container("storm-one");
    const TOKENS: usize = 400;
    const EACH: usize = CHANGES / TOKENS;
    let mut chains: BTreeMap<String, Vec<(ChangeType, String)>> = BTreeMap::new();
    let heard = storm(&base, || {
        let mut link = cts().openam();
        let read = |name| [Ctl::transaction_id(TID), name];
        let answers = link.pipeline(CHANGES, |number, id| {
            let token = Token::session(&format!("t{}", number % TOKENS), "shandle:storm");
            let dn = token.dn(&base);
            match number / TOKENS {
                0 => token.add_bytes(id, &base),
                step if step == EACH - 1 => request::delete(id, &dn, &read(Ctl::pre_read(&["etag"]))),
                // a → b → a within a moment: OpenDJ's etag comes back then.
                step => {
                    let value = if step % 2 == 0 { "a" } else { "b" };
                    let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &[value])];
                    request::modify(id, &dn, change, &read(Ctl::post_read(&["etag"])))
                }
            }
        });
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer.code, 0, "{number}: {answer:?}");
            let step = match number / TOKENS {
                0 => (ChangeType::Add, answer.etag()),
                step if step == EACH - 1 => (ChangeType::Delete, answer.before().unwrap().text("etag")),
                _ => (ChangeType::Modify, answer.etag()),
            };
            chains.entry(format!("t{}", number % TOKENS)).or_default().push((step.0, step.1.unwrap()));
        }
    });
    assert_eq!(heard.len(), CHANGES, "each once");
    let entries = per_entry(heard);
    for (token, chain) in &chains {
        assert_unique(chain, token);
        assert_eq!(&entries[token], chain, "{token}");
    }
    assert_eq!(entries.len(), chains.len());
}

#[test]
fn ten_thousand_changes_of_eight_writers_on_the_same_tokens() {
    let base = cts().container("storm-eight");
    const TOKENS: usize = 56;
    const WRITERS: usize = 8;
    const EACH: usize = (CHANGES - 2 * TOKENS) / WRITERS;
    let mut firsts = HashMap::new();
    let mut lasts = HashMap::new();
    // Entry and etag before a change → etag after it.
    let mut links: HashMap<(String, String), String> = HashMap::new();
    let mut changes = 0;
    let heard = storm(&base, || {
        let mut link = cts().openam();
        let token = |number: usize| Token::session(&format!("t{number}"), "shandle:storm");
        for number in 0..TOKENS {
            firsts.insert(format!("t{number}"), token(number).create(&mut link, &base));
            changes += 1;
        }
        let base = &base;
        let written: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    scope.spawn(move || {
                        let controls =
                            [Ctl::transaction_id(TID), Ctl::pre_read(&["etag"]), Ctl::post_read(&["etag"])];
                        let of = |number: usize| (number * 5 + writer) % TOKENS;
                        let answers = cts().openam().pipeline(EACH, |number, id| {
                            let value = format!("{writer}-{number}");
                            let change: &[(char, &str, &[&str])] = &[('=', "coreTokenString01", &[&value])];
                            request::modify(id, &token(of(number)).dn(base), change, &controls)
                        });
                        let links = answers.iter().enumerate().map(|(number, answer)| {
                            let before = answer.before().unwrap().text("etag").unwrap();
                            ((format!("t{}", of(number)), before), answer.etag().unwrap())
                        });
                        links.collect::<Vec<_>>()
                    })
                })
                .collect();
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        for (from, to) in written {
            changes += 1;
            assert!(links.insert(from, to).is_none(), "two changes of one version");
        }
        for number in 0..TOKENS {
            let answer = link.delete(&token(number).dn(base), &[Ctl::pre_read(&["etag"])]);
            lasts.insert(format!("t{number}"), answer.before().unwrap().text("etag").unwrap());
            changes += 1;
        }
    });
    assert_eq!(changes, CHANGES);
    assert_eq!(heard.len(), changes, "each once");
    for (token, chain) in per_entry(heard) {
        let mut etag = firsts[&token].clone();
        let mut expected = vec![(ChangeType::Add, etag.clone())];
        while let Some(next) = links.remove(&(token.clone(), etag.clone())) {
            expected.push((ChangeType::Modify, next.clone()));
            etag = next;
        }
        expected.push((ChangeType::Delete, lasts[&token].clone()));
        assert_unique(&expected, &token);
        assert_eq!(chain, expected, "{token}");
    }
    assert!(links.is_empty(), "changes that no chain leads to");
}
