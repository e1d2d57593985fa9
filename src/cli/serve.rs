//! `ctsd start`: serve an instance until told to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::process::Lock;
use super::{Failure, args};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Instance, LogKind, LogPublisher};
use crate::protocol::result::{LdapResult, ResultCode};
use crate::server::{Opening, Server, ServerError};
use crate::telemetry::{ErrorLog, StandardError, TraceOptions, start_tracing};

/// While the data is being recovered, the service manager is told so often that it goes on.
const OPENING: Duration = Duration::from_secs(10);

/// A thread that serves connections and does not get to its next task in this time is stuck.
const ANSWERS: Duration = Duration::from_secs(5);

/// `ctsd start`.
pub(super) fn run(options: &args::Start) -> Result<ExitCode, Failure> {
    serve(&options.at.instance, &options.log, |_| ())
}

/// A runtime with a worker a core.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Serves the instance in the foreground; `announce` is called once it does.
pub(super) fn serve(
    directory: &Path,
    log: &str,
    announce: impl FnOnce(&[String]),
) -> Result<ExitCode, Failure> {
    let instance = Instance::open(directory)?;
    let lock = Lock::take(directory)?;
    let error_log = start_log(log)?;
    raise_file_limit();
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut announce = Some(announce);
        loop {
            let mut server = open(instance.clone()).await?;
            if let Some(error_log) = &error_log {
                follow_log(&server, &instance, error_log.clone());
            }
            let addresses: Vec<String> = server.listen()?.iter().map(ToString::to_string).collect();
            lock.ready(&addresses)?;
            tracing::info!(?addresses, "serving");
            let status = format!("serving {}", addresses.join(", "));
            notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
            if let Some(announce) = announce.take() {
                announce(&addresses);
            }
            let mut beat = sd_notify::watchdog_enabled().map(|every| tokio::time::interval(every / 3));
            let restart = loop {
                let due = async {
                    match &mut beat {
                        Some(beat) => beat.tick().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    _ = terminate.recv() => break false,
                    _ = interrupt.recv() => break false,
                    restart = server.told_to_stop() => break restart,
                    _ = hang_up.recv() => reload(&server, error_log.as_ref(), &status),
                    _ = due => watchdog(&server).await,
                }
            };
            tracing::info!(restart, "stopping");
            if restart {
                lock.unready();
                notify(&[NotifyState::Status("restarting")]);
            } else {
                notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
            }
            server.stop().await;
            tracing::info!("stopped");
            if !restart {
                return Ok(ExitCode::SUCCESS);
            }
        }
    })
}

/// Opens the instance on a thread of its own, and tells the service manager meanwhile that it goes on.
async fn open(instance: Instance) -> Result<Server, Failure> {
    let status = Arc::new(Mutex::new("opening the data store".to_owned()));
    let told = Arc::clone(&status);
    let tell = move |progress: crate::backend::StartProgress| {
        *told.lock().unwrap_or_else(PoisonError::into_inner) = format!("opening the data store: {progress}");
    };
    let how = Opening { on_progress: Some(Arc::new(tell)), ..Opening::default() };
    let mut opening = tokio::task::spawn_blocking(move || Server::open_as(instance, how));
    let mut tell = tokio::time::interval(OPENING);
    loop {
        tokio::select! {
            opened = &mut opening => {
                let opened: Result<Server, ServerError> = opened?;
                return Ok(opened?);
            }
            _ = tell.tick() => {
                let extension = u32::try_from((OPENING * 6).as_micros()).unwrap_or(u32::MAX);
                let status = status.lock().unwrap_or_else(PoisonError::into_inner).clone();
                notify(&[
                    NotifyState::Status(&status),
                    NotifyState::ExtendTimeoutUsec(extension),
                ]);
            }
        }
    }
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn reload(server: &Server, error_log: Option<&ErrorLog>, status: &str) {
    tracing::info!("reloading");
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    server.reload_certificates();
    let reopened = error_log.map_or(Ok(()), ErrorLog::reopen).and_then(|()| server.reopen_logs());
    if let Err(error) = reopened {
        tracing::error!(%error, "a log's file cannot be opened anew: it goes on in the old one");
    }
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells the service manager that the server lives: its workers run tasks, and nothing keeps it from serving.
async fn watchdog(server: &Server) {
    let answered = tokio::time::timeout(ANSWERS, server.answers()).await.unwrap_or(false);
    let faults = server.faults();
    if answered && faults.is_empty() {
        notify(&[NotifyState::Watchdog]);
    } else {
        tracing::error!(?faults, "the watchdog is not told that the server lives");
    }
}

/// The log on standard error, and in a file as soon as the configuration is read. None if this process logs already.
fn start_log(filter: &str) -> Result<Option<ErrorLog>, Failure> {
    tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("--log {filter}: {error}")))?;
    let is_journal =
        std::env::var_os("JOURNAL_STREAM").is_some() && !rustix::termios::isatty(std::io::stderr());
    let options = TraceOptions {
        stderr: if is_journal { StandardError::Journal } else { StandardError::Lines },
        as_json: false,
        filter: filter.to_owned(),
        clock: Arc::new(SystemClock::new()) as Arc<dyn Clock>,
    };
    // A second server in one process (tests) keeps the first one's log.
    Ok(start_tracing(&options).ok())
}

/// The error log that the configuration names.
fn error_publisher(config: &Config) -> Option<&LogPublisher> {
    let mut publishers = config.logs.iter().filter(|log| log.kind == LogKind::Error);
    publishers.clone().find(|log| log.enabled).or_else(|| publishers.next())
}

fn follow_log(server: &Server, instance: &Instance, log: ErrorLog) {
    let directory = server.directory();
    let config = directory.config.current();
    let file = error_publisher(&config).map(|publisher| (instance.resolve(&publisher.file), publisher));
    let attached = log.attach(file.as_ref().map(|(path, publisher)| (path.as_path(), *publisher)));
    if let Err(error) = attached {
        tracing::error!(%error, "the error log has no file: it goes to standard error alone");
    }
    let instance = instance.clone();
    directory.config.on_change(Box::new(move |old, new| match error_publisher(new) {
        Some(publisher) if error_publisher(old) != Some(publisher) => {
            log.reconfigure(&instance.resolve(&publisher.file), publisher).map_err(|error| {
                LdapResult::with(ResultCode::UNWILLING_TO_PERFORM, format!("the error log: {error}"))
            })
        }
        _ => Ok(()),
    }));
}

/// As many open files as the system lets this process have: each connection is one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
}
