//! Tickets to open a live connection with: kept for a short time, taken once. On Redis they are good on any node.

use std::time::Duration;

use super::{Bus, BusError};

/// How long a ticket is good.
pub const GOOD_FOR: Duration = Duration::from_secs(30);

impl Bus {
    /// Keeps what a ticket stands for.
    ///
    /// # Errors
    /// [`BusError`]; then the ticket is worth nothing.
    pub async fn keep_ticket(&self, ticket: &str, holder: String) -> Result<(), BusError> {
        match self {
            Self::InProcess(bus) => {
                bus.keep_ticket(ticket.to_owned(), holder);
                Ok(())
            }
            Self::Redis(bus) => bus.keep_ticket(ticket, holder).await,
        }
    }

    /// What the ticket stands for, once; nothing for a used, old or unknown one.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn take_ticket(&self, ticket: &str) -> Result<Option<String>, BusError> {
        match self {
            Self::InProcess(bus) => Ok(bus.take_ticket(ticket)),
            Self::Redis(bus) => bus.take_ticket(ticket).await,
        }
    }
}
