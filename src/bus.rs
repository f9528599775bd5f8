//! How messages reach other services: Redis where there is one, else this process only. Nodes never depend on it.

pub mod in_process;

use std::sync::Arc;

use crate::events::Message;
use in_process::InProcessBus;

/// The messages were not taken; nothing is known about how many were.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Redis answered with an error, or not at all.
    #[error("redis did not take the messages")]
    Redis(#[source] redis::RedisError),
}

/// A handle on the bus; clones share it.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Subscribers in this process.
    InProcess(Arc<InProcessBus>),
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
        }
    }

    /// Hands over a message that may be lost, and waits for nothing.
    pub fn publish_unkept(&self, message: Message) {
        match self {
            Self::InProcess(bus) => bus.send(message),
        }
    }

    /// Whether messages get through at the moment, for the health answer.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self {
            Self::InProcess(_) => true,
        }
    }
}
