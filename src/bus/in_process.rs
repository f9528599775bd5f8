//! The bus of a service that runs alone: every subscriber in this process receives every message.
//!
//! Bound: a subscriber that falls [`CAPACITY`] messages behind loses the oldest and is notified of the
//! loss.

use tokio::sync::broadcast;

use crate::events::Message;

const CAPACITY: usize = 4_096;

/// A broadcast in this process.
#[derive(Debug)]
pub struct InProcessBus(broadcast::Sender<Message>);

impl Default for InProcessBus {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl InProcessBus {
    /// Sends to all subscribers; without any the message is lost, as on Redis.
    pub fn send(&self, message: Message) {
        // The only error is that there are no subscribers.
        let _ = self.0.send(message);
    }

    /// Receives everything that is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Message> {
        self.0.subscribe()
    }
}
