//! Resets connections whose work was cancelled before they return to the pool.
//!
//! sqlx puts a connection back into its pool as soon as the server answers on it. That is not enough (sqlx
//! 0.9.0):
//!
//! * If a `begin` is cancelled midway, the server still begins the transaction, and sqlx does not know of
//!   it (transact-rs/sqlx#4393): what others then store on that connection is acknowledged, and lost.
//! * If a connection has fallen silent the answer never arrives, and the pool is one connection short
//!   until the operating system gives it up, after a quarter of an hour.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sea_orm::sqlx::{self, Connection as _, PgConnection};
use tokio::time::error::Elapsed;

/// How long a connection may take to answer when it is returned to the pool.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// Allowance for the age of a connection and the time not being read at the same instant.
const ROUNDING: Duration = Duration::from_secs(1);
/// Ends a transaction, without a warning in the server's log if there was none.
const LEAVE_TRANSACTION: &str = "BEGIN; ROLLBACK";

/// When work was last cancelled.
#[derive(Debug)]
pub(super) struct CancelledWork {
    began: Instant,
    /// In ms since `began`; zero if that never happened.
    last: AtomicU64,
}

impl CancelledWork {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Runs work on a connection, for that long at most.
    ///
    /// # Errors
    /// [`Elapsed`]; the work is then cancelled.
    pub(super) async fn within<F: Future + Unpin>(
        &self,
        time: Duration,
        mut work: F,
    ) -> Result<F::Output, Elapsed> {
        let done = tokio::time::timeout(time, &mut work).await;
        if done.is_err() {
            // Before the work is dropped and its connection returns to the pool.
            self.note();
        }
        done
    }

    fn note(&self) {
        self.last.fetch_max(millis(self.began.elapsed() + ROUNDING), Ordering::SeqCst);
    }

    /// Whether the cancelled work may have been on a connection of that age: on any that was opened
    /// before.
    fn may_have_been_on(&self, age: Duration) -> bool {
        let opened = self.began.elapsed().saturating_sub(age);
        millis(opened) < self.last.load(Ordering::SeqCst)
    }

    /// Resets a connection of that age before it returns to the pool.
    ///
    /// Unwinds if it does not answer.
    ///
    /// # Errors
    /// [`sqlx::Error`]; the connection must not return to the pool.
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
            // Given an error, sqlx says goodbye before it closes the connection, and over TLS waits for
            // an answer to that. The task that returns the connection does nothing else: unwinding it
            // closes the socket and frees the connection's place in the pool. The panic hook does not
            // run, so nothing is printed.
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
