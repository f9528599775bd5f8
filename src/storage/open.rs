//! Opening the database: connect, refuse what cannot be used, bring the schema up to date.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::sqlite::{
    SqliteConnection, SqliteJournalMode, SqliteSynchronous, SqliteTransactionManager,
};
use sea_orm::sqlx::{self, Connection as _};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, TransactionTrait};
use sqlx_core::transaction::TransactionManager as _;

use super::Store;
use super::cancelled_work::CancelledWork;
use super::database_clock::DatabaseClock;
use super::load_estimate::LoadEstimate;
use crate::config::{DatabaseConfig, DatabaseLocation};
use crate::io::{Io, IoGone};
use crate::telemetry::metrics::Metrics;

/// Key of the advisory lock under which nodes that start at once take turns to migrate.
const MIGRATION_LOCK: i64 = 0x6175_7468_6d69_6772;
/// How long a caller waits for a free connection before it is told that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may take; longer means that the server hangs.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a transaction may stand still between two statements: a frozen node must not hold its locks for ever.
pub const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// How long SQLite waits for another connection's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One connection writes at a time anyway; a few more keep reads from waiting behind it.
const SQLITE_CONNECTIONS: u32 = 4;

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where the database is and how many connections it may get.
    pub database: DatabaseConfig,
    /// Where its sockets live.
    pub io: Io,
    /// Counts statements.
    pub metrics: Metrics,
    /// Of sessions whose row says nothing of it, because an older version opened them.
    pub default_idle_timeout: Duration,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or file is not accessible.
    #[error("cannot open the database file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the file.
    #[error(
        "the database file {path} is in use by another process; an embedded database serves one process only: stop that one first"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and is no database, or a broken one.
    #[error("the database file {path} is damaged or no SQLite database; it was left as it is: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// The server cannot be reached, or refuses.
    #[error("cannot connect to the database at {address}: {cause}")]
    Unreachable {
        /// Its host and port.
        address: String,
        /// What it said, or the system.
        cause: String,
    },
    /// The server takes connections and answers nothing of use.
    #[error("cannot connect to the database: {0}")]
    Connect(DbErr),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(DbErr),
    /// The runtime for sockets has ended.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

impl Store {
    /// Connects, and checks that the database answers. Does not migrate.
    ///
    /// # Errors
    /// [`OpenError`], in words an operator can act on.
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let io = options.io.clone();
        io.run(async move {
            let cancelled_work = Arc::new(CancelledWork::new());
            let (mut db, connections, file_lock) = match &options.database.location {
                DatabaseLocation::Sqlite { path } => {
                    let lock = lock_file(path)?;
                    (open_sqlite(path).await?, SQLITE_CONNECTIONS, Some(Arc::new(lock)))
                }
                DatabaseLocation::Postgres { url } => {
                    let connections = options.database.max_connections;
                    let db = open_postgres(url.expose(), connections, Arc::clone(&cancelled_work)).await?;
                    (db, connections, None)
                }
            };
            let statements = options.metrics.database_statements.clone();
            db.set_metric_callback(move |_| statements.inc());
            let shared_url = match options.database.location {
                DatabaseLocation::Sqlite { .. } => None,
                DatabaseLocation::Postgres { url } => Some(url),
            };
            let load_estimate = Arc::new(LoadEstimate::new(connections as usize));
            let commits_in_one_statement =
                shared_url.is_some() && !is_citus(&db).await.map_err(OpenError::Connect)?;
            Ok(Self {
                db,
                io: options.io,
                load_estimate,
                clock: Arc::new(DatabaseClock::new()),
                cancelled_work,
                commits_in_one_statement,
                default_idle_timeout: options.default_idle_timeout,
                shared_url,
                _file_lock: file_lock,
            })
        })
        .await?
    }

    /// Applies the migrations that are missing, while no other node does. Returns how many there were.
    ///
    /// # Errors
    /// [`OpenError::Migrate`]; then nothing was changed (PostgreSQL), or all up to the failing one (SQLite).
    pub async fn migrate(&self) -> Result<usize, OpenError> {
        if self.has_whole_schema().await? {
            return Ok(0);
        }
        let db = self.db.clone();
        let is_postgres = self.is_postgres();
        let work = async move {
            if !is_postgres {
                let pending = Migrator::get_pending_migrations(&db).await?.len();
                return Migrator::up(&db, None).await.map(|()| pending);
            }
            let transaction = db.begin().await?;
            // Waiting for a node that migrates takes as long as it takes.
            transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
            transaction
                .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))
                .await?;
            let pending = Migrator::get_pending_migrations(&transaction).await?.len();
            Migrator::up(&transaction, None).await?;
            transaction.commit().await.map(|()| pending)
        };
        self.io.run(work).await?.map_err(OpenError::Migrate)
    }

    /// Reverts the latest migrations.
    ///
    /// # Errors
    /// [`OpenError::Migrate`].
    pub async fn migrate_down(&self, steps: u32) -> Result<(), OpenError> {
        let db = self.db.clone();
        self.io.run(async move { Migrator::down(&db, Some(steps)).await }).await?.map_err(OpenError::Migrate)
    }

    /// How many migrations this version knows that the database does not have.
    ///
    /// # Errors
    /// [`OpenError::Migrate`] when it cannot be asked.
    pub async fn pending_migrations(&self) -> Result<usize, OpenError> {
        if self.has_whole_schema().await? {
            return Ok(0);
        }
        let db = self.db.clone();
        let pending = self.io.run(async move { Migrator::get_pending_migrations(&db).await }).await?;
        pending.map(|list| list.len()).map_err(OpenError::Migrate)
    }
}

impl Store {
    /// Whether the database has every migration of this version. It may have newer ones: while nodes are upgraded one by
    /// one, the old ones must be able to start again.
    async fn has_whole_schema(&self) -> Result<bool, OpenError> {
        let db = self.db.clone();
        let statement = sea_orm::Statement::from_string(
            db.get_database_backend(),
            "SELECT version FROM seaql_migrations",
        );
        // Before the first migration there is no such table.
        let rows = self.io.run(async move { db.query_all_raw(statement).await }).await?.unwrap_or_default();
        let applied: Vec<String> = rows.iter().filter_map(|row| row.try_get_by_index(0).ok()).collect();
        let known: Vec<_> = Migrator::migrations().iter().map(|it| it.name().to_owned()).collect();
        let newer = applied.iter().filter(|name| !known.contains(name)).count();
        let is_whole = known.iter().all(|name| applied.contains(name));
        if is_whole && newer > 0 {
            tracing::warn!(newer, "database.schema_is_newer");
        }
        Ok(is_whole)
    }
}

/// Holds `<file>.lock`; the system lets go of it when the process ends, however it ends.
fn lock_file(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_folder(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = open_private(Path::new(&name)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// For its owner alone: it holds password hashes. A folder that is there already is left as it is.
fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Made for its owner alone if it is not there; SQLite gives its other files the permissions of the first.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    // Opening for append tells a missing permission in plain words, which SQLite does not.
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

async fn open_sqlite(path: &Path) -> Result<DatabaseConnection, OpenError> {
    open_private(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    let file = path.to_owned();
    options
        .max_connections(SQLITE_CONNECTIONS)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .test_before_acquire(false)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move { forget_transaction(connection).await.map(|()| true) })
            })
        })
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&file)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
        });
    let damaged = |source| OpenError::Damaged { path: path.to_owned(), source };
    let db = Database::connect(options).await.map_err(damaged)?;
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let verdict = db.query_one_raw(statement).await.map_err(damaged)?;
    let verdict: String = match verdict {
        Some(row) => row.try_get_by_index(0).map_err(damaged)?,
        None => String::new(),
    };
    if verdict == "ok" { Ok(db) } else { Err(damaged(DbErr::Custom(verdict))) }
}

/// SQLite itself gives up the transaction that meets a full disk, which sqlx does not notice: the connection would
/// refuse to begin another for the rest of its life. It is not closed: to open one needs room on the disk.
async fn forget_transaction(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if connection.is_in_transaction() {
        // Lets a rollback happen that is under way already.
        connection.ping().await?;
    }
    if connection.is_in_transaction() {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        SqliteTransactionManager::rollback(connection).await?;
    }
    Ok(())
}

async fn open_postgres(
    url: &str,
    max_connections: u32,
    cancelled_work: Arc<CancelledWork>,
) -> Result<DatabaseConnection, OpenError> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(max_connections)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_timeout(ACQUIRE_TIMEOUT)
        .statement_timeout(STATEMENT_TIMEOUT)
        .map_sqlx_postgres_pool_opts(move |pool| {
            let cancelled_work = Arc::clone(&cancelled_work);
            pool.after_release(move |connection, about| {
                let cancelled_work = Arc::clone(&cancelled_work);
                Box::pin(async move { cancelled_work.clear(connection, about.age).await.map(|()| true) })
            })
        })
        .map_sqlx_postgres_opts(|options| {
            let idle = IDLE_IN_TRANSACTION.as_millis().to_string();
            options.application_name("auth-service").options([("idle_in_transaction_session_timeout", idle)])
        })
        .sqlx_logging(false)
        // A ping before each use would double the cost of short statements.
        .test_before_acquire(false);
    match Database::connect(options).await {
        Ok(db) => Ok(db),
        Err(error) => Err(why_unreachable(url, error).await),
    }
}

/// The pool says no more than that it has waited in vain: one connection of its own tells why.
async fn why_unreachable(url: &str, error: DbErr) -> OpenError {
    let Ok(options) = url.parse::<PgConnectOptions>() else { return OpenError::Connect(error) };
    let address = format!("{}:{}", options.get_host(), options.get_port());
    let cause = match tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => format!("no answer within {ACQUIRE_TIMEOUT:?}"),
        Ok(Ok(_)) => error.to_string(),
    };
    OpenError::Unreachable { address, cause }
}

/// Citus spreads tables over servers, and does not send a statement that writes to several tables to the one that holds the
/// user (citusdata/citus#3948).
async fn is_citus(db: &DatabaseConnection) -> Result<bool, DbErr> {
    let statement = sea_orm::Statement::from_string(
        db.get_database_backend(),
        "SELECT 1 FROM pg_extension WHERE extname = 'citus'",
    );
    Ok(db.query_one_raw(statement).await?.is_some())
}
