//! Resets connections whose work was cancelled before they return to the pool.
//!
//! sqlx puts a connection back into its pool as soon as the server answers on it. That is not enough (sqlx
//! 0.9.0):
//!
//! * Where a `begin` was given up in its midst, the server begins all the same, and sqlx does not know of it
//!   (transact-rs/sqlx#4393): what others store on that connection is acknowledged, and lost.
//! * Where a line has fallen silent the answer never comes, and the pool has a place less until the system
//!   gives the line up, after a quarter of an hour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection as _, PgConnection};

/// How long a connection may take to answer when it is given back.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// The age of a connection and the moment are not read at the same time.
const ROUNDING: Duration = Duration::from_secs(1);
/// Leaves a connection in no transaction, and is no complaint in the server's log where it was in none.
const LEAVE_TRANSACTION: &str = "BEGIN; ROLLBACK";

/// When work was given up last.
#[derive(Debug)]
pub(super) struct CancelledWork {
    began: Instant,
    /// In ms since `began`; zero where that never happened.
    last: AtomicU64,
}

impl CancelledWork {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Work is given up now. Its connection is given back after this.
    pub(super) fn note(&self) {
        self.last.fetch_max(millis(self.began.elapsed() + ROUNDING), Ordering::SeqCst);
    }

    /// Whether it may have been on this connection: on any that is older than that.
    fn may_have_been_on(&self, age: Duration) -> bool {
        let opened = self.began.elapsed().saturating_sub(age);
        millis(opened) < self.last.load(Ordering::SeqCst)
    }

    /// Makes sure that a connection of that age is as new, before it goes back to the pool.
    ///
    /// Unwinds where it does not answer.
    ///
    /// # Errors
    /// [`sqlx::Error`]: it must not go back.
    pub(super) async fn clear(
        &self,
        connection: &mut PgConnection,
        age: Duration,
    ) -> Result<(), sqlx::Error> {
        let asking = async {
            if self.may_have_been_on(age) {
                sqlx::raw_sql(LEAVE_TRANSACTION).execute(&mut *connection).await.map(drop)
            } else {
                connection.ping().await
            }
        };
        let Ok(answered) = tokio::time::timeout(ANSWERED_WITHIN, asking).await else {
            tracing::warn!("database.connection_silent");
            // Handed an error, sqlx says goodbye before it closes the connection, and over TLS waits for an
            // answer to that. The task that gives the connection back is of no other use: as it unwinds the
            // socket is closed, and the pool has its place again. It is no panic, so nothing is printed.
            std::panic::resume_unwind(Box::new("a connection that does not answer"));
        };
        answered
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn it_may_have_been_on_any_connection_that_was_there() {
        let cancelled_work =
            CancelledWork { began: Instant::now().checked_sub(HOUR).unwrap(), last: AtomicU64::new(0) };
        assert!(!cancelled_work.may_have_been_on(HOUR), "nothing was given up");
        cancelled_work.note();
        assert!(cancelled_work.may_have_been_on(HOUR) && cancelled_work.may_have_been_on(Duration::ZERO));
        let cancelled_work = CancelledWork { last: AtomicU64::new(millis(HOUR / 2)), ..cancelled_work };
        assert!(!cancelled_work.may_have_been_on(HOUR / 3), "it was opened later");
        assert!(cancelled_work.may_have_been_on(HOUR * 2 / 3));
    }
}
