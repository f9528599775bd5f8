//! How messages get out of this process: to other services on the public channels, to other nodes on internal ones.
//! Redis where there is one, else this process only. Nodes are told faster by it, and depend on it for nothing.

pub mod in_process;
pub mod internal;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::events::Message;
use crate::io::IoGone;
use crate::security::rate_limit::{Counted, Quota};
use in_process::InProcessBus;
use internal::{Activity, Invalidation};
use redis::RedisBus;

/// The bus did not do it, or it is not known whether it did: of several messages, how many were taken.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Redis answered with an error, or not at all.
    #[error("redis answered with an error")]
    Redis(#[from] ::redis::RedisError),
    /// Redis took too long.
    #[error("redis did not answer in time")]
    TimedOut,
    /// There is none, where the one who asked counted on it.
    #[error("there is no redis")]
    NoRedis,
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
    /// A bus that ends at this process.
    #[must_use]
    pub fn in_process() -> Self {
        Self::InProcess(Arc::default())
    }

    /// Hands over messages in order. All of them are taken, or none is known to be.
    ///
    /// # Errors
    /// [`BusError`]; then the same messages are to be published again.
    pub async fn publish(&self, messages: Vec<Message>) -> Result<(), BusError> {
        match self {
            Self::InProcess(bus) => {
                messages.into_iter().for_each(|message| bus.send(message));
                Ok(())
            }
            Self::Redis(bus) => bus.publish(messages).await,
        }
    }

    /// Hands over a message that may be lost, and waits for nothing.
    pub fn publish_best_effort(&self, message: Message) {
        match self {
            Self::InProcess(bus) => bus.send(message),
            Self::Redis(bus) => bus.publish_best_effort(message),
        }
    }

    /// Tells the other nodes that a user's sessions changed, and waits for nothing. It may be lost.
    pub fn invalidate(&self, invalidation: &Invalidation) {
        match self {
            Self::InProcess(_) => {}
            Self::Redis(bus) => bus.invalidate(invalidation),
        }
    }

    /// Tells the other nodes that a session was active, and waits for nothing. It may be lost.
    pub fn tell_activity(&self, activity: impl FnOnce() -> Activity) {
        match self {
            Self::InProcess(_) => {}
            Self::Redis(bus) => bus.tell_activity(&activity()),
        }
    }

    /// Counts one try over all nodes. Nothing, where there is no Redis or it does not answer at once.
    pub async fn count(&self, key: &str, quota: Quota) -> Option<Counted> {
        match self {
            Self::InProcess(_) => None,
            Self::Redis(bus) => bus.count(key, quota).await,
        }
    }

    /// The count of tries over all nodes, as [`Bus::count`] keeps it, without counting.
    pub async fn check(&self, key: &str, quota: Quota) -> Option<Counted> {
        match self {
            Self::InProcess(_) => None,
            Self::Redis(bus) => bus.check(key, quota).await,
        }
    }

    /// Notes over all nodes, for that long, that a ticket was used. False if it was before.
    ///
    /// # Errors
    /// [`BusError`]; then it may have been noted.
    pub async fn spend_ticket(&self, ticket: Uuid, known_for: Duration) -> Result<bool, BusError> {
        match self {
            Self::InProcess(_) => Err(BusError::NoRedis),
            Self::Redis(bus) => bus.spend_ticket(ticket, known_for).await,
        }
    }

    /// Whether there is a Redis, and it did what it was asked when it was last asked.
    #[must_use]
    pub fn reaches_redis(&self) -> bool {
        match self {
            Self::InProcess(_) => false,
            Self::Redis(bus) => bus.is_up(),
        }
    }

    /// Whether messages get through at the moment, for the health answer.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self {
            Self::InProcess(_) => true,
            Self::Redis(bus) => bus.is_up(),
        }
    }
}
