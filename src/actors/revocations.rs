//! Sends ended sessions to the followers of `/revocations`. One poller asks the database for all of them, and
//! none does where nobody follows.
//!
//! Bounds: [`FOLLOWERS`] of a node; [`QUEUE`] answers for each. A follower that is further behind is dropped,
//! and comes back with the cursor it had reached.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};

use super::registry::Registry;
use crate::clock::Moment;
use crate::domain::ids::SessionId;
use crate::storage::StorageError;
use crate::storage::revocations::{Ended, Endings, Place, RevocationFeed};

/// How often the database is asked.
const PERIOD: Duration = Duration::from_millis(200);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How far the poller goes back to where it was. A longer gap ends the streams.
const LONGEST_GAP: Duration = Duration::from_secs(60);
/// How long a newcomer waits for the poller to begin.
const FIRST_ANSWER: Duration = Duration::from_secs(2);
/// Most followers of a node.
const FOLLOWERS: usize = 500;
/// Answers that wait for one follower: 12 seconds.
const QUEUE: usize = 64;
/// Most endings that are remembered, twice, so that each is sent once.
const REMEMBERED: usize = 50_000;

/// A message to followers.
#[derive(Clone, Debug)]
pub enum Told {
    /// Endings, perhaps none, and how far that reaches.
    Endings(Arc<Reached>),
    /// Something may have been missed: begin again where you were.
    Lost,
}

/// All endings up to a place.
#[derive(Debug)]
pub struct Reached {
    /// The sessions that ended since the place before.
    pub ended: Vec<Ended>,
    /// Where that leads to.
    pub place: Place,
    /// When the database was asked.
    pub asked: Moment,
}

/// One who follows; it counts as long as this lasts.
#[derive(Debug)]
pub struct Follower {
    /// Messages, from before the place it was given first.
    pub told: broadcast::Receiver<Told>,
    _permit: OwnedSemaphorePermit,
}

/// Why nobody can follow now.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// As many as there may be follow already.
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
    /// Whether the running poller has begun; none where there is none.
    has_begun: Option<watch::Receiver<bool>>,
}

impl Default for Revocations {
    fn default() -> Self {
        let poller = Poller { sender: broadcast::Sender::new(QUEUE), has_begun: None };
        Self { permits: Arc::new(Semaphore::new(FOLLOWERS)), poller: Arc::new(Mutex::new(poller)) }
    }
}

impl Revocations {
    /// Begins to follow. Messages reach back before this returns, so a place that is read afterwards leaves
    /// no gap.
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

    /// How many follow.
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

/// The one poller. Where it ends, by a panic too, the next newcomer starts another.
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
            // A slow answer is followed by the next question.
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
            // Nobody waits for what was before they came.
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

    /// Ends the poller where nobody follows.
    fn is_followed(&self) -> bool {
        lock(&self.poller).sender.receiver_count() > 0
    }
}

impl Drop for Polling {
    /// Followers that came meanwhile begin again: the next poller does not know where this one was.
    fn drop(&mut self) {
        let mut poller = lock(&self.poller);
        poller.has_begun = None;
        let _ = poller.sender.send(Told::Lost);
    }
}

/// Remembers the latest sessions that were sent: a user who changes often is found again with endings that
/// were sent before.
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
