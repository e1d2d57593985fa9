//! The error log: `tracing` events as lines on standard error, in a file, or both.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::log_file::{LogFile, Rotation};
use crate::clock::Clock;
use crate::config::LogPublisher;

/// What standard error gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandardError {
    /// Nothing.
    Nothing,
    /// The lines of the log.
    Lines,
    /// Lines for a journal, which knows the time and takes the severity from a prefix (`<3>`, sd-daemon(3)).
    Journal,
}

/// Where error messages go and what they look like.
#[derive(Clone)]
pub struct TraceOptions {
    /// What standard error gets of them.
    pub stderr: StandardError,
    /// One JSON object a line instead of text.
    pub as_json: bool,
    /// What is written, as `tracing` filters are spelled (`info`, `ctsd::backend=debug`).
    pub filter: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Installs the error log for the process; its file comes later ([`ErrorLog::attach`]). Fails on a filter that does not
/// parse, or if one is installed already; the text says which.
pub fn start_tracing(options: &TraceOptions) -> Result<ErrorLog, String> {
    let filter = EnvFilter::try_new(&options.filter).map_err(|error| error.to_string())?;
    let log = ErrorLog(Arc::new(LogState {
        stderr: options.stderr,
        file: Mutex::new(Target::Waiting(Vec::new())),
        clock: options.clock.clone(),
    }));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false);
    let installed = if options.as_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.event_format(Shape { clock: options.clock.clone() }).try_init()
    };
    installed.map_err(|error| error.to_string())?;
    Ok(log)
}

/// Lines kept for a file that is not known yet.
const MOST_WAITING: usize = 1_000;

/// Where the lines of the error log go. Cheap to clone.
#[derive(Clone)]
pub struct ErrorLog(Arc<LogState>);

impl fmt::Debug for ErrorLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorLog").finish_non_exhaustive()
    }
}

struct LogState {
    stderr: StandardError,
    file: Mutex<Target>,
    clock: Arc<dyn Clock>,
}

enum Target {
    /// What was said before the configuration was read.
    Waiting(Vec<Vec<u8>>),
    /// The file and what goes there.
    File(LogFile, Wanted),
    /// There is none.
    Off,
}

/// What a publisher takes.
struct Wanted {
    is_enabled: bool,
    rotation: Rotation,
    severities: Vec<String>,
    /// Categories with severities of their own.
    by_category: Vec<(String, Vec<String>)>,
}

impl Wanted {
    fn of(publisher: &LogPublisher) -> Self {
        let own = |text: &String| {
            let (category, words) = text.split_once('=')?;
            let words = words.split(',').map(|word| word.trim().to_lowercase()).collect();
            Some((category.trim().to_lowercase(), words))
        };
        Self {
            is_enabled: publisher.enabled,
            rotation: Rotation::of(publisher),
            severities: publisher.severities.clone(),
            by_category: publisher.override_severities.iter().filter_map(own).collect(),
        }
    }

    /// Whether a line goes to the file, by its category and severity.
    fn takes(&self, line: &[u8]) -> bool {
        let line = std::str::from_utf8(line).unwrap_or_default();
        let word = |name: &str| {
            let rest = line.split_once(name).map_or("", |(_, rest)| rest);
            rest.split(' ').next().unwrap_or_default().to_lowercase()
        };
        let (category, severity) = (word(" category="), word(" severity="));
        let own = self.by_category.iter().find(|(name, _)| *name == category);
        let wanted = own.map_or(&self.severities, |(_, words)| words);
        // A line in another shape (JSON) is not known by its words.
        severity.is_empty() || wanted.iter().any(|word| word == "all" || *word == severity)
    }
}

impl ErrorLog {
    fn target(&self) -> std::sync::MutexGuard<'_, Target> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes to this file from now on, first what was said before; with no publisher there is no file. Fails if the file
    /// cannot be opened.
    pub fn attach(&self, to: Option<(&std::path::Path, &LogPublisher)>) -> io::Result<()> {
        let mut target = self.target();
        let Some((path, publisher)) = to else {
            *target = Target::Off;
            return Ok(());
        };
        let mut file = LogFile::open(path, publisher.permissions, self.0.clock.wall_ms())?;
        let wanted = Wanted::of(publisher);
        if let Target::Waiting(lines) = &*target
            && wanted.is_enabled
        {
            lines.iter().filter(|line| wanted.takes(line)).try_for_each(|line| file.write(line))?;
        }
        *target = Target::File(file, wanted);
        Ok(())
    }

    /// Takes on a changed publisher, at once. Fails, and leaves all as it is, if another file cannot be opened.
    pub fn reconfigure(&self, path: &std::path::Path, publisher: &LogPublisher) -> io::Result<()> {
        let mut target = self.target();
        if let Target::File(file, wanted) = &mut *target
            && file.path() == path
        {
            *wanted = Wanted::of(publisher);
            return file.permit(publisher.permissions);
        }
        let file = LogFile::open(path, publisher.permissions, self.0.clock.wall_ms())?;
        *target = Target::File(file, Wanted::of(publisher));
        Ok(())
    }

    /// Opens the file anew under its name; for who moved it (SIGHUP).
    pub fn reopen(&self) -> io::Result<()> {
        match &mut *self.target() {
            Target::File(file, _) => file.reopen(self.0.clock.wall_ms()),
            Target::Waiting(_) | Target::Off => Ok(()),
        }
    }
}

/// The line without its time, behind its priority.
fn for_journal(line: &str) -> String {
    let text = line.split_once("] ").map_or(line, |(_, text)| text);
    let priority = match text.split_once("severity=").map(|(_, severity)| severity) {
        Some(severity) if severity.starts_with("ERROR") => 3,
        Some(severity) if severity.starts_with("WARNING") => 4,
        Some(severity) if severity.starts_with("NOTICE") => 5,
        _ => 7,
    };
    format!("<{priority}>{text}")
}

/// Takes whole lines: the formatter writes each event at once.
impl io::Write for ErrorLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A closed standard error must not keep the line from the file.
        let _ = match self.0.stderr {
            StandardError::Nothing => Ok(()),
            StandardError::Lines => io::Write::write_all(&mut io::stderr().lock(), line),
            StandardError::Journal => {
                let text = for_journal(&String::from_utf8_lossy(line));
                io::Write::write_all(&mut io::stderr().lock(), text.as_bytes())
            }
        };
        match &mut *self.target() {
            Target::Waiting(lines) if lines.len() < MOST_WAITING => lines.push(line.to_vec()),
            Target::File(file, wanted) if wanted.is_enabled && wanted.takes(line) => {
                file.write(line)?;
                file.rotate(&wanted.rotation, self.0.clock.wall_ms())?;
            }
            Target::Waiting(_) | Target::File(..) | Target::Off => {}
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ErrorLog {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// `[time] category=ROOM severity=LEVEL msgID=-1 msg=text field=value…`, as readers of OpenDJ's error log expect.
struct Shape {
    clock: Arc<dyn Clock>,
}

impl<S, N> FormatEvent<S, N> for Shape
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let ms = i64::try_from(self.clock.wall_ms()).unwrap_or(i64::MAX);
        let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let zoned = time.to_zoned(jiff::tz::TimeZone::system());
        let metadata = event.metadata();
        let severity = match *metadata.level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "NOTICE",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let room = metadata.target().split("::").nth(1).unwrap_or("core").to_ascii_uppercase();
        write!(
            out,
            "{} category={room} severity={severity} msgID=-1",
            zoned.strftime("[%d/%b/%Y:%H:%M:%S %z]")
        )?;
        let mut said = Said::default();
        event.record(&mut said);
        writeln!(out, " msg={}{}", one_line(&said.message), one_line(&said.fields))
    }
}

/// Line breaks inside a message would look like other messages.
fn one_line(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ").into() } else { text.into() }
}

#[derive(Default)]
struct Said {
    message: String,
    fields: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn an_event_is_one_line_with_category_and_severity() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("errors");
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
        let sink = ErrorLog(Arc::new(LogState {
            stderr: StandardError::Nothing,
            file: Mutex::new(Target::Waiting(Vec::new())),
            clock: clock.clone(),
        }));
        let log = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(sink)
            .with_ansi(false)
            .event_format(Shape { clock })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "ctsd::config", index = "cn", "two\nlines");
            log.attach(Some((&path, &publisher()))).unwrap();
            tracing::error!(target: "ctsd::config", "later");
            log.reconfigure(&path, &LogPublisher { enabled: false, ..publisher() }).unwrap();
            tracing::error!(target: "ctsd::config", "switched off");
        });
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with('['), "{text}");
        assert!(
            text.contains("] category=CONFIG severity=WARNING msgID=-1 msg=two lines index=\"cn\"\n"),
            "{text}"
        );
        assert!(text.ends_with("] category=CONFIG severity=ERROR msgID=-1 msg=later\n"), "{text}");
    }

    #[test]
    fn a_journal_gets_the_priority_and_no_time() {
        let line = "[22/Nov/2026:06:09:39 +0000] category=LOG severity=ERROR msgID=-1 msg=x\n";
        assert_eq!(for_journal(line), "<3>category=LOG severity=ERROR msgID=-1 msg=x\n");
    }

    fn publisher() -> LogPublisher {
        LogPublisher::new("errors", crate::config::LogKind::Error, "errors")
    }

    #[test]
    fn severities_and_categories_decide_what_the_file_takes() {
        let of = LogPublisher {
            severities: vec!["error".to_owned()],
            override_severities: vec!["CONFIG=warning, notice".to_owned(), "log=none".to_owned()],
            ..publisher()
        };
        let wanted = Wanted::of(&of);
        let takes = |category: &str, severity: &str| {
            wanted.takes(format!("[t] category={category} severity={severity} msgID=-1 msg=x\n").as_bytes())
        };
        assert!(takes("BACKEND", "ERROR") && !takes("BACKEND", "WARNING"));
        assert!(takes("CONFIG", "NOTICE") && !takes("CONFIG", "ERROR"));
        assert!(!takes("LOG", "ERROR"));
        assert!(
            Wanted::of(&LogPublisher { severities: vec!["all".to_owned()], ..publisher() })
                .takes(b"[t] category=X severity=DEBUG msgID=-1 msg=\n")
        );
    }

    #[test]
    fn a_changed_path_takes_effect_and_a_moved_file_is_made_anew() {
        let place = tempfile::tempdir().unwrap();
        let (first, second) = (place.path().join("first"), place.path().join("second"));
        let mut log = ErrorLog(Arc::new(LogState {
            stderr: StandardError::Nothing,
            file: Mutex::new(Target::Waiting(Vec::new())),
            clock: Arc::new(ManualClock::at(0)),
        }));
        let line = |text: &str| format!("[t] category=X severity=ERROR msgID=-1 msg={text}\n");
        log.attach(Some((&first, &publisher()))).unwrap();
        io::Write::write_all(&mut log, line("one").as_bytes()).unwrap();
        log.reconfigure(&second, &publisher()).unwrap();
        io::Write::write_all(&mut log, line("two").as_bytes()).unwrap();
        assert!(log.reconfigure(&place.path().join("no/such"), &publisher()).is_err());
        std::fs::rename(&second, place.path().join("moved")).unwrap();
        log.reopen().unwrap();
        io::Write::write_all(&mut log, line("three").as_bytes()).unwrap();
        let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
        assert_eq!((read("first"), read("moved"), read("second")), (line("one"), line("two"), line("three")));
    }
}
