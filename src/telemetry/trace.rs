//! The error log: `tracing` events as lines on standard error, in a file, or both.

use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
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

/// Where error messages go and what they look like.
#[derive(Clone)]
pub struct TraceOptions {
    /// Whether they go to standard error too.
    pub to_stderr: bool,
    /// The log's file, made absolute, and its rotation; none writes no file.
    pub file: Option<(PathBuf, LogPublisher)>,
    /// One JSON object a line instead of text.
    pub as_json: bool,
    /// What is written, as `tracing` filters are spelled (`info`, `ctsd::backend=debug`).
    pub filter: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Installs the error log for the process. Fails on a filter that does not parse, a file that cannot be opened, or if one
/// is installed already; the text says which.
pub fn start_tracing(options: &TraceOptions) -> Result<(), String> {
    let filter = EnvFilter::try_new(&options.filter).map_err(|error| error.to_string())?;
    let file = match &options.file {
        Some((path, publisher)) => {
            let opened = LogFile::open(path, publisher.permissions, options.clock.wall_ms());
            let file = opened.map_err(|error| format!("{}: {error}", path.display()))?;
            let rotation = Rotation {
                every: publisher.rotate_every,
                at_size: publisher.rotate_at_size,
                keep: publisher.keep_files,
            };
            Some((file, rotation))
        }
        None => None,
    };
    let sink = Sink(Arc::new(SinkState {
        to_stderr: options.to_stderr,
        file: Mutex::new(file),
        clock: options.clock.clone(),
    }));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(sink).with_ansi(false);
    let installed = if options.as_json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.event_format(Shape { clock: options.clock.clone() }).try_init()
    };
    installed.map_err(|error| error.to_string())
}

struct SinkState {
    to_stderr: bool,
    file: Mutex<Option<(LogFile, Rotation)>>,
    clock: Arc<dyn Clock>,
}

/// Takes whole lines: the formatter writes each event at once.
#[derive(Clone)]
struct Sink(Arc<SinkState>);

impl io::Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.to_stderr {
            io::Write::write_all(&mut io::stderr().lock(), line)?;
        }
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((file, rotation)) = file.as_mut() {
            file.write(line)?;
            file.flush()?;
            file.rotate(rotation, self.0.clock.wall_ms())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Sink {
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
        let file = LogFile::open(&path, 0o640, 0).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
        let sink = Sink(Arc::new(SinkState {
            to_stderr: false,
            file: Mutex::new(Some((file, Rotation::default()))),
            clock: clock.clone(),
        }));
        let subscriber = tracing_subscriber::fmt()
            .with_writer(sink)
            .with_ansi(false)
            .event_format(Shape { clock })
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "ctsd::config", index = "cn", "two\nlines");
        });
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with('['), "{text}");
        assert!(
            text.ends_with("] category=CONFIG severity=WARNING msgID=-1 msg=two lines index=\"cn\"\n"),
            "{text}"
        );
    }
}
