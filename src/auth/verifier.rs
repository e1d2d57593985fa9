//! The hashing pool: expensive digests on threads of their own, bounded in number and in queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use super::proven::Proven;
use super::{AuthError, Scheme, Secret, os_random, scheme};

type Job = Box<dyn FnOnce() + Send>;

/// Checks and encodes passwords without holding up the threads that serve requests. Shared by all connections; its
/// threads end when it is dropped and the queue is empty.
pub struct Verifier {
    jobs: Sender<Job>,
    proven: Arc<Proven>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("waiting", &self.jobs.len()).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Starts `threads` (at least one) with a queue of `queue` passwords, and a memory of `proven` right ones.
    pub fn new(threads: usize, queue: usize, proven: usize) -> Result<Self, AuthError> {
        let (jobs, taken) = bounded::<Job>(queue);
        for number in 0..threads.max(1) {
            let taken = taken.clone();
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || serve(&taken))
                .map_err(|fault| AuthError::Thread(fault.to_string()))?;
        }
        Ok(Self { jobs, proven: Arc::new(Proven::new(proven)?) })
    }

    /// As many threads as the machine has processors less one, 1,024 waiting, 4,096 remembered.
    pub fn for_machine() -> Result<Self, AuthError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(processors.saturating_sub(1), 1024, 4096)
    }

    /// Passwords that wait to be hashed.
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Whether the password is one of the stored values of the entry that `name` (its key) names.
    ///
    /// Answers at once, without the pool, what was proven before and what a cheap scheme stores. Without any stored
    /// value it hashes all the same before it says no, so that the time taken does not tell which names exist: call
    /// it with none for an entry that is not there. Dropping the future does not stop a hash under way.
    pub async fn verify<V: AsRef<[u8]>>(
        &self,
        name: &[u8],
        stored: &[V],
        password: &Secret,
    ) -> Result<bool, AuthError> {
        let (sender, verdict) = oneshot::channel();
        if let Some(known) = self.verify_then(name, stored, password, move |right| {
            // A receiver that is gone no longer wants to know.
            let _ = sender.send(right);
        })? {
            return Ok(known);
        }
        verdict.await.map_err(|_| AuthError::Stopped)
    }

    /// As [`Self::verify`], for callers that do not wait: the verdict is returned if it is known at once, else `done`
    /// is called with it on a thread of the pool.
    pub fn verify_then<V: AsRef<[u8]>>(
        &self,
        name: &[u8],
        stored: &[V],
        password: &Secret,
        done: impl FnOnce(bool) + Send + 'static,
    ) -> Result<Option<bool>, AuthError> {
        if password.is_empty() {
            return Ok(Some(false));
        }
        let mut dear = Vec::new();
        let mut cheap = false;
        for value in stored.iter().map(AsRef::as_ref) {
            match scheme::split(value) {
                Some((scheme, _)) if scheme.is_cheap() => {
                    cheap = true;
                    if scheme::verify(value, password.expose()) {
                        return Ok(Some(true));
                    }
                }
                Some(_) => {
                    let proof = self.proven.proof(name, value, password.expose());
                    if self.proven.holds(&proof) {
                        return Ok(Some(true));
                    }
                    dear.push((value.to_vec(), proof));
                }
                None => {}
            }
        }
        if dear.is_empty() && cheap {
            return Ok(Some(false));
        }
        let (proven, password) = (Arc::clone(&self.proven), password.clone());
        self.start(Box::new(move || {
            if dear.is_empty() {
                decoy(&password);
                return done(false);
            }
            // A storm of equal binds queues up before the first of them is proven: ask again before hashing.
            let right = dear.iter().any(|(value, proof)| {
                if proven.holds(proof) {
                    return true;
                }
                let right = scheme::verify(value, password.expose());
                if right {
                    proven.remember(*proof);
                }
                right
            });
            done(right);
        }))?;
        Ok(None)
    }

    /// Encodes a new password for storage.
    pub async fn encode(&self, scheme: Scheme, password: &Secret) -> Result<Vec<u8>, AuthError> {
        if scheme.is_cheap() {
            return scheme::encode(scheme, password, &mut os_random);
        }
        let (sender, encoded) = oneshot::channel();
        let password = password.clone();
        self.start(Box::new(move || {
            let _ = sender.send(scheme::encode(scheme, &password, &mut os_random));
        }))?;
        encoded.await.map_err(|_| AuthError::Stopped)?
    }

    fn start(&self, job: Job) -> Result<(), AuthError> {
        self.jobs.try_send(job).map_err(|fault| match fault {
            TrySendError::Full(_) => AuthError::Busy,
            TrySendError::Disconnected(_) => AuthError::Stopped,
        })
    }
}

/// As much work as a wrong password in the default scheme.
fn decoy(password: &Secret) {
    const STORED: &[u8] =
        b"{PBKDF2-HMAC-SHA256}10000:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    std::hint::black_box(scheme::verify(STORED, password.expose()));
}

fn serve(jobs: &Receiver<Job>) {
    for job in jobs {
        // A callback that falls must not take the thread with it; whoever waits sees its sender dropped.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(scheme: Scheme, password: &str) -> Vec<u8> {
        scheme::encode(scheme, &Secret::new(password), &mut os_random).unwrap()
    }

    #[tokio::test]
    async fn right_wrong_and_remembered() {
        let verifier = Verifier::new(1, 8, 16).unwrap();
        let values = [stored(Scheme::DEFAULT, "secret")];
        let right = Secret::new("secret");
        assert_eq!(verifier.verify(b"cn=a", &values, &Secret::new("wrong")).await, Ok(false));
        assert_eq!(verifier.verify(b"cn=a", &values, &right).await, Ok(true));
        assert_eq!(verifier.verify_then(b"cn=a", &values, &right, |_| ()), Ok(Some(true)));
        assert_eq!(verifier.verify_then(b"cn=b", &values, &right, |_| ()), Ok(None));
        let changed = [stored(Scheme::DEFAULT, "other")];
        assert_eq!(verifier.verify(b"cn=a", &changed, &right).await, Ok(false));
        assert_eq!(verifier.verify::<Vec<u8>>(b"cn=nobody", &[], &right).await, Ok(false));
        assert_eq!(verifier.verify(b"cn=a", &values, &Secret::new("")).await, Ok(false));
    }

    #[tokio::test]
    async fn cheap_schemes_need_no_thread() {
        let verifier = Verifier::new(1, 0, 0).unwrap();
        let values = [stored(Scheme::Ssha, "one"), stored(Scheme::Ssha512, "two")];
        assert_eq!(verifier.verify_then(b"", &values, &Secret::new("two"), |_| ()), Ok(Some(true)));
        assert_eq!(verifier.verify_then(b"", &values, &Secret::new("three"), |_| ()), Ok(Some(false)));
    }

    #[tokio::test]
    async fn encodes_what_it_verifies() {
        let verifier = Verifier::new(2, 8, 16).unwrap();
        for scheme in Scheme::ALL {
            let values = [verifier.encode(scheme, &Secret::new("pw")).await.unwrap()];
            assert_eq!(verifier.verify(b"cn=a", &values, &Secret::new("pw")).await, Ok(true));
        }
    }

    #[test]
    fn a_full_queue_says_busy() {
        let verifier = Verifier::new(1, 1, 0).unwrap();
        let (started, starts) = bounded::<()>(1);
        let (release, gate) = bounded::<()>(0);
        verifier
            .start(Box::new(move || {
                started.send(()).unwrap();
                let _ = gate.recv();
            }))
            .unwrap();
        starts.recv().unwrap();
        let values = [stored(Scheme::DEFAULT, "x")];
        let (told, verdict) = bounded(1);
        let first =
            verifier.verify_then(b"", &values, &Secret::new("x"), move |right| told.send(right).unwrap());
        assert_eq!(first, Ok(None));
        let second = verifier.verify_then(b"", &values, &Secret::new("x"), |_| ());
        assert_eq!(second, Err(AuthError::Busy));
        drop(release);
        assert_eq!(verdict.recv(), Ok(true));
    }

    #[tokio::test]
    async fn a_falling_callback_leaves_the_pool_whole() {
        let verifier = Verifier::new(1, 4, 0).unwrap();
        verifier.start(Box::new(|| std::panic::resume_unwind(Box::new(())))).unwrap();
        let values = [stored(Scheme::DEFAULT, "x")];
        assert_eq!(verifier.verify(b"", &values, &Secret::new("x")).await, Ok(true));
    }
}
