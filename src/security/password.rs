//! Passwords, and the small pool of threads that hashes them, so that nothing else ever waits for a hash.
//!
//! Bound: `workers` hashes run and `queue` wait; one more is refused ([`PasswordError::Overloaded`]), which
//! `auth_password_refused_total` counts. A password or a hash is never printed.

#[cfg(test)]
mod tests;
mod yielding_bcrypt;

use std::fmt;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;

use crate::config::PasswordConfig;
pub use crate::domain::password_hash::PasswordHash;
use crate::domain::user::{FieldProblem, PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Step;

/// A password as a person types it. Never printed, never stored.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// A password for a new account: 8 characters to 72 bytes, without NUL.
    ///
    /// # Errors
    /// [`FieldProblem`], which says why it cannot be one.
    pub fn parse_new(text: String) -> Result<Self, FieldProblem> {
        if text.chars().count() < PASSWORD_MIN_CHARS {
            return Err(FieldProblem::TooShort);
        }
        Self::parse_attempt(text)
    }

    /// A password given at login: any that an account may have.
    ///
    /// # Errors
    /// [`FieldProblem`] if no account can have it.
    pub fn parse_attempt(text: String) -> Result<Self, FieldProblem> {
        match text.as_str() {
            "" => Err(FieldProblem::Required),
            text if text.len() > PASSWORD_MAX_BYTES => Err(FieldProblem::TooLong),
            text if text.contains('\0') => Err(FieldProblem::Invalid),
            _ => Ok(Self(text)),
        }
    }
}

impl Password {
    /// The text, for the checks of new passwords.
    pub(in crate::security) fn expose(&self) -> &str {
        &self.0
    }

    /// The same text in Unicode's other normal form, if it differs: keyboards differ in whether they type
    /// an `ä` as one character or as two.
    pub(in crate::security) fn in_other_form(&self) -> Option<Self> {
        if self.0.is_ascii() {
            return None;
        }
        let composed: String = self.0.nfc().collect();
        let other = if composed == self.0 { self.0.nfd().collect() } else { composed };
        (other != self.0 && other.len() <= PASSWORD_MAX_BYTES).then_some(Self(other))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl PasswordHash {
    /// A hash that another system made: bcrypt as `$2a$`, `$2b$` or `$2y$`, which differ only in name for
    /// passwords of up to 72 bytes.
    ///
    /// # Errors
    /// [`FieldProblem`] if it is empty, not a bcrypt hash, or of a cost that takes too long to check.
    pub fn parse(text: &str) -> Result<Self, FieldProblem> {
        if text.is_empty() {
            return Err(FieldProblem::Required);
        }
        let hash = Self::from_stored(text.to_owned());
        let is_known = ["$2a$", "$2b$", "$2y$"].iter().any(|name| text.starts_with(name));
        let is_whole = text.parse::<bcrypt::HashParts>().is_ok();
        let can_be_checked = hash.cost().is_some_and(|cost| (MIN_COST..=MAX_CHECKED_COST).contains(&cost));
        if is_known && is_whole && can_be_checked { Ok(hash) } else { Err(FieldProblem::Invalid) }
    }

    /// The same, with a bound on the cost: one login with a costlier hash would delay everybody's.
    ///
    /// # Errors
    /// As [`PasswordHash::parse`].
    pub fn parse_up_to(text: &str, most: u32) -> Result<Self, FieldProblem> {
        let hash = Self::parse(text)?;
        if hash.cost().is_some_and(|cost| cost <= most) { Ok(hash) } else { Err(FieldProblem::Invalid) }
    }

    /// No password: nobody can sign in with one.
    #[must_use]
    pub fn none() -> Self {
        Self::from_stored(String::new())
    }

    /// Whether there is a password.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !self.expose().is_empty()
    }

    /// The cost it was made with; `None` if it is not a bcrypt hash.
    fn cost(&self) -> Option<u32> {
        self.expose().split('$').nth(2)?.parse().ok()
    }
}

/// The result of a check.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is not the password, or there is no such account.
    Wrong,
    /// It is the password, with a new hash to store if the old one was made with another cost.
    Right {
        /// Replacement.
        rehashed: Option<PasswordHash>,
    },
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// The queue is full.
    #[error("the password queue is full")]
    Overloaded,
    /// The stored hash is malformed, or the pool is gone.
    #[error("the password could not be checked")]
    Failed,
}

enum Job {
    Hash(Password, oneshot::Sender<Result<PasswordHash, PasswordError>>),
    Verify(Password, Option<PasswordHash>, oneshot::Sender<Result<Verdict, PasswordError>>),
}

/// Hashes and checks passwords, as many at once as it has threads.
#[derive(Clone, Debug)]
pub struct PasswordPool {
    jobs: SyncSender<Job>,
    metrics: Metrics,
}

impl PasswordPool {
    /// Starts the threads; they end when the last clone of the pool is gone.
    ///
    /// # Errors
    /// If the operating system cannot create a thread.
    pub fn start(config: &PasswordConfig, metrics: Metrics) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(config.queue);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..config.workers.max(1) {
            let worker = Worker::new(config.bcrypt_cost, metrics.clone());
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                lower_priority();
                worker.run(&queue);
            })?;
        }
        Ok(Self { jobs, metrics })
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let _step = Step::begin("password.hash");
        let (reply, result) = oneshot::channel();
        self.submit(Job::Hash(password, reply))?;
        result.await.map_err(|_| PasswordError::Failed)?
    }

    /// Checks a password. Without a hash (no such account) it takes the same time and is wrong.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<Verdict, PasswordError> {
        let _step = Step::begin("password.verify");
        let (reply, result) = oneshot::channel();
        self.submit(Job::Verify(password, hash, reply))?;
        result.await.map_err(|_| PasswordError::Failed)?
    }

    fn submit(&self, job: Job) -> Result<(), PasswordError> {
        match self.jobs.try_send(job) {
            Ok(()) => {
                self.metrics.password_queue_depth.inc();
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.metrics.password_refused.inc();
                Err(PasswordError::Overloaded)
            }
            Err(TrySendError::Disconnected(_)) => Err(PasswordError::Failed),
        }
    }
}

/// The lowest cost that bcrypt has.
const MIN_COST: u32 = 4;
/// The highest: days.
const MAX_COST: u32 = 31;
/// The highest cost that is checked, unless new hashes are made with a higher one: about 4 s, during
/// which a thread does nothing else.
pub const MAX_CHECKED_COST: u32 = 16;

/// The costs of hashes that together take as long as the difference between a hash of cost `is` and one
/// of cost `wanted`.
fn missing_costs(is: u32, wanted: u32) -> Range<u32> {
    is.max(MIN_COST)..wanted
}

/// A well-formed hash of that cost, of no known password.
fn dummy_hash(cost: u32) -> PasswordHash {
    PasswordHash::from_stored(format!(
        "$2b${cost:02}${}",
        "abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDC"
    ))
}

/// Hashes take only the time that nothing else needs: if all cores are busy, session checks go first, and
/// at the next round ([`yielding_bcrypt`]). On Linux each thread has its own priority; elsewhere this
/// would be the whole process's, so there it is left unchanged.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "password.priority_kept");
    }
}

/// One thread of the pool.
struct Worker {
    cost: u32,
    /// Checked if there is no account.
    dummy_hash: PasswordHash,
    metrics: Metrics,
}

impl Worker {
    fn new(cost: u32, metrics: Metrics) -> Self {
        Self { cost, dummy_hash: dummy_hash(cost), metrics }
    }

    fn run(&self, queue: &Mutex<Receiver<Job>>) {
        loop {
            // The lock is held while waiting: one thread waits for a job, the others for their turn to wait.
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            self.metrics.password_queue_depth.dec();
            self.work(job);
        }
    }

    /// A caller who has gone away does not get the result; a job whose caller left while it waited is not
    /// done.
    fn work(&self, job: Job) {
        match job {
            Job::Hash(_, reply) if reply.is_closed() => {}
            Job::Verify(_, _, reply) if reply.is_closed() => {}
            Job::Hash(password, reply) => drop(reply.send(self.hash(&password))),
            Job::Verify(password, hash, reply) => drop(reply.send(self.verify(&password, hash.as_ref()))),
        }
    }

    fn hash(&self, password: &Password) -> Result<PasswordHash, PasswordError> {
        let _timer = self.metrics.password_hash_duration.start_timer();
        yielding_bcrypt::hash(password, self.cost).map(PasswordHash::from_stored)
    }

    /// Makes a wrong password take as long as an unknown account does, even if its hash is older and
    /// cheaper: the difference between the hash of cost `c` and the configured cost `C` is 2^`C` − 2^`c`,
    /// which is 2^`c` + 2^(`c`+1) + … + 2^(`C`−1).
    fn pad_to_cost(&self, password: &Password, hash: &PasswordHash) {
        for cost in missing_costs(hash.cost().unwrap_or(self.cost), self.cost) {
            let _ = yielding_bcrypt::verify(password, dummy_hash(cost).expose());
        }
    }

    /// Tries the password as it was typed, and then in the other normal form. Both are tried for an
    /// unknown account too.
    fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verdict, PasswordError> {
        let other = password.in_other_form();
        for password in std::iter::once(password).chain(&other) {
            match self.verify_as_typed(password, hash)? {
                Verdict::Wrong => {}
                right => return Ok(right),
            }
        }
        Ok(Verdict::Wrong)
    }

    fn verify_as_typed(
        &self,
        password: &Password,
        hash: Option<&PasswordHash>,
    ) -> Result<Verdict, PasswordError> {
        if let Some(cost) =
            hash.and_then(PasswordHash::cost).filter(|cost| *cost > self.cost.max(MAX_CHECKED_COST))
        {
            // Treated as if there were no account: the person needs a new password, and no thread is
            // occupied for hours.
            tracing::warn!(cost, most = self.cost.max(MAX_CHECKED_COST), "password.hash_too_dear");
            return self.verify_as_typed(password, None);
        }
        let timer = self.metrics.password_hash_duration.start_timer();
        let right = yielding_bcrypt::verify(password, hash.unwrap_or(&self.dummy_hash).expose());
        timer.observe_duration();
        let right = right?;
        match hash {
            Some(hash) if right && hash.cost() != Some(self.cost) => {
                Ok(Verdict::Right { rehashed: Some(self.hash(password)?) })
            }
            Some(_) if right => Ok(Verdict::Right { rehashed: None }),
            Some(hash) => {
                self.pad_to_cost(password, hash);
                Ok(Verdict::Wrong)
            }
            None => Ok(Verdict::Wrong),
        }
    }
}
