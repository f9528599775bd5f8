//! Connections to PostgreSQL: what each is opened with, and which poolers in front of the server are
//! refused at startup.
//!
//! Timeouts are set by a statement after connecting, because poolers refuse or drop startup parameters.
//! If a pooler gives each transaction another server connection (transaction pooling), a setting would be
//! lost, or reach another client's transaction. Then the role must have the timeouts, and the pooler must
//! track prepared statements.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sea_orm::sqlx::{self, Connection as _, Row as _};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

use super::OpenError;
use super::cancelled_work::CancelledWork;
use super::servers::Servers;
use crate::config::PostgresServer;

/// How long a caller waits for a free connection before the database counts as unavailable.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may take; longer means that the server hangs.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction may be idle between two statements: a frozen node must not hold its locks
/// forever.
pub(super) const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// How long one step of probing the pooler may take.
const PROBE_STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// How often two connections are compared: a pooler that shares one server connection may now and then
/// use two.
const ROUNDS: usize = 4;

const ARE_TIMEOUTS_SET: &str = "SELECT current_setting('statement_timeout') <> '0' \
    AND current_setting('idle_in_transaction_session_timeout') <> '0'";

/// Why a pooler in front of the database cannot be used; in words for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolerError {
    /// Statements that were prepared on one server connection are found on another.
    #[error(
        "the pooler in front of PostgreSQL gives each transaction another connection and does not track prepared \
         statements: set pool_mode = session, or use PgBouncer 1.21 or newer with max_prepared_statements above 0"
    )]
    PreparedStatements,
    /// Nothing ends a statement that hangs, or the transaction of a frozen node.
    #[error(
        "the pooler in front of PostgreSQL gives each transaction another connection, so the service cannot set its \
         timeouts: set them for the role (ALTER ROLE … SET statement_timeout = '5s'; ALTER ROLE … SET \
         idle_in_transaction_session_timeout = '5s'), or set pool_mode = session"
    )]
    NoTimeouts,
}

/// How a pooler between the service and the server, if any, assigns server connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// Each connection of the service has one server connection for its whole life.
    BySession,
    /// Each transaction may have another server connection; the role has the timeouts.
    ByTransaction,
}

/// Opens a pool, after finding out whether a pooler is in front of the server.
pub(super) async fn open(
    servers: &Servers,
    max_connections: u32,
    cancelled_work: Arc<CancelledWork>,
) -> Result<(DatabaseConnection, Pooling), OpenError> {
    if let Err(cause) = servers.find_primary().await {
        return Err(OpenError::Unreachable { address: servers.addresses(), cause: cause.to_string() });
    }
    let server = servers.current();
    let pooling = probe(server).await?;
    let mut options = options(server, "auth-service", max_connections, ACQUIRE_TIMEOUT);
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let cancelled_work = Arc::clone(&cancelled_work);
        let pool = match pooling {
            Pooling::ByTransaction => pool,
            Pooling::BySession => {
                pool.after_connect(|connection, _| Box::pin(set_timeouts(connection, STATEMENT_TIMEOUT)))
            }
        };
        pool.after_release(move |connection, about| {
            let cancelled_work = Arc::clone(&cancelled_work);
            Box::pin(async move { cancelled_work.clear(connection, about.age).await.map(|()| true) })
        })
    });
    match Database::connect(options).await {
        Ok(db) => Ok((db, pooling)),
        Err(error) => Err(why_unreachable(server, error).await),
    }
}

/// A connection for one purpose, outside the pool.
///
/// # Errors
/// [`DbErr`].
pub(super) async fn connect_alone(
    server: &PostgresServer,
    purpose: &'static str,
    pooling: Pooling,
    timeout: Duration,
) -> Result<DatabaseConnection, DbErr> {
    let mut options = options(server, purpose, 1, timeout);
    if pooling == Pooling::BySession {
        options.map_sqlx_postgres_pool_opts(move |pool| {
            pool.after_connect(move |connection, _| Box::pin(set_timeouts(connection, timeout)))
        });
    }
    Database::connect(options).await
}

fn options(
    server: &PostgresServer,
    name: &'static str,
    max_connections: u32,
    timeout: Duration,
) -> ConnectOptions {
    let mut options = ConnectOptions::new(server.url.expose());
    let server = server.clone();
    options
        .max_connections(max_connections)
        .min_connections(1)
        .acquire_timeout(timeout)
        .connect_timeout(timeout)
        .map_sqlx_postgres_opts(move |options| server.at(options).application_name(name))
        .sqlx_logging(false)
        // A ping before each use would double the cost of short statements.
        .test_before_acquire(false);
    options
}

/// Sets both timeouts and checks that they are in effect, in one round trip.
async fn set_timeouts(connection: &mut PgConnection, statement: Duration) -> Result<(), sqlx::Error> {
    let (statement, idle) = (statement.as_millis(), IDLE_IN_TRANSACTION.as_millis());
    let set = format!(
        "SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = {idle}; {ARE_TIMEOUTS_SET}"
    );
    match has_timeouts(&sqlx::raw_sql(sqlx::AssertSqlSafe(set)).fetch_one(connection).await?)? {
        true => Ok(()),
        false => Err(sqlx::Error::Configuration(Box::new(PoolerError::NoTimeouts))),
    }
}

fn has_timeouts(row: &PgRow) -> Result<bool, sqlx::Error> {
    row.try_get(0)
}

/// Finds out with two connections whether each has a server connection of its own.
async fn probe(server: &PostgresServer) -> Result<Pooling, OpenError> {
    let parsed = server.url.expose().parse::<PgConnectOptions>().map_err(|error| asked(&error))?;
    let options = server.at(parsed).application_name("auth-service");
    let connecting = PgConnection::connect_with(&options);
    let mut first = match tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        // The pool tries a little longer, in case the server has just started; then the cause is
        // reported.
        Ok(Err(_)) | Err(_) => return Ok(Pooling::BySession),
    };
    let connecting = PgConnection::connect_with(&options);
    let Ok(Ok(mut second)) = tokio::time::timeout(PROBE_STEP_TIMEOUT, connecting).await else {
        // The limit of connections is reached: a pooler that shares them would have given a second one.
        let _ = first.close().await;
        return Ok(Pooling::BySession);
    };
    let found = look(&mut first, &mut second).await;
    let _ =
        tokio::time::timeout(PROBE_STEP_TIMEOUT, async { (first.close().await, second.close().await) }).await;
    found
}

async fn look(first: &mut PgConnection, second: &mut PgConnection) -> Result<Pooling, OpenError> {
    let mut is_shared = false;
    for _ in 0..ROUNDS {
        is_shared |= share_a_backend(first, second).await.map_err(|error| asked(&error))?;
    }
    if !is_shared {
        return Ok(Pooling::BySession);
    }
    let timeouts =
        sqlx::raw_sql(ARE_TIMEOUTS_SET).fetch_one(&mut *first).await.map_err(|error| asked(&error))?;
    if !prepares_everywhere(first, second).await {
        return Err(OpenError::Pooler(PoolerError::PreparedStatements));
    }
    if !has_timeouts(&timeouts).map_err(|error| asked(&error))? {
        return Err(OpenError::Pooler(PoolerError::NoTimeouts));
    }
    Ok(Pooling::ByTransaction)
}

fn asked(error: &sqlx::Error) -> OpenError {
    OpenError::Connect(DbErr::Custom(error.to_string()))
}

/// Whether one of two connections is served by the other's backend, or by a different one than before.
async fn share_a_backend(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let before = backend(first).await?;
    sqlx::raw_sql("BEGIN").execute(&mut *second).await?;
    let between = backend(second).await?;
    // A pooler with one server connection has none left for this, so it is shared too.
    let after = tokio::time::timeout(PROBE_STEP_TIMEOUT, backend(first)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut *second).await?;
    Ok(match after {
        Ok(after) => before == between || before != after?,
        Err(_) => true,
    })
}

async fn backend(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await?.try_get(0)
}

/// Whether both can prepare and reuse statements, which sqlx gives the same names on every connection.
async fn prepares_everywhere(first: &mut PgConnection, second: &mut PgConnection) -> bool {
    for _ in 0..ROUNDS {
        for sql in ["SELECT 1", "SELECT 2"] {
            for connection in [&mut *first, &mut *second] {
                if sqlx::query(sql).execute(connection).await.is_err() {
                    return false;
                }
            }
        }
    }
    true
}

/// The pool reports only that it has waited in vain; a separate connection finds the cause.
async fn why_unreachable(server: &PostgresServer, error: DbErr) -> OpenError {
    let Ok(options) = server.url.expose().parse::<PgConnectOptions>() else {
        return OpenError::Connect(error);
    };
    let address = format!("{}:{}", server.host, server.port);
    let connecting = async {
        let mut connection = PgConnection::connect_with(&server.at(options)).await?;
        set_timeouts(&mut connection, STATEMENT_TIMEOUT).await
    };
    let cause = match tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await {
        Ok(Err(sqlx::Error::Configuration(cause))) if cause.is::<PoolerError>() => {
            return OpenError::Pooler(PoolerError::NoTimeouts);
        }
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => format!("no answer within {ACQUIRE_TIMEOUT:?}"),
        Ok(Ok(())) => error.to_string(),
    };
    OpenError::Unreachable { address, cause }
}
