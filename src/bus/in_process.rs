//! The bus of a service that runs alone: whoever subscribes in this process hears every message.
//!
//! Bounds: a subscriber that is [`CAPACITY`] messages behind loses the oldest and is told so; at most [`TICKETS`]
//! tickets are kept, and past that the old ones go first, then the new one is worth nothing.

use std::time::Instant;

use dashmap::DashMap;
use tokio::sync::broadcast;

use super::tickets::GOOD_FOR;
use crate::events::Message;

const CAPACITY: usize = 4_096;
const TICKETS: usize = 100_000;

/// A broadcast in this process, and the tickets it has given out.
#[derive(Debug)]
pub struct InProcessBus {
    messages: broadcast::Sender<Message>,
    tickets: DashMap<String, (Instant, String)>,
}

impl Default for InProcessBus {
    fn default() -> Self {
        Self { messages: broadcast::Sender::new(CAPACITY), tickets: DashMap::new() }
    }
}

impl InProcessBus {
    /// Tells all subscribers; without any it is told to nobody, as on Redis.
    pub fn send(&self, message: Message) {
        // The only error is that nobody listens.
        let _ = self.messages.send(message);
    }

    /// Everything that is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Message> {
        self.messages.subscribe()
    }

    pub(super) fn keep_ticket(&self, ticket: String, holder: String) {
        if self.tickets.len() >= TICKETS {
            self.tickets.retain(|_, (made, _)| made.elapsed() < GOOD_FOR);
        }
        if self.tickets.len() < TICKETS {
            self.tickets.insert(ticket, (Instant::now(), holder));
        }
    }

    pub(super) fn take_ticket(&self, ticket: &str) -> Option<String> {
        let (_, (made, holder)) = self.tickets.remove(ticket)?;
        (made.elapsed() < GOOD_FOR).then_some(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once() {
        let bus = InProcessBus::default();
        bus.keep_ticket("a".into(), "holder".into());
        assert_eq!(bus.take_ticket("b"), None);
        assert_eq!(bus.take_ticket("a").as_deref(), Some("holder"));
        assert_eq!(bus.take_ticket("a"), None);
    }
}
