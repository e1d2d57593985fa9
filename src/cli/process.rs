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
        if !hold(&file) {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            let holder = holder.trim();
            return Err(Failure::new(format!(
                "the instance {} is served already, by process {holder}",
                instance.display()
            )));
        }
        // First, or who looks now takes what a server left that was killed for what this one says.
        let ready = ready_file(instance);
        let _ = std::fs::remove_file(&ready);
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
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

/// Takes the lock, if no server holds it. Who asks whether one runs ([`running`]) holds it too, shared and for a moment,
/// which must not be taken for a server.
fn hold(file: &File) -> bool {
    // Somebody who never lets go of it is no asker.
    for _ in 0..10_000 {
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        if flock(file, FlockOperation::NonBlockingLockShared).is_err() {
            return false;
        }
        let _ = flock(file, FlockOperation::Unlock);
        std::thread::sleep(Duration::from_millis(1));
    }
    false
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
    println!("{}", end(&options.at.instance, options.timeout)?);
    Ok(ExitCode::SUCCESS)
}

/// Ends the server of an instance, for which it may take so many seconds; gives what became of it.
pub(super) fn end(instance: &Path, timeout: u64) -> Result<String, Failure> {
    require_instance(instance)?;
    let Some(pid) = running(instance) else {
        return Ok(format!("No server runs on {}.", instance.display()));
    };
    kill_process(pid, Signal::TERM)?;
    let pause = Duration::from_millis(50);
    let turns = timeout.saturating_mul(20).max(1);
    for _ in 0..turns {
        if running(instance).is_none() {
            return Ok(format!("Stopped process {}.", pid.as_raw_nonzero()));
        }
        std::thread::sleep(pause);
    }
    Err(Failure::new(format!(
        "process {} has not ended within {} s; it goes on ending",
        pid.as_raw_nonzero(),
        timeout
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_whether_a_server_runs_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("locks")).unwrap();
        File::create(lock_file(folder.path())).unwrap();
        assert_eq!(running(folder.path()), None);
        let asking = File::open(lock_file(folder.path())).unwrap();
        flock(&asking, FlockOperation::NonBlockingLockShared).unwrap();
        std::fs::write(ready_file(folder.path()), "of one that was killed").unwrap();
        std::thread::scope(|scope| {
            let (sender, taken) = std::sync::mpsc::channel();
            let taker = scope.spawn(move || {
                sender.send(()).unwrap();
                Lock::take(folder.path()).map(|lock| (lock, folder)).map_err(|_| ())
            });
            taken.recv().unwrap();
            // The server gets its turns while somebody asks.
            (0..10_000).for_each(|_| std::thread::yield_now());
            drop(asking);
            let (lock, folder) = taker.join().unwrap().unwrap();
            assert_eq!(running(folder.path()), Some(rustix::process::getpid()));
            assert_eq!(serving(folder.path()), None);
            assert!(Lock::take(folder.path()).is_err(), "one server an instance");
            drop(lock);
            assert_eq!(running(folder.path()), None);
        });
    }
}
