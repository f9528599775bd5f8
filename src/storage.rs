//! Users, sessions and the outbox in a database, through SeaORM: the same code for PostgreSQL and SQLite.
//! It contains no rules.
//!
//! In reading order: [`open`] connects and migrates (`postgres` detects poolers), [`users`],
//! [`accounts`], [`pages`] and [`stats`] (for operators), [`ledger`] (load, and compare-and-set commit),
//! [`activity`] (batched activity times), [`changes`] (the feed), [`outbox`], [`overdue`] (for the
//! sweeper), [`tickets`], [`api_keys`], [`factors`], [`totp`], `recovery_codes` and [`passkeys`],
//! [`legacy`] (reads the database of an application that is being migrated from); `rows` maps rows to
//! values. `load_estimate`, `cancelled_work`, `primary` and `database_clock` keep a database that is
//! busy, frozen, cut off or replaced from doing harm. "Not found" is `Ok(None)`; it becomes an error only
//! at the edge.

pub mod accounts;
pub mod activity;
pub mod api_keys;
mod cancelled_work;
pub mod changes;
mod database_clock;
mod deletions;
pub mod export;
mod factor_change;
mod factor_rows;
pub mod factors;
pub mod ledger;
pub mod legacy;
mod load_estimate;
pub mod mail_requests;
pub mod mails;
pub mod open;
mod open_error;
pub mod outbox;
pub mod overdue;
pub mod pages;
pub mod passkeys;
mod postgres;
mod primary;
mod recovery_codes;
pub mod revocations;
mod rows;
pub mod sealed;
mod servers;
pub mod session_pages;
pub mod sightings;
pub mod stats;
pub mod suitability;
pub mod tickets;
pub mod totp;
pub mod unset_passwords;

use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::sqlx::error::DatabaseError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExprTrait, RuntimeErr, SqlErr};

use cancelled_work::CancelledWork;
use database_clock::DatabaseClock;
use ledger::{GroupCommit, RotationWriters};
use load_estimate::LoadEstimate;
pub use open::{OpenError, StoreOptions};
pub use postgres::PoolerError;
use postgres::Pooling;
use servers::Servers;

use crate::domain::address_form::AddressForm;
use crate::io::{Io, IoGone};

/// Timeout for one piece of work on the database, including the wait for a connection.
const TIMEOUT: Duration = Duration::from_secs(6);
/// Longest expected wait for the database; with a longer one the database counts as overloaded.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// What a change writes to its user's row on PostgreSQL, so that the feed of changes misses no late commit.
const CHANGE_STAMP: &str = "pg_current_xact_id()::text::bigint";
/// PostgreSQL's error code for a write that it refuses because it is a standby or set to read-only.
const READ_ONLY: &str = "25006";

/// The database failed. Whether the work was done is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database answered with an error, or not at all.
    #[error("the database query failed")]
    Database(#[from] DbErr),
    /// A row holds what this version of the service cannot read.
    #[error("row of {table} holds an unknown {column}")]
    UnknownValue {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
    },
    /// The database took too long.
    #[error("the database did not answer in time")]
    TimedOut,
    /// The server is a standby, which may be behind the primary.
    #[error("the database is a standby")]
    Standby,
    /// The service is shutting down.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

impl StorageError {
    /// Whether the row already exists, or its address belongs to another row.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }

    /// Whether the connection leads to a standby, or the database refused to write.
    fn is_read_only(&self) -> bool {
        if matches!(self, Self::Standby) {
            return true;
        }
        let Self::Database(error) = self else { return false };
        refusal(error).and_then(|error| error.code()).as_deref() == Some(READ_ONLY)
    }
}

/// What the database itself said, if the error is an answer of it.
fn refusal(error: &DbErr) -> Option<&dyn DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error
    else {
        return None;
    };
    cause.as_database_error()
}

impl StorageError {
    /// Whether no connection could be obtained, or the database did not answer on it.
    fn is_connection_error(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Database(DbErr::Conn(_) | DbErr::ConnectionAcquire(_)))
    }
}

/// A handle on the database; clones share the pool.
#[derive(Clone, Debug)]
pub struct Store {
    db: DatabaseConnection,
    io: Io,
    load_estimate: Arc<LoadEstimate>,
    clock: Arc<DatabaseClock>,
    cancelled_work: Arc<CancelledWork>,
    /// Whether a commit is one statement.
    commits_in_one_statement: bool,
    /// Stores several commits together, on SQLite.
    group_commit: Option<GroupCommit>,
    /// Stores several rotations together, on PostgreSQL if a commit is one statement.
    rotation_writers: Option<RotationWriters>,
    /// Idle timeout of sessions whose row has none, because an older version opened them.
    default_idle_timeout: Duration,
    /// How much of a client's address to return.
    addresses: AddressForm,
    /// Whether changes write their events to the outbox.
    keeps_events: bool,
    /// The servers of the database's URL; `None` on SQLite, where only one node can serve.
    servers: Option<Arc<Servers>>,
    /// How a pooler in front of the server, if any, assigns connections.
    pooling: Pooling,
    /// Counts statements, also those on connections outside the pool.
    statements: prometheus::IntCounter,
    /// Held for as long as the store lives, so that no second process opens the same SQLite file.
    _file_lock: Option<Arc<std::fs::File>>,
}

impl Store {
    /// Runs work on the I/O runtime with a timeout, since a silently dropped connection never answers.
    fn run<'a, F, T, E>(
        &'a self,
        work: F,
    ) -> impl Future<Output = Result<T, StorageError>> + Send + use<'a, F, T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        StorageError: From<E>,
    {
        // Boxed before anything else keeps it: work on the database takes kilobytes, and each future around
        // it would have room for it twice and be copied with it.
        self.run_boxed(Box::pin(work))
    }

    async fn run_boxed<T, E>(
        &self,
        work: Pin<Box<dyn Future<Output = Result<T, E>> + Send>>,
    ) -> Result<T, StorageError>
    where
        T: Send + 'static,
        E: Send + 'static,
        StorageError: From<E>,
    {
        let (in_hand, cancelled_work) = (self.load_estimate.begin(), Arc::clone(&self.cancelled_work));
        // The work continues even if the caller goes away.
        let work = async move {
            let done = cancelled_work.within(TIMEOUT, work).await;
            if matches!(done, Ok(Ok(_))) {
                in_hand.succeeded();
            }
            done
        };
        let done = self.io.run(work).await?.map_err(|_| StorageError::TimedOut)?.map_err(StorageError::from);
        if done.as_ref().is_err_and(StorageError::is_read_only) {
            self.drop_idle_connections();
        }
        if done.as_ref().is_err_and(|error| error.is_read_only() || error.is_connection_error()) {
            self.look_for_primary();
        }
        done
    }

    /// Closes idle connections, so that the pool opens new ones. What made one read-only often lasts as
    /// long as the connection: a setting of the database, or a server that its address no longer leads
    /// to.
    fn drop_idle_connections(&self) {
        if self.is_postgres() {
            let pool = self.db.get_postgres_connection_pool().clone();
            self.io.detach(async move {
                while let Some(connection) = pool.try_acquire() {
                    // The connection is gone either way, even if it does not answer.
                    let _ = tokio::time::timeout(cancelled_work::ANSWERED_WITHIN, connection.close()).await;
                }
            });
        }
    }

    fn is_postgres(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Postgres
    }

    /// Whether several nodes may serve on this database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_postgres()
    }

    /// Whether more work waits for the database than it can do in time: requests that can be repeated should
    /// be refused.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.load_estimate.expected_wait() > MAX_WAIT
    }

    /// Whether any work of this node on the database has succeeded within that time.
    #[must_use]
    pub fn succeeded_within(&self, time: Duration) -> bool {
        self.load_estimate.succeeded_within(time)
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`StorageError`] when it does not.
    pub async fn ping(&self) -> Result<(), StorageError> {
        let db = self.db.clone();
        self.run(async move { db.execute_unprepared("SELECT 1").await.map(drop) }).await
    }

    /// Connections in use and idle, for metrics.
    #[must_use]
    pub fn connections(&self) -> (u32, usize) {
        if self.is_postgres() {
            let pool = self.db.get_postgres_connection_pool();
            (pool.size(), pool.num_idle())
        } else {
            let pool = self.db.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle())
        }
    }

    /// Closes the pool; queries after this fail.
    pub async fn close(&self) {
        let db = self.db.clone();
        // The process is about to end, so there is nobody left to report an error to.
        let _ = self.io.run(async move { db.close_by_ref().await }).await;
    }

    /// The stamp that a change of a user writes to its row.
    fn change_stamp(&self) -> SimpleExpr {
        if self.is_postgres() { Expr::cust(CHANGE_STAMP) } else { Expr::val(0i64) }
    }
}

/// `a` or `b`, whichever is less, in either database.
fn lesser_of(a: impl Into<SimpleExpr>, b: i64) -> SimpleExpr {
    let a = a.into();
    Expr::case(a.clone().gt(b), b).finally(a).into()
}

/// `a` or `b`, whichever is greater, in either database.
fn greater_of(a: impl Into<SimpleExpr>, b: i64) -> SimpleExpr {
    let a = a.into();
    Expr::case(a.clone().lt(b), b).finally(a).into()
}
