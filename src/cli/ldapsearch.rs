//! `ldapsearch`: entries as LDIF.

use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, ValueEnum};

use super::Failure;
use super::ldap::{
    Answer, Client, ClientError, ControlOptions, LdapOptions, OwnedControl, borrowed, describe,
    effective_rights, entry, exit_of, failed, matched_values, sort_keys, virtual_list_view,
};
use crate::ldif::LdifWriter;
use crate::protocol::control::entry_change::{ChangeType, EntryChange};
use crate::protocol::control::paged::PagedRequest;
use crate::protocol::control::persistent_search::PersistentSearchRequest;
use crate::protocol::control::sort;
use crate::protocol::filter::Filter;
use crate::protocol::filter_text;
use crate::protocol::message::Scope;
use crate::protocol::oid;
use crate::protocol::request::{self, Search};
use crate::protocol::response::{Response, ResponseMessage};
use crate::protocol::result::ResultCode;

const EXAMPLES: &str = "Examples:
  ldapsearch -p 1389 -D 'cn=Directory Manager' -j password.txt -b dc=cts,dc=example,dc=com '(objectClass=*)' dn
  ldapsearch -p 1389 -b '' -s base '(objectClass=*)' '*' +
      the root DSE
  ldapsearch -p 1389 -D 'cn=Directory Manager' -j password.txt -b ou=tokens,dc=cts,dc=example,dc=com \\
      --persistentSearch ps:all:true:true '(objectClass=frCoreToken)' etag
      what happens to tokens, as it happens
  ldapsearch -p 1389 -D 'cn=Directory Manager' -j password.txt -b dc=cts,dc=example,dc=com \\
      --simplePageSize 500 --countEntries '(coreTokenType=SESSION)' 1.1";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeName {
    Base,
    One,
    Sub,
    #[value(alias = "subordinate")]
    Subordinates,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deref {
    Never,
    Search,
    Find,
    Always,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(super) struct Options {
    /// Print help.
    #[arg(short = 'H', long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    ldap: LdapOptions,
    /// Base DN of the search; `''` is the root DSE.
    #[arg(short = 'b', long = "baseDN", value_name = "DN")]
    base_dn: Option<String>,
    /// How far below the base to look.
    #[arg(short = 's', long = "searchScope", value_enum, default_value = "sub", ignore_case = true)]
    search_scope: ScopeName,
    /// When to follow aliases; the server has none.
    #[arg(short = 'a', long = "dereferencePolicy", value_enum, default_value = "never", ignore_case = true)]
    dereference_policy: Deref,
    /// Entries wanted at the most.
    #[arg(short = 'z', long = "sizeLimit", default_value_t = 0, value_name = "ENTRIES")]
    size_limit: u32,
    /// Seconds wanted at the most.
    #[arg(short = 'l', long = "timeLimit", default_value_t = 0, value_name = "SECONDS")]
    time_limit: u32,
    /// Names of attributes only.
    #[arg(short = 'A', long = "typesOnly")]
    types_only: bool,
    /// Go on after errors.
    #[arg(short = 'c', long = "continueOnError")]
    continue_on_error: bool,
    /// Show what would be asked, and do not ask.
    #[arg(short = 'n', long = "dry-run")]
    dry_run: bool,
    /// File with one filter a line.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Stay and print changes: `ps[:add,delete,modify,modifydn|all[:changesonly[:entrychgcontrols]]]`.
    #[arg(short = 'C', long = "persistentSearch", value_name = "PS")]
    persistent_search: Option<String>,
    /// Fetch in pages of so many entries.
    #[arg(long = "simplePageSize", value_name = "ENTRIES")]
    simple_page_size: Option<u32>,
    /// Have the server sort: `[+|-]attribute[:rule],…`.
    #[arg(short = 'S', long = "sortOrder", value_name = "KEYS", allow_hyphen_values = true)]
    sort_order: Option<String>,
    /// A window of the sorted entries: `before:after:index:count` or `before:after:value`.
    #[arg(short = 'G', long = "virtualListView", value_name = "WINDOW", requires = "sort_order")]
    virtual_list_view: Option<String>,
    /// Only values that match; may be given several times.
    #[arg(long = "matchedValuesFilter", value_name = "FILTER")]
    matched_values_filter: Vec<String>,
    /// What this identity may do with the entries (get effective rights control).
    #[arg(short = 'g', long = "getEffectiveRightsAuthzid", value_name = "AUTHZID")]
    effective_rights_authzid: Option<String>,
    /// Attributes to tell rights of, besides the entries' own.
    #[arg(short = 'e', long = "getEffectiveRightsAttribute", value_name = "ATTRIBUTE")]
    effective_rights_attribute: Vec<String>,
    /// Subentries too.
    #[arg(long = "subEntries")]
    sub_entries: bool,
    /// Print how many entries there were.
    #[arg(long = "countEntries")]
    count_entries: bool,
    /// Octets of the longest line of output; 0 does not wrap.
    #[arg(short = 't', long = "wrapColumn", default_value_t = 0, value_name = "OCTETS")]
    wrap_column: usize,
    /// Do not wrap; it is the default.
    #[arg(long = "dontWrap", conflicts_with = "wrap_column")]
    dont_wrap: bool,
    #[command(flatten)]
    controls: ControlOptions,
    /// The filter (unless --filename gives it) and the attributes to print; none: all user attributes.
    #[arg(value_name = "FILTER] [ATTRIBUTE")]
    rest: Vec<String>,
}

/// Reads `ps[:types[:changesonly[:entrychgcontrols]]]`.
fn persistent(text: &str) -> Result<PersistentSearchRequest, String> {
    let mut parts = text.split(':');
    if !parts.next().is_some_and(|word| word.eq_ignore_ascii_case("ps")) {
        return Err("it starts with ps".to_owned());
    }
    let mut change_types = 0;
    for word in parts.next().unwrap_or("all").split(',') {
        change_types |= match word.trim().to_lowercase().as_str() {
            "all" | "any" | "" => 15,
            "add" => ChangeType::Add as u8,
            "delete" | "del" => ChangeType::Delete as u8,
            "modify" | "mod" => ChangeType::Modify as u8,
            "modifydn" | "moddn" | "modrdn" => ChangeType::ModifyDn as u8,
            other => return Err(format!("\"{other}\" is none of add, delete, modify, modifydn, all")),
        };
    }
    let flag = |part: Option<&str>| match part.map(str::to_lowercase).as_deref() {
        None | Some("" | "true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(format!("\"{other}\" is neither true nor false")),
    };
    let changes_only = flag(parts.next())?;
    let return_notifications = flag(parts.next())?;
    match parts.next() {
        Some(_) => Err("it has too many parts".to_owned()),
        None => Ok(PersistentSearchRequest { change_types, changes_only, return_notifications }),
    }
}

fn controls(options: &Options) -> Result<Vec<OwnedControl>, Failure> {
    let wrong = |option: &'static str| move |reason: String| Failure::new(format!("{option}: {reason}"));
    let mut controls = options.controls.controls()?;
    if let Some(text) = &options.persistent_search {
        let value = persistent(text).map_err(wrong("--persistentSearch"))?.value();
        controls.push(OwnedControl::new(oid::PERSISTENT_SEARCH, true, Some(value.to_vec())));
    }
    if let Some(keys) = &options.sort_order {
        controls.push(sort_keys(keys).map_err(wrong("--sortOrder"))?);
    }
    if let Some(window) = &options.virtual_list_view {
        controls.push(virtual_list_view(window).map_err(wrong("--virtualListView"))?);
    }
    if !options.matched_values_filter.is_empty() {
        let filters = matched_values(&options.matched_values_filter);
        controls.push(filters.map_err(wrong("--matchedValuesFilter"))?);
    }
    if options.effective_rights_authzid.is_some() || !options.effective_rights_attribute.is_empty() {
        let identity = options.effective_rights_authzid.as_deref().unwrap_or_default();
        controls.push(effective_rights(identity, &options.effective_rights_attribute));
    }
    if options.sub_entries {
        // A bare TRUE: subentries instead of entries (RFC 3672 §3).
        controls.push(OwnedControl::new(oid::SUBENTRIES, true, Some(vec![1, 1, 0xff])));
    }
    Ok(controls)
}

struct Printer {
    out: LdifWriter<std::io::BufWriter<std::io::Stdout>>,
    count: u64,
    is_live: bool,
}

impl Printer {
    fn new(options: &Options) -> Self {
        let out = LdifWriter::new(std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout()));
        let out = if options.wrap_column > 0 { out.with_fold(options.wrap_column) } else { out };
        Self { out, count: 0, is_live: options.persistent_search.is_some() }
    }

    fn message(&mut self, message: &ResponseMessage<'_>) -> Result<(), ClientError> {
        self.write(message).map_err(ClientError::Output)
    }

    fn write(&mut self, message: &ResponseMessage<'_>) -> std::io::Result<()> {
        match &message.response {
            Response::Entry { dn, attributes } => {
                for control in message.controls.clone() {
                    if control.oid == oid::ENTRY_CHANGE_NOTIFICATION
                        && let Ok(change) = EntryChange::parse(control.value.unwrap_or_default())
                    {
                        self.change(&change)?;
                    }
                }
                self.count += 1;
                entry(&mut self.out, dn, attributes)?;
            }
            Response::Reference(urls) => {
                for url in urls {
                    self.out.comment(&format!("SearchReference: {url}"))?;
                }
            }
            _ => {}
        }
        if self.is_live { self.out.flush() } else { Ok(()) }
    }

    fn change(&mut self, change: &EntryChange) -> std::io::Result<()> {
        let word = match change.change {
            ChangeType::Add => "add",
            ChangeType::Delete => "delete",
            ChangeType::Modify => "modify",
            ChangeType::ModifyDn => "modifyDN",
        };
        self.out.comment(&format!("Persistent search change type:  {word}"))?;
        if let Some(dn) = &change.previous_dn {
            self.out.comment(&format!("Persistent search previous entry DN:  {dn}"))?;
        }
        if let Some(number) = change.change_number {
            self.out.comment(&format!("Persistent search change number:  {number}"))?;
        }
        Ok(())
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let base = match &options.base_dn {
        Some(base) => base.clone(),
        None => options.ldap.connection.default_of("ldapsearch", "baseDN")?.ok_or_else(|| {
            Failure::new("--baseDN is missing, for example --baseDN dc=cts,dc=example,dc=com")
        })?,
    };
    let (filters, attributes, mut exit) = filters(options)?;
    let controls = controls(options)?;
    if options.dry_run {
        for filter in &filters {
            println!("# Would search {base} for {filter}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut client = options.ldap.open("ldapsearch")?;
    let mut printer = Printer::new(options);
    let names: Vec<&str> = attributes.iter().map(String::as_str).collect();
    for filter in filters {
        let search = Search {
            base: &base,
            scope: match options.search_scope {
                ScopeName::Base => Scope::Base,
                ScopeName::One => Scope::One,
                ScopeName::Sub => Scope::Subtree,
                ScopeName::Subordinates => Scope::Subordinate,
            },
            deref: options.dereference_policy as u8,
            size_limit: options.size_limit,
            time_limit: options.time_limit,
            types_only: options.types_only,
            filter,
            attributes: &names,
        };
        let answer = pages(&mut client, &search, &controls, options.simple_page_size, &mut printer)?;
        printer.out.flush().map_err(ClientError::Output)?;
        tell(&answer);
        if !answer.is_success() {
            failed("SEARCH", &base, &answer.result);
            exit = exit_of(answer.result.code);
            if !options.continue_on_error {
                break;
            }
        }
    }
    if options.count_entries {
        println!("# Total number of matching entries: {}", printer.count);
    }
    Ok(ExitCode::from(exit))
}

/// The filters, what to print of the entries, and the exit code if a filter was passed over.
fn filters(options: &Options) -> Result<(Vec<Filter<'static>>, Vec<String>, u8), Failure> {
    let parse = |text: &str| {
        filter_text::parse(text)
            .map_err(|error| Failure::new(format!("the filter \"{text}\" is wrong: {error}")))
    };
    if let Some(file) = &options.filename {
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
        let (mut found, mut exit) = (Vec::new(), 0);
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse(line) {
                Ok(filter) => found.push(filter),
                Err(Failure { text, code }) => {
                    let text = format!("{}, line {number}: {text}", file.display());
                    if !options.continue_on_error {
                        return Err(Failure { text, code });
                    }
                    eprintln!("{text}");
                    exit = code;
                }
            }
        }
        return Ok((found, options.rest.clone(), exit));
    }
    let mut rest = options.rest.iter().cloned();
    let Some(filter) = rest.next() else {
        return Err(Failure::new("a filter is missing, for example '(objectClass=*)'"));
    };
    Ok((vec![parse(&filter)?], rest.collect(), 0))
}

/// Searches, page by page if so wished.
fn pages(
    client: &mut Client,
    search: &Search<'_>,
    controls: &[OwnedControl],
    page: Option<u32>,
    printer: &mut Printer,
) -> Result<Answer, ClientError> {
    let mut cookie = Bytes::new();
    loop {
        let mut all = controls.to_vec();
        if let Some(size) = page {
            let value = PagedRequest { size, cookie: cookie.clone() }.value();
            all.push(OwnedControl::new(oid::PAGED_RESULTS, true, Some(value.to_vec())));
        }
        let all = borrowed(&all);
        let answer = client
            .ask_each(|out, id| request::search(out, id, search, &all), |message| printer.message(message))?;
        if page.is_none() || !answer.is_success() {
            return Ok(answer);
        }
        let Some(value) = answer.control(oid::PAGED_RESULTS) else { return Ok(answer) };
        let response =
            PagedRequest::parse(value).map_err(|error| ClientError::Malformed(error.to_string()))?;
        if response.cookie.is_empty() {
            return Ok(answer);
        }
        cookie = response.cookie;
    }
}

/// Tells what response controls say.
fn tell(answer: &Answer) {
    if let Some(value) = answer.control(oid::SORT_RESPONSE)
        && let Ok((code, attribute)) = sort::parse_response(value)
        && code != ResultCode::SUCCESS
    {
        let of = attribute.map_or_else(String::new, |name| format!(" of {name}"));
        eprintln!("# Warning: the server did not sort{of}: {}", describe(code));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistent_searches_are_typed_as_the_reference_wants() {
        let all =
            PersistentSearchRequest { change_types: 15, changes_only: true, return_notifications: true };
        assert_eq!(persistent("ps"), Ok(all));
        assert_eq!(persistent("ps:all:true:true"), Ok(all));
        let some = persistent("ps:add,modifydn:false:false").unwrap();
        assert_eq!((some.change_types, some.changes_only, some.return_notifications), (9, false, false));
        for wrong in ["", "all", "ps:move", "ps:add:perhaps", "ps:add:1:1:1"] {
            assert!(persistent(wrong).is_err(), "{wrong}");
        }
    }
}
