//! `dsconfig`: reads and changes `cn=config` by the names administrators know. May enter: what only this tool does.
//!
//! It speaks LDAP like any client; the server checks again whatever is checked here first.

mod ask;
mod batch;
mod catalog;
mod change;
mod options;
mod property;
mod show;
mod table;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

pub(super) use options::Options;

use self::ask::Asked;
use self::catalog::{Action, Kind};
use self::options::{Names, Wishes};
use self::property::Checker;
use super::ldap::{Client, ClientError, exit_of, failure};
use super::{Failure, at_hand};
use crate::config::ConfigEntry;
use crate::protocol::filter::Filter;
use crate::protocol::message::Scope;
use crate::protocol::request::{self, Search};
use crate::protocol::response::Response;
use crate::protocol::result::ResultCode;

/// What is told of a sub-command: if help is asked for, and one is named.
pub(super) fn help(words: &[OsString]) -> Option<String> {
    words.iter().find(|word| **word == "--help" || **word == "-H")?;
    let (action, kind) =
        words.iter().filter_map(|word| word.to_str()).find_map(|word| catalog::find(word).ok())?;
    Some(show::help(action, kind))
}

/// Why arguments may be wrong: the sub-command is none, so its options are not known either.
pub(super) fn about_arguments(arguments: &[String]) -> Option<String> {
    let is_sub_command = |word: &&String| {
        ["create-", "list-", "get-", "set-", "delete-"].iter().any(|start| word.starts_with(start))
    };
    let word = arguments.iter().find(is_sub_command).filter(|word| *word != "list-properties")?;
    catalog::find(word).err()
}

/// One thing to do.
struct Command {
    action: Action,
    kind: &'static Kind,
    names: Names,
    wishes: Wishes,
    advanced: bool,
    script_friendly: bool,
}

/// The connection, and what commands need besides.
struct Session {
    client: Client,
    checker: Checker,
    quiet: bool,
    /// Whether the server knows its own user by itself.
    is_own: bool,
}

/// Runs `dsconfig`.
pub(super) fn run(options: &Options) -> Result<ExitCode, Failure> {
    if options.subcommand.as_deref() == Some("list-properties") {
        return show::properties(options);
    }
    let text = match &options.batch_file_path {
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Failure::new(format!("--batchFilePath {}: {error}", file.display())))?,
        ),
        None if options.batch => Some(std::io::read_to_string(std::io::stdin())?),
        None => None,
    };
    if let Some(text) = text {
        return run_batch(options, &text);
    }
    if options.subcommand.is_none() && options.admin.asks() && options.wishes.is_empty() {
        return interact(options);
    }
    let mut command = plan(options)?;
    if options.admin.asks() {
        ask::missing_names(&mut command)?;
    }
    precheck(&command, &Checker::new())?;
    let mut session = open(options)?;
    tell_command(options, &session, &command)?;
    execute(&mut session, &command)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for commands and does them, until there are no more.
fn interact(options: &Options) -> Result<ExitCode, Failure> {
    let mut session = open(options)?;
    loop {
        let command = match ask::command(&mut session, options)? {
            Asked::Do(command) => command,
            Asked::Again => continue,
            Asked::Quit => return Ok(ExitCode::SUCCESS),
        };
        let done = precheck(&command, &Checker::new())
            .and_then(|()| tell_command(options, &session, &command))
            .and_then(|()| execute(&mut session, &command));
        // A person tries again.
        if let Err(failure) = done {
            println!("{}", failure.text);
        }
    }
}

fn open(options: &Options) -> Result<Session, Failure> {
    let (client, is_own) = at_hand::open("dsconfig", &options.at, &options.admin)?;
    Ok(Session { client, checker: Checker::new(), quiet: options.admin.quiet, is_own })
}

/// All lines are read and checked before the first one is done.
fn run_batch(options: &Options, text: &str) -> Result<ExitCode, Failure> {
    let name =
        options.batch_file_path.as_ref().map_or("standard input".into(), |file| file.display().to_string());
    let at = |number: usize, failure: &Failure| Failure {
        text: format!("{name}, line {number}: {}", failure.text),
        code: failure.code,
    };
    let lines = batch::parse(text).map_err(|reason| Failure::new(format!("{name}, {reason}")))?;
    let checker = Checker::new();
    let mut commands = Vec::new();
    for line in lines {
        let planned = Options::of_words(&line.words).map_err(Failure::new).and_then(|options| plan(&options));
        let checked = planned.and_then(|command| precheck(&command, &checker).map(|()| command));
        commands.push((line.number, checked.map_err(|failure| at(line.number, &failure))?));
    }
    let mut session = open(options)?;
    let mut first_error = None;
    for (number, command) in &commands {
        if !session.quiet {
            println!("{}", equivalent(command, &[]));
        }
        let Err(failure) = execute(&mut session, command) else { continue };
        let failure = at(*number, &failure);
        if !options.batch_continue_on_error {
            let text = format!(
                "{}\nThe rest was not done; --batchContinueOnError goes on after errors.",
                failure.text
            );
            return Err(Failure { text, code: failure.code });
        }
        eprintln!("{}", failure.text);
        first_error.get_or_insert(failure.code);
    }
    Ok(ExitCode::from(first_error.unwrap_or(0)))
}

/// What the options ask for. The guide leaves a sub-command out; what is meant is clear, and said.
fn plan(options: &Options) -> Result<Command, Failure> {
    let wishes = &options.wishes;
    let (action, kind) = match &options.subcommand {
        Some(name) => catalog::find(name).map_err(Failure::new)?,
        None => {
            let named = |option| options.names.get(option).is_some();
            let index =
                Kind::by_noun("backend-index").filter(|_| named("backend-name") && named("index-name"));
            let action = if !wishes.set.is_empty() && wishes.add.is_empty() && wishes.remove.is_empty() {
                Some(Action::Create)
            } else if wishes.is_empty() && !wishes.property.is_empty() {
                Some(Action::Get)
            } else {
                None
            };
            let (Some(kind), Some(action)) = (index, action) else {
                return Err(Failure::new(
                    "a sub-command is missing, for example set-global-configuration-prop; dsconfig --help shows more",
                ));
            };
            eprintln!("Note: no sub-command is given; {} is meant.", action.name(kind));
            (action, kind)
        }
    };
    Ok(Command {
        action,
        kind,
        names: options.names.clone(),
        wishes: wishes.clone(),
        advanced: options.advanced,
        script_friendly: options.script_friendly,
    })
}

/// Refuses what is wrong whatever the server holds.
fn precheck(command: &Command, checker: &Checker) -> Result<(), Failure> {
    let Command { action, kind, wishes, .. } = command;
    let own = kind.own_option();
    for option in kind.options() {
        if command.names.get(option).is_none() && (*action != Action::List || Some(option) != own) {
            return Err(Failure::new(format!("{} needs --{option}", action.name(kind))));
        }
    }
    let has_changes = !wishes.is_empty();
    match action {
        Action::Set if !has_changes => {
            let text = "needs --set, --add or --remove with property:value, or --reset with a property";
            return Err(Failure::new(format!("{} {text}", action.name(kind))));
        }
        Action::Get | Action::List | Action::Delete if has_changes => {
            let set = Action::Set.name(kind);
            return Err(Failure::new(format!("{} changes no properties; {set} does", action.name(kind))));
        }
        _ => {}
    }
    let Some(component) = kind.component(None) else { return Ok(()) };
    for (option, text) in wishes.valued() {
        let (name, value) = property::split(option, text).map_err(Failure::new)?;
        if let Ok(known) = property::find(component, name) {
            checker.check(&known, value).map_err(Failure::new)?;
        }
    }
    Ok(())
}

fn execute(session: &mut Session, command: &Command) -> Result<(), Failure> {
    match command.action {
        Action::Create => change::create(session, command),
        Action::Set => change::set(session, command),
        Action::Delete => change::delete(session, command),
        Action::Get => show::get(session, command),
        Action::List => show::list(session, command),
    }
}

impl Wishes {
    /// Whether nothing is to be changed.
    fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty() && self.reset.is_empty()
    }

    /// The options that carry values.
    fn valued(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let set = self.set.iter().map(|text| ("--set", text.as_str()));
        let add = self.add.iter().map(|text| ("--add", text.as_str()));
        let remove = self.remove.iter().map(|text| ("--remove", text.as_str()));
        set.chain(add).chain(remove)
    }
}

impl Command {
    fn dn(&self) -> Result<String, Failure> {
        let dn = self.kind.dn_of(|option| self.names.get(option));
        dn.map_err(|option| Failure::new(format!("{} needs --{option}", self.action.name(self.kind))))
    }

    /// `Backend Index "etag"`.
    fn object(&self) -> String {
        let name = self.kind.own_option().and_then(|option| self.names.get(option));
        name.map_or_else(|| self.kind.label.to_owned(), |name| format!("{} \"{name}\"", self.kind.label))
    }
}

/// The entries of a scope, as configuration entries.
fn entries(client: &mut Client, base: &str, scope: Scope) -> Result<(Vec<ConfigEntry>, ResultCode), Failure> {
    let filter = Filter::Present("objectClass".into());
    let search = Search { scope, filter, ..Search::base(base) };
    let mut found = Vec::new();
    let answer = client.ask_each(
        |out, id| request::search(out, id, &search, &[]),
        |message| {
            if let Response::Entry { dn, attributes } = &message.response {
                let attributes = attributes.iter().map(|attribute| {
                    let values = attribute.values.iter().map(<[u8]>::to_vec).collect();
                    (attribute.description.to_owned(), values)
                });
                found.push(ConfigEntry::new(*dn, attributes.collect()));
            }
            Ok::<(), ClientError>(())
        },
    )?;
    match answer.result.code {
        ResultCode::SUCCESS | ResultCode::NO_SUCH_OBJECT => Ok((found, answer.result.code)),
        _ => Err(failure("The configuration cannot be read", base, &answer.result)),
    }
}

/// The entry of a command's object; a failure names those there are.
fn fetch(session: &mut Session, command: &Command) -> Result<ConfigEntry, Failure> {
    let dn = command.dn()?;
    let (found, code) = entries(&mut session.client, &dn, Scope::Base)?;
    if let Some(entry) = found.into_iter().next() {
        return Ok(entry);
    }
    if code == ResultCode::SUCCESS {
        let text = format!("{dn} is not shown: does the user have the privilege config-read?");
        return Err(Failure { text, code: 50 });
    }
    let mut text = format!("The {} does not exist", command.object());
    match show::siblings(session, command)? {
        names if names.len() > 12 => {
            text.push_str(&format!("; {} shows those there are", Action::List.name(command.kind)));
        }
        names if !names.is_empty() => text.push_str(&format!("; there are {}", names.join(", "))),
        _ if !command.kind.types.is_empty() => {
            text.push_str(&format!("; {} makes one", Action::Create.name(command.kind)));
        }
        _ => {}
    }
    Err(Failure { text, code: exit_of(ResultCode::NO_SUCH_OBJECT) })
}

/// Prints or appends the command that does the same, if that is wished.
fn tell_command(options: &Options, session: &Session, command: &Command) -> Result<(), Failure> {
    if !options.display_command && options.command_file_path.is_none() {
        return Ok(());
    }
    let text = equivalent(command, &connection(options, session.is_own));
    if options.display_command {
        println!("The equivalent non-interactive command-line is:\n{text}\n");
    }
    if let Some(file) = &options.command_file_path {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .map_err(|error| Failure::new(format!("--commandFilePath {}: {error}", file.display())))?;
        writeln!(file, "{text}\n")?;
    }
    Ok(())
}

/// The options of the connection, as a command line has them; passwords are stars.
fn connection(options: &Options, is_own: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut option = |name: &str, value: &str| words.push(format!("--{name} {}", batch::quote(value)));
    let connection = &options.admin.connection;
    if is_own {
        option("instance", &options.at.instance.display().to_string());
    } else {
        option("hostname", connection.hostname.as_deref().unwrap_or("localhost"));
        option("port", &connection.port.unwrap_or(4444).to_string());
        option("bindDN", connection.bind_dn.as_deref().unwrap_or("cn=Directory Manager"));
    }
    match (&connection.bind_password_file, &connection.bind_password) {
        (Some(file), _) => option("bindPasswordFile", &file.display().to_string()),
        (None, Some(_)) => option("bindPassword", "******"),
        (None, None) => {}
    }
    if let Some(file) = &connection.trust_store_path {
        option("trustStorePath", &file.display().to_string());
    }
    if connection.trust_all {
        words.push("--trustAll".to_owned());
    }
    words.push("--no-prompt".to_owned());
    words
}

/// The command line of a command: behind the tool's name with the options of a connection, alone without.
fn equivalent(command: &Command, connection: &[String]) -> String {
    let mut words = vec![command.action.name(command.kind)];
    let mut option = |name: &str, value: &str| words.push(format!("--{name} {}", batch::quote(value)));
    for name in command.kind.options() {
        if let Some(value) = command.names.get(name) {
            option(name, value);
        }
    }
    let wishes = &command.wishes;
    if let Some(kind_type) = &wishes.kind_type {
        option("type", kind_type);
    }
    for (name, text) in wishes.valued() {
        option(name.trim_start_matches('-'), text);
    }
    wishes.reset.iter().for_each(|name| option("reset", name));
    wishes.property.iter().for_each(|name| option("property", name));
    if connection.is_empty() {
        return words.join(" ");
    }
    words.extend_from_slice(connection);
    format!("dsconfig {}", words.join(" \\\n         "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Result<Command, Failure> {
        let words = batch::split(text).unwrap();
        let options = Options::of_words(&words).map_err(Failure::new)?;
        let command = plan(&options)?;
        precheck(&command, &Checker::new())?;
        Ok(command)
    }

    fn refusal(text: &str) -> String {
        command(text).err().unwrap().text
    }

    #[test]
    fn the_guides_index_without_sub_command_is_a_creation() {
        let command = command(
            "--port 4444 --bindDN 'cn=Directory Manager' --bindPassword password --backend-name userRoot \
             --index-name coreTokenExpirationDate --set index-type:ordering --trustAll --no-prompt",
        )
        .unwrap();
        assert_eq!((command.action, command.kind.noun), (Action::Create, "backend-index"));
        assert!(refusal("--port 4444 --set size-limit:1").contains("a sub-command is missing"));
    }

    #[test]
    fn wrong_commands_are_explained_before_anything_is_sent() {
        for (text, part) in [
            ("set-global-configuration-prop", "needs --set"),
            ("set-global-configuration-prop --set size-limit:many", "size-limit accepts a whole number"),
            ("set-global-configuration-prop --set size-limit", "property:value"),
            ("create-backend-index --backend-name a --set index-type:equality", "needs --index-name"),
            ("get-backend-prop --backend-name a --set enabled:true", "changes no properties"),
            (
                "set-replication-server-prop --provider-name 'Multimaster Synchronization' \
                 --set replication-purge-delay:n",
                "duration",
            ),
            ("create-index --index-name a", "create-backend-index"),
            ("set-global-configuration-prop --size-limit 3", "--size-limit"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(part), "{text}: {refusal}");
        }
        assert!(command("list-backend-indexes --backend-name userRoot").is_ok());
    }

    #[test]
    fn the_equivalent_command_hides_the_password() {
        let words = batch::split(
            "set-access-control-handler-prop -p 4444 -w secret -X --add 'global-aci:(a = \"b\")' --reset enabled",
        )
        .unwrap();
        let options = Options::of_words(&words).unwrap();
        let text = equivalent(&plan(&options).unwrap(), &connection(&options, false));
        assert!(
            text.contains("--add 'global-aci:(a = \"b\")'") && text.contains("--reset enabled"),
            "{text}"
        );
        assert!(text.contains("--trustAll") && !text.contains("secret"), "{text}");
        let own = connection(&options, true).join(" ");
        assert!(own.contains("--instance") && !own.contains("--port"), "{own}");
    }
}
