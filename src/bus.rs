//! How messages leave this process: to other services on the public channels, to other nodes on internal
//! ones. Uses Redis if there is one, otherwise this process only. It makes nodes learn of changes
//! sooner; no node's correctness depends on it.

pub mod in_process;
pub mod internal;
pub mod redis;
mod watching;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::events::Message;
use crate::events::announcement::Announcement;
use crate::events::lane::Lane;
use crate::io::IoGone;
use crate::security::rate_limit::{Counted, Quota};
use in_process::InProcessBus;
use internal::{Activity, DeduplicatedMessage, Invalidation};
use redis::RedisBus;

/// The bus failed, or its outcome is unknown; then it is also unknown how many of several messages were
/// taken.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Redis answered with an error, or not at all.
    #[error("redis answered with an error: {}", redis::text_of(.0))]
    Redis(#[from] ::redis::RedisError),
    /// Redis has taken the events, but too few of its replicas have.
    #[error("fewer replicas than REDIS_MIN_REPLICAS have the events")]
    TooFewReplicas,
    /// Redis took too long.
    #[error("redis did not answer in time")]
    TimedOut,
    /// The caller needs Redis, and none is configured.
    #[error("there is no redis")]
    NoRedis,
    /// The server is not what `REDIS_MODE` says.
    #[error("{0}")]
    WrongMode(&'static str),
    /// `REDIS_CA_FILE` cannot be used.
    #[error("cannot use REDIS_CA_FILE {path}: {source}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The service is shutting down.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

/// A handle on the bus; clones share it.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Subscribers in this process.
    InProcess(Arc<InProcessBus>),
    /// Redis.
    Redis(Arc<RedisBus>),
}

impl Bus {
    /// A bus that does not leave this process.
    #[must_use]
    pub fn in_process() -> Self {
        Self::InProcess(Arc::default())
    }

    /// Takes or prolongs the turn at publishing a lane. False if another node has it.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn take_turn(&self, lane: Lane) -> Result<bool, BusError> {
        match self {
            Self::InProcess(_) => Ok(true),
            Self::Redis(bus) => bus.take_turn(lane).await,
        }
    }

    /// Gives up the turn to other nodes, without waiting.
    pub fn end_turn(&self, lane: Lane) {
        match self {
            Self::InProcess(_) => {}
            Self::Redis(bus) => bus.end_turn(lane),
        }
    }

    /// The announcements that watchers in this process need of a change; empty if it is published to
    /// them anyway.
    #[must_use]
    pub fn announcements_for_watchers(
        &self,
        is_published: bool,
        announcements: &[Announcement],
    ) -> Vec<Announcement> {
        match self {
            Self::InProcess(_) if !is_published => announcements.to_vec(),
            Self::InProcess(_) | Self::Redis(_) => Vec::new(),
        }
    }

    /// Sends them to the watchers, once the change is stored.
    pub fn notify_watchers(&self, announcements: Vec<Announcement>) {
        if let Self::InProcess(bus) = self {
            announcements.into_iter().for_each(|announcement| bus.send(announcement.into_message()));
        }
    }

    /// Publishes messages of a lane in order. `true`: all of them were taken. `false`: the turn was lost
    /// meanwhile, and none was taken.
    ///
    /// # Errors
    /// [`BusError`]; then it is unknown whether they were taken, and the same messages must be published
    /// again.
    pub async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<bool, BusError> {
        match self {
            Self::InProcess(bus) => {
                messages.into_iter().for_each(|message| bus.send(message));
                Ok(true)
            }
            Self::Redis(bus) => bus.publish(lane, messages).await,
        }
    }

    /// Publishes a message that may be lost, unless another node was first, without waiting.
    pub fn publish_once(&self, message: DeduplicatedMessage) {
        match self {
            Self::InProcess(bus) => bus.send(message.message),
            Self::Redis(bus) => bus.publish_once(message),
        }
    }

    /// Notifies the other nodes that a user's sessions changed, without waiting. The message may be lost.
    pub fn invalidate(&self, invalidation: &Invalidation) {
        match self {
            Self::InProcess(_) => {}
            Self::Redis(bus) => bus.invalidate(invalidation),
        }
    }

    /// Notifies the other nodes that a session was active, without waiting. The message may be lost.
    pub fn tell_activity(&self, activity: impl FnOnce() -> Activity) {
        match self {
            Self::InProcess(_) => {}
            Self::Redis(bus) => bus.tell_activity(activity()),
        }
    }

    /// Counts one attempt across all nodes. `None` if there is no Redis or it does not answer at once.
    pub async fn count(&self, key: &str, quota: Quota) -> Option<Counted> {
        match self {
            Self::InProcess(_) => None,
            Self::Redis(bus) => bus.count(key, quota).await,
        }
    }

    /// The count of attempts across all nodes, as [`Bus::count`] maintains it, without counting this one.
    pub async fn check(&self, key: &str, quota: Quota) -> Option<Counted> {
        match self {
            Self::InProcess(_) => None,
            Self::Redis(bus) => bus.check(key, quota).await,
        }
    }

    /// Records for all nodes, for that long, that a ticket was used. False if it had been used before.
    ///
    /// # Errors
    /// [`BusError`]; then it may have been recorded.
    pub async fn spend_ticket(&self, ticket: Uuid, known_for: Duration) -> Result<bool, BusError> {
        match self {
            Self::InProcess(_) => Err(BusError::NoRedis),
            Self::Redis(bus) => bus.spend_ticket(ticket, known_for).await,
        }
    }

    /// Whether there is a Redis whose last command succeeded and which is known not to lose keys.
    #[must_use]
    pub fn keeps_keys(&self) -> bool {
        match self {
            Self::InProcess(_) => false,
            Self::Redis(bus) => bus.is_up() && bus.keeps_keys(),
        }
    }

    /// Whether messages currently get through and keys are safe from eviction, for the health answer.
    #[must_use]
    pub fn condition(&self) -> BusCondition {
        match self {
            Self::InProcess(_) => BusCondition::Good,
            Self::Redis(bus) if !bus.is_up() => BusCondition::Away,
            Self::Redis(bus) => bus.evicts_by().map_or(BusCondition::Good, BusCondition::Evicts),
        }
    }

    /// Whether counts may have been lost to eviction or to a failover.
    #[must_use]
    pub fn may_forget(&self) -> bool {
        match self {
            Self::InProcess(_) => false,
            Self::Redis(bus) => !bus.keeps_keys(),
        }
    }
}

/// The condition of the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusCondition {
    /// It works.
    Good,
    /// It is unreachable, and messages wait for it.
    Away,
    /// It may evict keys, under that `maxmemory-policy`.
    Evicts(String),
}
