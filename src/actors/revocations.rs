//! Sends ended sessions to the followers of `/revocations`. One poller queries the database for all of
//! them, and none runs while nobody follows.
//!
//! Bounds: [`FOLLOWERS`] per node; [`QUEUE`] answers for each. A follower that falls further behind is
//! dropped, and comes back with the cursor it had reached.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::registry::Registry;
use crate::clock::Moment;
use crate::domain::ids::SessionId;
use crate::storage::StorageError;
use crate::storage::revocations::{Ended, Endings, Place, RevocationFeed};

/// How often the database is queried.
const PERIOD: Duration = Duration::from_millis(200);
/// How long a query may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How far back the poller reads to resume where it was. A longer gap ends the streams.
const LONGEST_GAP: Duration = Duration::from_secs(60);
/// How long a new follower waits for the poller to begin.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// Most followers per node.
const FOLLOWERS: usize = 500;
/// Answers that may wait for one follower: 12 seconds.
const QUEUE: usize = 64;
/// Most endings that are remembered, in each of two sets, so that each is sent once.
const REMEMBERED: usize = 50_000;

/// A message to followers.
#[derive(Clone, Debug)]
pub enum Told {
    /// Endings, perhaps none, and the cursor they reach.
    Endings(Arc<Reached>),
    /// Something may have been missed: resume from the last cursor.
    Lost,
}

/// All endings up to a cursor.
#[derive(Debug)]
pub struct Reached {
    /// The sessions that ended since the previous cursor.
    pub ended: Vec<Ended>,
    /// The cursor reached.
    pub place: Place,
    /// When the database was queried.
    pub asked: Moment,
}

/// A follower; it is counted for as long as this value exists.
#[derive(Debug)]
pub struct Follower {
    /// Messages, from before the cursor that the follower is given first.
    pub told: broadcast::Receiver<Told>,
    _permit: OwnedSemaphorePermit,
}

/// Why it is not possible to follow now.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The limit of followers is reached.
    #[error("too many followers")]
    TooMany,
    /// The database has not answered.
    #[error("the database has not answered in time")]
    Unavailable,
}

/// The followers of this node.
#[derive(Debug)]
pub struct Revocations {
    permits: Arc<Semaphore>,
    poller: Arc<Mutex<Poller>>,
}

#[derive(Debug)]
struct Poller {
    sender: broadcast::Sender<Told>,
    /// Whether the running poller has begun; `None` if none runs.
    has_begun: Option<watch::Receiver<bool>>,
}

impl Default for Revocations {
    fn default() -> Self {
        let poller = Poller { sender: broadcast::Sender::new(QUEUE), has_begun: None };
        Self { permits: Arc::new(Semaphore::new(FOLLOWERS)), poller: Arc::new(Mutex::new(poller)) }
    }
}

impl Revocations {
    /// Begins to follow. Messages are received from before this returns, so a cursor that is read
    /// afterwards leaves no gap.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn follow(&self, registry: &Registry) -> Result<Follower, FollowError> {
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| FollowError::TooMany)?;
        let (told, mut has_begun) = self.subscribe(registry);
        let begun = tokio::time::timeout(FIRST_ANSWER, has_begun.wait_for(|begun| *begun)).await;
        if !matches!(begun, Ok(Ok(_))) {
            return Err(FollowError::Unavailable);
        }
        Ok(Follower { told, _permit: permit })
    }

    /// How many followers there are.
    #[must_use]
    pub fn followers(&self) -> usize {
        FOLLOWERS - self.permits.available_permits()
    }

    fn subscribe(&self, registry: &Registry) -> (broadcast::Receiver<Told>, watch::Receiver<bool>) {
        let mut poller = lock(&self.poller);
        let told = poller.sender.subscribe();
        let has_begun = poller.has_begun.get_or_insert_with(|| {
            let (begins, has_begun) = watch::channel(false);
            let polling = Polling { poller: Arc::clone(&self.poller), begins };
            actix_web::rt::spawn(polling.run(registry.clone()));
            has_begun
        });
        (told, has_begun.clone())
    }
}

fn lock(poller: &Mutex<Poller>) -> MutexGuard<'_, Poller> {
    poller.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one poller. If it ends, even by a panic, the next new follower starts another.
struct Polling {
    poller: Arc<Mutex<Poller>>,
    begins: watch::Sender<bool>,
}

impl Polling {
    async fn run(self, registry: Registry) {
        let mut feed = registry.store().revocation_feed(PATIENCE, LONGEST_GAP);
        let mut once = Once::default();
        while self.is_followed() {
            let began = Instant::now();
            match self.poll(&registry, &mut feed, &mut once).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "revocations.not_read");
                }
            }
            // After a slow answer the next query follows immediately.
            tokio::time::sleep_until((began + PERIOD).into()).await;
        }
    }

    async fn poll(
        &self,
        registry: &Registry,
        feed: &mut RevocationFeed,
        once: &mut Once,
    ) -> Result<(), StorageError> {
        let Endings { mut ended, place, asked, since } = feed.poll(registry.clock().now()).await?;
        ended.retain(|ended| once.is_news(ended.session));
        let told = match since {
            // No follower waits for what was before it arrived.
            Some(_) if !*self.begins.borrow() => None,
            Some(_) => Some(Told::Lost),
            None => Some(Told::Endings(Arc::new(Reached { ended, place, asked }))),
        };
        if let Some(told) = told {
            // The only error is that nobody follows any more.
            let _ = lock(&self.poller).sender.send(told);
        }
        self.begins.send_replace(true);
        Ok(())
    }

    /// Whether anybody follows; if not, the poller ends.
    fn is_followed(&self) -> bool {
        lock(&self.poller).sender.receiver_count() > 0
    }
}

impl Drop for Polling {
    /// Followers that arrived meanwhile start over: the next poller does not know where this one was.
    fn drop(&mut self) {
        let mut poller = lock(&self.poller);
        poller.has_begun = None;
        let _ = poller.sender.send(Told::Lost);
    }
}

/// Remembers the latest sessions that were sent, because a user who changes often is found again with
/// endings that were sent before.
#[derive(Debug, Default)]
struct Once {
    latest: HashSet<SessionId>,
    before: HashSet<SessionId>,
}

impl Once {
    fn is_news(&mut self, session: SessionId) -> bool {
        if self.before.contains(&session) || !self.latest.insert(session) {
            return false;
        }
        if self.latest.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.latest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_uuid;

    #[test]
    fn what_was_told_is_no_news_and_memory_is_bounded() {
        let mut once = Once::default();
        let sessions: Vec<_> = (0..3 * REMEMBERED).map(|_| SessionId::new(new_uuid())).collect();
        for session in &sessions {
            assert!(once.is_news(*session));
            assert!(!once.is_news(*session));
        }
        assert!(once.latest.len() + once.before.len() <= 2 * REMEMBERED);
    }
}
