//! Task classes: from the name in `ds-task-class-name` to the work that is done.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::access::Privilege;
use crate::backend::DataStore;
use crate::clock::Clock;
use crate::config::Instance;
use crate::entry::EntryBuilder;
use crate::operation::Directory;
use crate::protocol::result::{LdapResult, ResultCode};
use crate::schema::{NormalizedDn, Schema};

/// How a work came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// All was done.
    Successfully,
    /// It came to its end, and something was not right; the log says what.
    WithErrors,
}

/// What a task does, once. Made when the task is added, to see whether it can be made, and again when it starts.
pub trait Work: Send {
    /// Does it, on a thread of its own. An error is its text for the task's log: the task is STOPPED_BY_ERROR, or, if it
    /// was asked to end, stopped by whoever asked. What takes long looks at [`Handle::is_cancelled`] between its steps.
    fn run(self: Box<Self>, handle: &Handle) -> Result<Done, String>;
}

/// Makes a work from the attributes of a task entry, or refuses precisely.
pub type Construct = dyn Fn(&Source<'_>) -> Result<Box<dyn Work>, LdapResult> + Send + Sync;

/// A kind of task.
#[derive(Clone)]
pub struct Class {
    /// Its names, without the package of the reference server; the first one is shown.
    pub names: &'static [&'static str],
    /// All that it takes to have this done.
    pub privileges: &'static [Privilege],
    /// Makes the work.
    pub construct: Arc<Construct>,
}

impl Class {
    /// A class whose works are made by a function.
    pub fn new(
        names: &'static [&'static str],
        privileges: &'static [Privilege],
        construct: impl Fn(&Source<'_>) -> Result<Box<dyn Work>, LdapResult> + Send + Sync + 'static,
    ) -> Self {
        Self { names, privileges, construct: Arc::new(construct) }
    }
}

/// The packages whose classes ours stand for.
const PACKAGES: &[&str] =
    &["org.opends.server.tasks.", "org.opendj.server.tasks.", "org.forgerock.opendj.server.tasks."];

/// A class name without its package.
pub(super) fn short_name(name: &str) -> &str {
    let name = name.trim();
    PACKAGES.iter().find_map(|package| name.strip_prefix(package)).unwrap_or(name)
}

/// The table of classes.
#[derive(Clone)]
pub struct Classes(Vec<Class>);

impl Classes {
    /// The classes of this server.
    pub fn builtin() -> Self {
        Self(super::works::classes())
    }

    /// One more class; it takes the place of one of the same name.
    pub fn with(mut self, class: Class) -> Self {
        self.0.insert(0, class);
        self
    }

    /// The class of a name; 53 if there is none.
    pub(super) fn get(&self, name: &str) -> Result<&Class, LdapResult> {
        let short = short_name(name);
        self.0.iter().find(|class| class.names.contains(&short)).ok_or_else(|| {
            let mut known: Vec<&str> =
                self.0.iter().filter_map(|class| class.names.first().copied()).collect();
            known.sort_unstable();
            let text = format!("there is no task class {name}; there are {}", known.join(", "));
            LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, text)
        })
    }
}

/// What the server's own parts do for tasks; implemented by `server`.
pub trait Host: Send + Sync {
    /// Has the server stop, and start again if wanted. Returns before it does.
    fn shut_down(&self, restart: bool, reason: &str);
    /// Ends a connection, with a Notice of Disconnection if there is one to send; false if there is no such connection.
    fn disconnect(&self, connection: u64, notice: Option<LdapResult>) -> bool;
}

/// What works reach the server through.
pub struct Context {
    /// The data store; its content may be replaced whole.
    pub backend: Arc<DataStore>,
    /// The instance directory: relative paths are below it.
    pub instance: Instance,
    /// Time.
    pub clock: Arc<dyn Clock>,
    pub(super) bound: OnceLock<(Weak<Directory>, Arc<dyn Host>)>,
}

impl Context {
    /// A server's parts, before its directory exists.
    pub(super) fn new(backend: Arc<DataStore>, instance: Instance, clock: Arc<dyn Clock>) -> Self {
        Self { backend, instance, clock, bound: OnceLock::new() }
    }

    /// Schema, configuration, access: everything operations see. None before the server is put together and after it
    /// went.
    pub fn directory(&self) -> Option<Arc<Directory>> {
        self.bound.get()?.0.upgrade()
    }

    /// The server's own parts; none before it is put together.
    pub fn host(&self) -> Option<Arc<dyn Host>> {
        Some(Arc::clone(&self.bound.get()?.1))
    }
}

/// A task entry, as a work is made from it.
pub struct Source<'a> {
    /// Its attributes.
    pub attributes: &'a EntryBuilder,
    /// The definitions in force.
    pub schema: &'a Schema,
    /// The server.
    pub context: &'a Arc<Context>,
}

fn refuse(code: ResultCode, text: String) -> LdapResult {
    LdapResult::with(code, text)
}

impl Source<'_> {
    /// The first value of an attribute.
    pub fn first(&self, name: &str) -> Option<String> {
        self.attributes.values(name).next().map(|value| String::from_utf8_lossy(value).trim().to_owned())
    }

    /// All values of an attribute.
    pub fn all(&self, name: &str) -> Vec<String> {
        let values = self.attributes.values(name);
        values.map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect()
    }

    /// The value of an attribute that there must be (65).
    pub fn required(&self, name: &str) -> Result<String, LdapResult> {
        self.first(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| refuse(ResultCode::OBJECT_CLASS_VIOLATION, format!("this task needs {name}")))
    }

    /// `true` or `false`; `false` where there is no value (21 for anything else).
    pub fn flag(&self, name: &str) -> Result<bool, LdapResult> {
        match self.first(name).map(|value| value.to_ascii_lowercase()).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(refuse(
                ResultCode::INVALID_ATTRIBUTE_SYNTAX,
                format!("{name} is true or false, not \"{other}\""),
            )),
        }
    }

    /// A whole number (21 for anything else).
    pub fn number(&self, name: &str) -> Result<Option<u64>, LdapResult> {
        let Some(text) = self.first(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("{name} is a number, not \"{text}\""))
        })
    }

    /// The base DNs that an attribute names; each has to be one of the data store (53).
    pub fn base_dns(&self, name: &str) -> Result<Vec<String>, LdapResult> {
        let directory = self.context.directory();
        for base in self.all(name) {
            let key = NormalizedDn::parse(&base, self.schema)
                .map_err(|error| refuse(ResultCode::INVALID_ATTRIBUTE_SYNTAX, format!("{name}: {error}")))?;
            let suffixes = directory.as_ref().map(|directory| directory.store.suffixes()).unwrap_or_default();
            if !suffixes.iter().any(|(_, suffix)| *suffix == key) {
                let text = format!("{base} is not a base DN of the data store");
                return Err(refuse(ResultCode::UNWILLING_TO_PERFORM, text));
            }
        }
        Ok(self.all(name))
    }
}

/// Why a task was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Administrator,
    Shutdown,
}

/// Asks a running task to end; the first who asks counts.
#[derive(Debug, Default)]
pub(super) struct Signal(AtomicU8);

impl Signal {
    pub(super) fn raise(&self, why: Stop) {
        let number = match why {
            Stop::Administrator => 1,
            Stop::Shutdown => 2,
        };
        let _ = self.0.compare_exchange(0, number, Ordering::SeqCst, Ordering::SeqCst);
    }

    pub(super) fn raised(&self) -> Option<Stop> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Stop::Administrator),
            _ => Some(Stop::Shutdown),
        }
    }
}

/// How bad a line of a task's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Said in passing.
    Notice,
    /// Something is not right; the work goes on.
    Warning,
    /// The work, or a part of it, failed.
    Error,
}

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warning => "SEVERE_WARNING",
            Self::Error => "SEVERE_ERROR",
        }
    }
}

type Listener = Box<dyn Fn(Severity, &str) + Send + Sync>;

/// What a work speaks through while it runs.
pub struct Handle {
    signal: Arc<Signal>,
    listener: Listener,
    /// What progress was told of last: the thing, and quarters of it.
    told: Mutex<(String, u64)>,
}

impl Handle {
    pub(super) fn new(signal: Arc<Signal>, listener: Listener) -> Self {
        Self { signal, listener, told: Mutex::default() }
    }

    /// A handle for doing a work without a task: lines go to `listener`, and nobody cancels.
    pub fn detached(listener: impl Fn(Severity, &str) + Send + Sync + 'static) -> Self {
        Self::new(Arc::default(), Box::new(listener))
    }

    /// A line for the task's log.
    pub fn say(&self, line: impl AsRef<str>) {
        (self.listener)(Severity::Notice, line.as_ref());
    }

    /// A line about something that is not right.
    pub fn warn(&self, line: impl AsRef<str>) {
        (self.listener)(Severity::Warning, line.as_ref());
    }

    /// A line about something that failed.
    pub fn error(&self, line: impl AsRef<str>) {
        (self.listener)(Severity::Error, line.as_ref());
    }

    /// Whether the work should end: it was canceled, or the server stops.
    pub fn is_cancelled(&self) -> bool {
        self.signal.raised().is_some()
    }

    /// How far the work is; said at each quarter. `what` is for example `exporting: entries`.
    pub fn progress(&self, what: &str, done: u64, total: u64) {
        let quarter = done.saturating_mul(4).checked_div(total).unwrap_or(4).min(4);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 == what && quarter <= told.1 {
            return;
        }
        *told = (what.to_owned(), quarter);
        drop(told);
        if quarter > 0 {
            self.say(format!("{what} {done} of {total}, {} %", quarter * 25));
        }
    }
}
