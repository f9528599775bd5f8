//! Tickets that were used, on Redis: `SET … NX`, which succeeds only for the first.

use std::time::Duration;

use uuid::Uuid;

use super::{COUNTER_TIMEOUT, RedisBus};
use crate::bus::BusError;

/// How long a connecting page waits for Redis.
const TICKET_TIMEOUT: Duration = COUNTER_TIMEOUT.saturating_mul(2);

impl RedisBus {
    pub(in crate::bus) async fn spend_ticket(
        &self,
        ticket: Uuid,
        known_for: Duration,
    ) -> Result<bool, BusError> {
        if !self.health.may_try() {
            return Err(BusError::TimedOut);
        }
        let mut set = redis::cmd("SET");
        let known_for = u64::try_from(known_for.as_millis()).unwrap_or(u64::MAX);
        set.arg(self.names.spent(ticket)).arg("").arg("NX").arg("PX").arg(known_for);
        let mut connection = self.connection.line();
        let asking = async move {
            tokio::time::timeout(TICKET_TIMEOUT, set.query_async::<Option<String>>(&mut connection)).await
        };
        let asked = match self.io.run(asking).await? {
            Ok(answer) => answer.map(|answer| answer.is_some()).map_err(BusError::from),
            Err(_) => Err(BusError::TimedOut),
        };
        if let Err(error) = &asked {
            self.health.note(Some(error));
        }
        asked
    }
}
