//! Subscriptions to published events, for operators who watch them.
//!
//! Bound: [`QUEUE`] messages for each watcher; a slow one loses the rest.

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Bus;
use crate::events::Message;

const QUEUE: usize = 1_000;

impl Bus {
    /// Receives what is published on the public channels from now on, until the receiver is dropped.
    /// Must be called on an arbiter.
    #[must_use]
    pub fn watch(&self) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        match self {
            Self::InProcess(bus) => {
                let mut messages = bus.subscribe();
                actix_web::rt::spawn(async move {
                    loop {
                        match messages.recv().await {
                            // If the queue is full, the message is dropped.
                            Ok(message) => drop(sender.try_send(message)),
                            Err(RecvError::Lagged(_)) => {}
                            Err(RecvError::Closed) => return,
                        }
                        if sender.is_closed() {
                            return;
                        }
                    }
                });
            }
            Self::Redis(bus) => bus.watch(sender),
        }
        receiver
    }
}
