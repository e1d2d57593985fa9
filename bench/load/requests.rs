//! The requests of `OpenAM`'s token store, with its controls or without any.

use bytes::BytesMut;

use ctsd::ber::tag;
use ctsd::ber::write::{element, octets};
use ctsd::protocol::control::persistent_search::PersistentSearchRequest;
use ctsd::protocol::filter::Filter;
use ctsd::protocol::message::{Control, MessageId, ModifyOperation, Scope};
use ctsd::protocol::{filter_text, oid, request};

use crate::options::Options;
use crate::template::Template;
use crate::token::{self, Random, Token};

// Marks: as long as what takes their place, and in no other bytes.
const ID: &str = "<----- token-id --->";
const USER: &str = "<usr>";
const EXPIRY: &[u8] = b"<---- expiry ----->";
const IDLE: &[u8] = b"<----- idle ------>";
const ACCESS: &[u8] = b"<- access -->";
const SALT: &[u8] = b"<-salt->";
const ETAG: &str = "<---- etag ---->";

/// "etag" alone as a list of attributes: what OpenAM reads with every change.
const ETAG_LIST: &[u8] = b"\x30\x06\x04\x04etag";
const TRANSACTION: &[u8] = b"5f0a7c1e-2b7d-4c06-9d55-2f6a1c9be1f3/482913";

/// Everything that is sent.
#[derive(Debug)]
pub(crate) struct Requests {
    plain: bool,
    assert: bool,
    base: String,
    users: u64,
    object: Random,
    add: Template,
    read: Template,
    query_user: Template,
    query_handle: Template,
    modify: Template,
    modify_asserted: Template,
    delete: Template,
    delete_pre_read: Template,
    heartbeat: Template,
}

impl Requests {
    pub(crate) fn new(options: &Options) -> Self {
        let transaction = Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(TRANSACTION) };
        let post_read = Control { oid: oid::POST_READ, critical: true, value: Some(ETAG_LIST) };
        let fields = all_fields();
        let pre_read = Control { oid: oid::PRE_READ, critical: true, value: Some(&fields) };
        let assertion = etag_filter();
        let assertion = Control { oid: oid::ASSERTION, critical: true, value: Some(&assertion) };
        let plain = options.plain;
        let with = |controls: &[Control<'static>]| if plain { Vec::new() } else { controls.to_vec() };

        let mut random = Random::new(options.seed);
        let mut object = vec![0; options.object_size.max(64)];
        random.fill(&mut object);
        object[..SALT.len()].copy_from_slice(SALT);

        let dn = format!("coreTokenId={ID},{}", options.base_dn);
        let base = options.base_dn.as_str();
        let asserted = if plain { Vec::new() } else { vec![transaction, post_read, assertion] };
        let modified = if plain { Vec::new() } else { vec![transaction, post_read] };
        let read = if plain { vec![] } else { vec![transaction] };
        let pre_read = if plain { Vec::new() } else { vec![transaction, pre_read] };
        let changes = |controls: &[Control<'_>], etag: bool| {
            let marks: &[&[u8]] = &[ID.as_bytes(), EXPIRY, SALT, IDLE, ACCESS, ETAG.as_bytes()];
            let marks = if options.short_modify {
                &[ID.as_bytes(), EXPIRY, SALT][..]
            } else if etag {
                marks
            } else {
                &marks[..5]
            };
            Template::new(marks, |out, id| put_modify(out, id, &dn, &object, options.short_modify, controls))
        };
        Self {
            plain,
            assert: !plain && !options.no_assert && !options.short_modify,
            base: options.base_dn.clone(),
            users: options.users,
            add: Template::new(&[ID.as_bytes(), EXPIRY, SALT, IDLE, ACCESS, USER.as_bytes()], |out, id| {
                put_add(out, id, &dn, &object, &modified)
            }),
            read: search(&[ID.as_bytes()], &dn, Scope::Base, "(objectClass=*)", &["*", "etag"], 1, &read),
            query_user: search(
                &[USER.as_bytes()],
                base,
                Scope::Subtree,
                &format!("(&(coreTokenUserId={})(objectClass=frCoreToken))", user_id()),
                &[
                    "coreTokenString02",
                    "coreTokenExpirationDate",
                    "coreTokenType",
                    "coreTokenString13",
                    "etag",
                ],
                0,
                &read,
            ),
            query_handle: search(
                &[ID.as_bytes()],
                base,
                Scope::Subtree,
                &format!("(&(coreTokenString03={})(objectClass=frCoreToken))", handle()),
                &["*", "etag"],
                0,
                &read,
            ),
            modify: changes(&modified, false),
            modify_asserted: if plain { changes(&modified, false) } else { changes(&asserted, true) },
            delete: Template::new(&[ID.as_bytes()], |out, id| {
                request::delete(out, id, &dn, &with(&[transaction]));
            }),
            delete_pre_read: Template::new(&[ID.as_bytes()], |out, id| {
                request::delete(out, id, &dn, &pre_read);
            }),
            heartbeat: search(&[], "", Scope::Base, "(objectClass=*)", &["1.1"], 0, &[]),
            object: random,
        }
    }

    /// Octets of an add request.
    pub(crate) fn add_len(&self) -> usize {
        self.add.len()
    }

    /// Whether changes are answered with the new etag.
    pub(crate) const fn reads_etags(&self) -> bool {
        !self.plain
    }

    pub(crate) fn put_add(
        &mut self,
        out: &mut Vec<u8>,
        id: i32,
        seq: u64,
        version: u64,
        expiry: u64,
        now: u64,
    ) {
        let salt = self.object.next().to_be_bytes();
        let (expiry, idle) = (token::time(expiry), token::time(now + 1_800_000));
        let (name, user) = (token::id(seq), token::user(seq, self.users));
        let access: [u8; 13] = token::digits(version);
        self.add.put(out, id, &[&name, &expiry, &salt, &idle, &access, &user]);
    }

    pub(crate) fn put_modify(
        &mut self,
        out: &mut Vec<u8>,
        id: i32,
        token: &Token,
        version: u64,
        expiry: u64,
        now: u64,
    ) {
        let salt = self.object.next().to_be_bytes();
        let (expiry, idle) = (token::time(expiry), token::time(now + 1_800_000));
        let access: [u8; 13] = token::digits(version);
        let asserted = self.assert && token.has_etag();
        let template = if asserted { &self.modify_asserted } else { &self.modify };
        template.put(out, id, &[&token::id(token.seq), &expiry, &salt, &idle, &access, &token.etag]);
    }

    pub(crate) fn put_read(&self, out: &mut Vec<u8>, id: i32, seq: u64) {
        self.read.put(out, id, &[&token::id(seq)]);
    }

    pub(crate) fn put_query_user(&self, out: &mut Vec<u8>, id: i32, seq: u64) {
        self.query_user.put(out, id, &[&token::user(seq, self.users)]);
    }

    pub(crate) fn put_query_handle(&self, out: &mut Vec<u8>, id: i32, seq: u64) {
        self.query_handle.put(out, id, &[&token::id(seq)]);
    }

    pub(crate) fn put_delete(&self, out: &mut Vec<u8>, id: i32, seq: u64, pre_read: bool) {
        let template = if pre_read { &self.delete_pre_read } else { &self.delete };
        template.put(out, id, &[&token::id(seq)]);
    }

    pub(crate) fn put_heartbeat(&self, out: &mut Vec<u8>, id: i32) {
        self.heartbeat.put(out, id, &[]);
    }

    /// The expiry worker's search: always the first page. Paging goes without saying here: no worker can do
    /// without it, on no server.
    pub(crate) fn put_expired(&self, out: &mut Vec<u8>, id: i32, now: u64) {
        let now = token::time(now);
        let now = String::from_utf8_lossy(&now);
        let filter = format!(
            "(&(&(coreTokenExpirationDate<={now})(!(coreTokenExpirationDate={now})))(objectClass=frCoreToken))"
        );
        let paged = Control {
            oid: oid::PAGED_RESULTS,
            critical: true,
            value: Some(b"\x30\x06\x02\x02\x03\xe8\x04\x00"),
        };
        let transaction = Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(TRANSACTION) };
        let controls = [paged, transaction];
        let controls = if self.plain { &controls[..1] } else { &controls[..] };
        let filter = parsed(&filter);
        let mut message = BytesMut::new();
        let mut search = request::Search::base(&self.base);
        search.scope = Scope::Subtree;
        search.filter = filter;
        search.attributes = &["coreTokenId", "etag"];
        request::search(&mut message, MessageId(id), &search, controls);
        out.extend_from_slice(&message);
    }

    /// All that there is, again and again, for who does not read.
    pub(crate) fn put_flood(&self, out: &mut Vec<u8>, id: i32) {
        let mut message = BytesMut::new();
        let mut search = request::Search::base(&self.base);
        search.scope = Scope::Subtree;
        search.filter = parsed("(objectClass=frCoreToken)");
        search.attributes = &["*"];
        for turn in 0..8 {
            request::search(&mut message, MessageId(id + turn), &search, &[]);
        }
        out.extend_from_slice(&message);
    }

    /// The persistent search of the watcher of sessions.
    pub(crate) fn put_listen(&self, out: &mut Vec<u8>, id: i32) {
        let wanted =
            PersistentSearchRequest { change_types: 15, changes_only: true, return_notifications: true };
        let value = wanted.value();
        let controls = [
            Control { oid: oid::PERSISTENT_SEARCH, critical: true, value: Some(&value) },
            Control { oid: oid::TRANSACTION_ID, critical: false, value: Some(TRANSACTION) },
        ];
        let mut message = BytesMut::new();
        let mut search = request::Search::base(&self.base);
        search.scope = Scope::Subtree;
        search.filter = parsed("(&(coreTokenType=SESSION)(objectClass=frCoreToken))");
        search.attributes = &["coreTokenString02", "dn"];
        request::search(&mut message, MessageId(id), &search, &controls);
        out.extend_from_slice(&message);
    }
}

fn user_id() -> String {
    format!("id=user{USER},ou=user,dc=openam,dc=example,dc=com")
}

fn handle() -> String {
    format!("shandle:AQIC5wM2LY4SfcwmVdbgTX-9WwyUHvhqc-6qVkYbGP8aVgI.*AAJTSQACMDE.{ID}.AAIxMA..*")
        .replace('*', "_")
}

fn session_id() -> String {
    format!(
        "AQIC5wM2LY4Sfcz0dLAvyJYTeLBJmK2tVLs6jyHZvTjcCHM.{ID}.AAJTSQACMDIAAlNLABM0NjIzODQzNzg2Nzg3NjQzMTAyAAJTMQACMDE."
    )
}

fn parsed(filter: &str) -> Filter<'static> {
    filter_text::parse(filter).expect("the driver's own filters parse")
}

fn search(
    marks: &[&[u8]],
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
    size_limit: u32,
    controls: &[Control<'_>],
) -> Template {
    // The marks hold no octet that a filter's text would read as its own.
    Template::new(marks, |out, id| {
        let mut search = request::Search::base(base);
        search.scope = scope;
        search.filter = parsed(filter);
        search.attributes = attributes;
        search.size_limit = size_limit;
        request::search(out, id, &search, controls);
    })
}

fn put_add(out: &mut BytesMut, id: MessageId, dn: &str, object: &[u8], controls: &[Control<'_>]) {
    let (user, handle, session) = (user_id(), handle(), session_id());
    let attributes: &[(&str, &[u8])] = &[
        ("objectClass", b"frCoreToken"),
        ("coreTokenId", ID.as_bytes()),
        ("coreTokenType", b"SESSION"),
        ("coreTokenExpirationDate", EXPIRY),
        ("coreTokenUserId", user.as_bytes()),
        ("coreTokenString01", ACCESS),
        ("coreTokenString02", session.as_bytes()),
        ("coreTokenString03", handle.as_bytes()),
        ("coreTokenString08", b"/customers"),
        ("coreTokenString11", b"/customers"),
        ("coreTokenString13", b"VALID"),
        ("coreTokenString14", user.as_bytes()),
        ("coreTokenDate01", EXPIRY),
        ("coreTokenDate02", IDLE),
        ("coreTokenObject", object),
    ];
    let values: Vec<[&[u8]; 1]> = attributes.iter().map(|(_, value)| [*value]).collect();
    let attributes: Vec<request::Attribute<'_>> =
        attributes.iter().zip(&values).map(|((name, _), value)| (*name, &value[..])).collect();
    request::add(out, id, dn, &attributes, controls);
}

fn put_modify(
    out: &mut BytesMut,
    id: MessageId,
    dn: &str,
    object: &[u8],
    short: bool,
    controls: &[Control<'_>],
) {
    let (object, expiry, idle, access) = ([object], [EXPIRY], [IDLE], [ACCESS]);
    let mut changes: Vec<(ModifyOperation, request::Attribute<'_>)> = vec![
        (ModifyOperation::Replace, ("coreTokenExpirationDate", &expiry)),
        (ModifyOperation::Replace, ("coreTokenObject", &object)),
    ];
    if !short {
        changes.push((ModifyOperation::Replace, ("coreTokenString01", &access)));
        changes.push((ModifyOperation::Replace, ("coreTokenDate02", &idle)));
    }
    request::modify(out, id, dn, &changes, controls);
}

fn etag_filter() -> BytesMut {
    let mut content = BytesMut::new();
    octets(&mut content, b"etag");
    octets(&mut content, ETAG.as_bytes());
    let mut filter = BytesMut::new();
    element(&mut filter, tag::context_constructed(3), &content);
    filter
}

/// All fields of a token, as the worker for the longest session time reads them before it deletes.
fn all_fields() -> BytesMut {
    let single = ["coreTokenId", "coreTokenType", "coreTokenExpirationDate", "coreTokenUserId"];
    let more = ["coreTokenObject", "createTimestamp", "etag"];
    let mut names: Vec<String> = single.iter().chain(&more).map(|name| (*name).to_owned()).collect();
    for (stem, count) in [("String", 15), ("Integer", 10), ("Date", 5), ("MultiString", 3)] {
        names.extend((1..=count).map(|number| format!("coreToken{stem}{number:02}")));
    }
    let mut content = BytesMut::new();
    names.iter().for_each(|name| octets(&mut content, name.as_bytes()));
    let mut list = BytesMut::new();
    element(&mut list, tag::SEQUENCE, &content);
    list
}
