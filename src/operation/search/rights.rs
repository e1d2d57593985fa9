//! Get effective rights: entries that are found tell what somebody may do to them, in `aclRights` and `aclRightsInfo`,
//! printed as OpenDJ prints them.

use std::sync::Arc;

use bytes::BytesMut;

use crate::access::{AccessSet, Asked, AuthMethod, Explanation, Origin, Privilege, Reason, Requester, Right};
use crate::entry::StoredEntry;
use crate::operation::answer::Exchange;
use crate::operation::sight::Sight;
use crate::operation::{identity, outcome};
use crate::protocol::control::effective_rights::RightsRequest;
use crate::protocol::encode;
use crate::protocol::message::SearchRequest;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

const RIGHTS: &str = "aclRights";
const INFO: &str = "aclRightsInfo";

/// What of rights a search wants told.
pub(super) struct Rights {
    who: Arc<Requester>,
    rights: bool,
    info: bool,
    all_user: bool,
    all_operational: bool,
    /// Attributes named by the search or by the control.
    named: Vec<String>,
}

impl Rights {
    /// What the search wants; none if it names neither attribute. Rights of somebody else take the privilege
    /// `config-read` (or `bypass-acl`), for they tell who exists and what ACIs say.
    pub(super) fn of(
        exchange: &Exchange,
        request: RightsRequest,
        search: &SearchRequest<'_>,
    ) -> Result<Option<Self>, LdapResult> {
        let own = &exchange.sight.who;
        let who = match request.who.as_deref() {
            None => Arc::clone(own),
            Some("dn:") => exchange.directory().anonymous(own.address, own.security_strength),
            Some(name) => {
                let account = identity::named(exchange, name)?;
                match account {
                    Some(account) if account.key == own.key => Arc::clone(own),
                    _ if !own.privileges.has(Privilege::ConfigRead)
                        && !own.privileges.has(Privilege::BypassAcl) =>
                    {
                        let what = "seeing the rights of somebody else";
                        return Err(outcome::missing_privilege(Privilege::ConfigRead, what));
                    }
                    None => {
                        let text = format!("there is no {name} whose rights could be told");
                        return Err(LdapResult::with(ResultCode::AUTHORIZATION_DENIED, text));
                    }
                    Some(account) => {
                        let origin = Origin { method: AuthMethod::Simple, ..own.origin() };
                        Arc::new(account.requester(origin))
                    }
                }
            }
        };
        let mut wish = Self {
            who,
            rights: false,
            info: false,
            all_user: false,
            all_operational: false,
            named: request.attributes,
        };
        for name in search.attributes.iter() {
            match name {
                "*" => wish.all_user = true,
                "+" => wish.all_operational = true,
                "1.1" => {}
                _ if name.eq_ignore_ascii_case(RIGHTS) => wish.rights = true,
                _ if name.eq_ignore_ascii_case(INFO) => wish.info = true,
                _ => wish.named.push(name.to_owned()),
            }
        }
        Ok((wish.rights || wish.info).then_some(wish))
    }

    /// The attributes that tell the rights on the entry; nothing of what the asker may not read.
    pub(super) fn told(&self, asker: &Sight, entry: &StoredEntry, schema: &Schema) -> BytesMut {
        let mut out = BytesMut::new();
        let Ok(key) = NormalizedDn::parse(entry.dn(), schema) else { return out };
        let may = |name: &str| asker.may(Right::Read, entry, &key, name);
        let (rights, info) = (self.rights && may(RIGHTS), self.info && may(INFO));
        if !rights && !info {
            return out;
        }
        let subject = Subject { set: &asker.access, who: &self.who, entry, key: &key };
        let mut put = |kind: &str, told: Vec<Told>, attribute: Option<&str>| {
            let tail = attribute.map(|name| format!(";{name}")).unwrap_or_default();
            if info {
                for one in &told {
                    let name = format!("{INFO};logs;{kind};{}{tail}", one.right);
                    let text = subject.summary(one, attribute);
                    encode::attribute(&mut out, &name, std::iter::once(text.as_bytes()));
                }
            }
            if rights {
                let words: Vec<_> = told.iter().map(|one| format!("{}:{}", one.right, one.mark())).collect();
                let name = format!("{RIGHTS};{kind}{tail}");
                encode::attribute(&mut out, &name, std::iter::once(words.join(",").as_bytes()));
            }
        };
        for name in self.names(entry, schema, &may) {
            put("attributeLevel", subject.on_attribute(&name), Some(&name.to_lowercase()));
        }
        put("entryLevel", subject.on_entry(), None);
        out
    }

    /// The attributes whose rights are told, each once.
    fn names(&self, entry: &StoredEntry, schema: &Schema, may: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: &str| {
            let name = name.split(';').next().unwrap_or_default();
            let name =
                schema.attribute(name).map_or_else(|| name.to_owned(), |found| found.name().to_owned());
            if !names.contains(&name) {
                names.push(name);
            }
        };
        let halves = [(self.all_user, entry.user()), (self.all_operational, entry.operational())];
        for (_, attributes) in halves.into_iter().filter(|(all, _)| *all) {
            attributes
                .iter()
                .map(|attribute| attribute.description)
                .filter(|name| may(name))
                .for_each(&mut add);
        }
        self.named.iter().for_each(|name| add(name));
        names
    }
}

/// Somebody and an entry.
struct Subject<'a> {
    set: &'a AccessSet,
    who: &'a Requester,
    entry: &'a StoredEntry,
    key: &'a NormalizedDn,
}

/// A right, and whether it is had.
struct Told {
    right: &'static str,
    why: Explanation,
}

impl Told {
    /// `1` or `0`; `?` where it hangs on the value (`targattrfilters`), as OpenDJ marks it.
    fn mark(&self) -> char {
        match (&self.why.reason, self.why.granted) {
            (Reason::ByValue(_), _) => '?',
            (_, true) => '1',
            (_, false) => '0',
        }
    }
}

impl Subject<'_> {
    fn explain(&self, asked: Asked<'_>) -> Explanation {
        self.set.explain(self.who, asked, Some(self.entry), self.key)
    }

    fn on_entry(&self) -> Vec<Told> {
        let rights = [Right::Add, Right::Delete, Right::Read, Right::Write, Right::Proxy];
        let told = rights.into_iter().map(|right| {
            let mut why = self.explain(Asked::Entry(right));
            if right == Right::Read {
                // An entry is read if something of it is.
                why.granted = self.set.visible(self.who, self.entry, self.key);
            }
            Told { right: right.name(), why }
        });
        told.collect()
    }

    fn on_attribute(&self, name: &str) -> Vec<Told> {
        let of = |right: Right| self.explain(Asked::Attribute(right, name));
        let own = || {
            let why = of(Right::Write);
            if why.granted || matches!(why.reason, Reason::ByValue(_)) { why } else { of(Right::SelfWrite) }
        };
        vec![
            Told { right: "search", why: of(Right::Search) },
            Told { right: "read", why: of(Right::Read) },
            Told { right: "compare", why: of(Right::Compare) },
            Told { right: "write", why: of(Right::Write) },
            Told { right: "selfwrite_add", why: own() },
            Told { right: "selfwrite_delete", why: own() },
            Told { right: "proxy", why: of(Right::Proxy) },
        ]
    }

    fn summary(&self, told: &Told, attribute: Option<&str>) -> String {
        let verdict = if told.why.granted { "allowed" } else { "not allowed" };
        let who = if self.who.is_anonymous() { "anonymous" } else { self.who.dn.as_str() };
        let reason = match &told.why.reason {
            Reason::Bypass => "user has bypass-acl privileges ".to_owned(),
            Reason::Allowed(name) => format!("evaluated allow , deciding_aci: {name}"),
            Reason::Denied(name) => format!("evaluated deny , deciding_aci: {name}"),
            Reason::NothingAbout => "no acis matched the resource ".to_owned(),
            Reason::NotForRequester => "no acis matched the subject ".to_owned(),
            Reason::ByValue(name) => format!("evaluated by value , deciding_aci: {name}"),
            Reason::Hidden => "no user attribute of the entry may be read ".to_owned(),
            Reason::ObjectClass => "the entry may be read ".to_owned(),
        };
        format!(
            "acl_summary(main): access {verdict}({}) on entry/attr({}, {}) to ({who}) (not proxied) ( reason: {reason})",
            told.right,
            self.entry.dn(),
            attribute.unwrap_or("NULL"),
        )
    }
}
