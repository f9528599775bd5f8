//! Tickets that were used, on Redis: `SET … NX`, to which only the first gets a yes.

use uuid::Uuid;

use super::{COUNTER_PATIENCE, RedisBus};
use crate::bus::BusError;
use crate::security::ticket::GOOD_FOR;

/// Kept so many times as long as the ticket is good: clocks of two nodes differ.
const MARGIN: u64 = 2;

impl RedisBus {
    pub(in crate::bus) async fn spend_ticket(&self, ticket: Uuid) -> Result<bool, BusError> {
        let mut set = redis::cmd("SET");
        set.arg(format!("auth:ticket:{ticket}")).arg("").arg("NX").arg("EX").arg(MARGIN * GOOD_FOR.as_secs());
        let mut connection = self.connection.manager();
        let asking = async move {
            let asked = set.query_async::<Option<String>>(&mut connection);
            tokio::time::timeout(COUNTER_PATIENCE * 2, asked).await
        };
        match self.io.run(asking).await? {
            Ok(answer) => Ok(answer?.is_some()),
            Err(_) => Err(BusError::TimedOut),
        }
    }
}
