//! The server as a process: the locked pid file, stopping it, telling about it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::Failure;
use super::args;

/// The lock on an instance: held by its server for as long as it lives. The file holds the server's pid.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    ready: PathBuf,
}

fn lock_file(instance: &Path) -> PathBuf {
    instance.join("locks/server.pid")
}

fn ready_file(instance: &Path) -> PathBuf {
    instance.join("locks/server.ready")
}

/// Where the running server serves its own user.
pub(super) fn socket(instance: &Path) -> PathBuf {
    instance.join("locks/admin.sock")
}

impl Lock {
    /// Takes the lock; says who holds it otherwise.
    pub(super) fn take(instance: &Path) -> Result<Self, Failure> {
        let path = lock_file(instance);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            let holder = holder.trim();
            return Err(Failure::new(format!(
                "the instance {} is served already, by process {holder}",
                instance.display()
            )));
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        let ready = ready_file(instance);
        let _ = std::fs::remove_file(&ready);
        Ok(Self { _file: file, ready })
    }

    /// Notes that the server does not serve for a while.
    pub(super) fn unready(&self) {
        let _ = std::fs::remove_file(&self.ready);
    }

    /// Notes that the server serves, and where.
    pub(super) fn ready(&self, addresses: &[String]) -> Result<(), Failure> {
        let temporary = self.ready.with_extension("new");
        std::fs::write(&temporary, addresses.join("\n"))?;
        std::fs::rename(&temporary, &self.ready)?;
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ready);
    }
}

/// The pid of the server that holds the instance's lock.
pub(super) fn running(instance: &Path) -> Option<Pid> {
    let mut file = File::open(lock_file(instance)).ok()?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    Pid::from_raw(text.trim().parse().ok()?)
}

/// Where the running server serves; none until it does.
pub(super) fn serving(instance: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(ready_file(instance)).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

/// Says so if the directory is no instance.
pub(super) fn require_instance(instance: &Path) -> Result<(), Failure> {
    if instance.join("config/config.ldif").is_file() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is not an instance: make one with `ctsd setup` or `ctsd quickstart`, or name it with --instance",
        instance.display()
    )))
}

/// `ctsd stop`.
pub(super) fn stop(options: &args::Stop) -> Result<ExitCode, Failure> {
    let instance = &options.at.instance;
    require_instance(instance)?;
    let Some(pid) = running(instance) else {
        println!("No server runs on {}.", instance.display());
        return Ok(ExitCode::SUCCESS);
    };
    kill_process(pid, Signal::TERM)?;
    let pause = Duration::from_millis(50);
    let turns = options.timeout.saturating_mul(20).max(1);
    for _ in 0..turns {
        if running(instance).is_none() {
            println!("Stopped process {}.", pid.as_raw_nonzero());
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(pause);
    }
    Err(Failure::new(format!(
        "process {} has not ended within {} s; it goes on ending",
        pid.as_raw_nonzero(),
        options.timeout
    )))
}
