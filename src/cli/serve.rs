//! `ctsd start`: serve an instance until told to stop.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::process::Lock;
use super::{Failure, args};
use crate::config::Instance;
use crate::server::Server;

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
    super::log_to_stderr(log)?;
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut server = Server::open(instance)?;
        let addresses: Vec<String> = server.listen()?.iter().map(ToString::to_string).collect();
        lock.ready(&addresses)?;
        tracing::info!(?addresses, "serving");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        announce(&addresses);
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => server.reload_certificates(),
            }
        }
        tracing::info!("stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        server.stop().await;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}
