//! Users, sessions and the outbox in a database, on SeaORM: one code for PostgreSQL and SQLite. No rule lives
//! here.
//!
//! In reading order: [`open`] connects and migrates (`postgres` knows of poolers), [`users`], [`accounts`],
//! [`pages`] and [`stats`] (for operators), [`ledger`] (load, and compare-and-set commit), [`activity`]
//! (batched times), [`changes`] (the feed), [`outbox`], [`overdue`] (for the sweeper), [`tickets`],
//! [`api_keys`], [`factors`], [`totp`], `recovery_codes` and [`passkeys`], [`legacy`] (an application that is
//! moved from); `rows` maps rows to values. `load_estimate`, `cancelled_work`, `primary` and `database_clock`
//! keep a database that is busy, frozen, cut off or replaced from doing harm. "Not found" is `Ok(None)`; it
//! becomes an error only at the edge.

mod account_columns;
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
pub mod sightings;
pub mod stats;
pub mod suitability;
pub mod tickets;
pub mod totp;
pub mod unset_passwords;
pub mod users;

use sea_orm::sea_query::{Expr, SimpleExpr};
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExprTrait, RuntimeErr, SqlErr};

use cancelled_work::CancelledWork;
use database_clock::DatabaseClock;
use load_estimate::LoadEstimate;
pub use open::{OpenError, StoreOptions};
pub use postgres::PoolerError;
use postgres::Pooling;
use servers::Servers;

use crate::domain::address_form::AddressForm;
use crate::io::{Io, IoGone};

/// How long the database may take for one piece of work, waiting for a connection included.
const TIMEOUT: Duration = Duration::from_secs(6);
/// What a request may be expected to wait for the database.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// PostgreSQL's error code for a write that it refuses because it is a standby or set to read-only.
const READ_ONLY: &str = "25006";

/// The database could not do it. Nothing is known about whether it was done.
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
    /// The database follows another, and may be behind it.
    #[error("the database is a standby")]
    Standby,
    /// The service is shutting down.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

impl StorageError {
    /// Whether the row is there already, or its address is another row's.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }

    /// Whether the connection leads to a standby, or the database refused to write.
    fn is_read_only(&self) -> bool {
        if matches!(self, Self::Standby) {
            return true;
        }
        let Self::Database(
            DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause))
            | DbErr::Conn(RuntimeErr::SqlxError(cause)),
        ) = self
        else {
            return false;
        };
        cause.as_database_error().and_then(|error| error.code()).as_deref() == Some(READ_ONLY)
    }
}

impl StorageError {
    /// Whether there was no connection to be had, or no answer on it.
    fn is_of_connection(&self) -> bool {
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
    /// Of sessions whose row says nothing of it, because an older version opened them.
    default_idle_timeout: Duration,
    /// How much of a client's address to return.
    addresses: AddressForm,
    /// Whether changes leave their events in the outbox.
    keeps_events: bool,
    /// The servers of the address, where several nodes may serve on the database.
    servers: Option<Arc<Servers>>,
    /// What is in front of the server.
    pooling: Pooling,
    /// Counts statements of connections that are not the pool's.
    statements: prometheus::IntCounter,
    /// Held for as long as the store lives, so that no second process opens the same SQLite file.
    _file_lock: Option<Arc<std::fs::File>>,
}

impl Store {
    /// Does work on the runtime for sockets, but not for ever: a line that was cut in silence never answers.
    async fn run<F, T, E>(&self, work: F) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
        StorageError: From<E>,
    {
        let (in_hand, cancelled_work) = (self.load_estimate.begin(), Arc::clone(&self.cancelled_work));
        // Boxed, because it may be large and would be copied from future to future.
        let mut work = Box::pin(tokio::time::timeout(TIMEOUT, work));
        // It goes on where the asker has gone away.
        let work = async move {
            let done = work.as_mut().await;
            match &done {
                Ok(Ok(_)) => in_hand.succeeded(),
                Ok(Err(_)) => {}
                // Before the work is dropped, and its connection given back.
                Err(_) => cancelled_work.note(),
            }
            done
        };
        let done = self.io.run(work).await?.map_err(|_| StorageError::TimedOut)?.map_err(StorageError::from);
        if done.as_ref().is_err_and(StorageError::is_read_only) {
            self.drop_idle_connections();
        }
        if done.as_ref().is_err_and(|error| error.is_read_only() || error.is_of_connection()) {
            self.look_for_primary();
        }
        done
    }

    /// Has the pool open new connections. What made one read-only often stays with it for its life: a setting
    /// of the database, or a server that is no longer the one its address leads to.
    fn drop_idle_connections(&self) {
        if self.is_postgres() {
            let pool = self.db.get_postgres_connection_pool().clone();
            self.io.detach(async move {
                while let Some(connection) = pool.try_acquire() {
                    // It is gone either way, and so it is where it does not answer.
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

    /// Whether the database has done something for this node within that time.
    #[must_use]
    pub fn succeeded_within(&self, time: Duration) -> bool {
        self.load_estimate.succeeded_within(time)
    }

    /// Asks the database for nothing, to see whether it answers.
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
        // The process is about to end: there is nobody left to tell.
        let _ = self.io.run(async move { db.close_by_ref().await }).await;
    }

    /// What a change of a user stamps its row with, so that the feed of changes misses no late commit.
    fn change_stamp(&self) -> SimpleExpr {
        if self.is_postgres() { Expr::cust("pg_current_xact_id()::text::bigint") } else { Expr::val(0i64) }
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
