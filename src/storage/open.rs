//! Opens the database: connects, refuses one that cannot be used, and migrates the schema. The embedded
//! one is opened in [`sqlite`].

mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::Store;
use super::cancelled_work::CancelledWork;
use super::database_clock::DatabaseClock;
use super::ledger::{GroupCommit, RotationWriters};
use super::load_estimate::LoadEstimate;
pub use super::open_error::OpenError;
use super::postgres::{self, Pooling};
use super::servers::Servers;
use super::suitability::{insist_on_encoding, is_citus};
use crate::config::{DatabaseConfig, DatabaseLocation};
use crate::domain::address_form::AddressForm;
use crate::io::Io;
use crate::telemetry::metrics::Metrics;

/// Key of the advisory lock under which nodes that start at the same time take turns to migrate.
const MIGRATION_LOCK: i64 = 0x6175_7468_6d69_6772;
/// What to open, and how.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where the database is and how many connections it may get.
    pub database: DatabaseConfig,
    /// The runtime of its sockets.
    pub io: Io,
    /// Counts statements.
    pub metrics: Metrics,
    /// Whether the outbox is published; if not, nothing is written to it.
    pub keeps_events: bool,
    /// Idle timeout of sessions whose row has none, because an older version opened them.
    pub default_idle_timeout: Duration,
    /// How much of a client's address to return, even where more was stored before.
    pub addresses: AddressForm,
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
            let servers = match &options.database.location {
                DatabaseLocation::Sqlite { .. } => None,
                DatabaseLocation::Postgres { url } => Servers::of(url).map(Arc::new),
            };
            let mut pooling = Pooling::BySession;
            let (mut db, connections, file_lock) = match &options.database.location {
                DatabaseLocation::Sqlite { path } => {
                    let lock = sqlite::lock_file(path)?;
                    (sqlite::open(path).await?, sqlite::CONNECTIONS, Some(Arc::new(lock)))
                }
                DatabaseLocation::Postgres { .. } => {
                    let connections = options.database.max_connections;
                    let servers = servers.as_deref().ok_or(OpenError::Address)?;
                    let work = Arc::clone(&cancelled_work);
                    let db;
                    (db, pooling) = postgres::open(servers, connections, work).await?;
                    insist_on_encoding(&db).await?;
                    (db, connections, None)
                }
            };
            let statements = options.metrics.database_statements.clone();
            let counted = statements.clone();
            db.set_metric_callback(move |_| counted.inc());
            let load_estimate = Arc::new(LoadEstimate::new(connections as usize));
            let commits_in_one_statement =
                servers.is_some() && !is_citus(&db).await.map_err(OpenError::Connect)?;
            let group_commit = servers.is_none().then(|| GroupCommit::start(db.clone()));
            let rotation_writers = commits_in_one_statement
                .then(|| RotationWriters::start(db.clone(), Arc::clone(&cancelled_work)));
            Ok(Self {
                db,
                io: options.io,
                load_estimate,
                clock: Arc::new(DatabaseClock::new()),
                cancelled_work,
                commits_in_one_statement,
                group_commit,
                rotation_writers,
                default_idle_timeout: options.default_idle_timeout,
                addresses: options.addresses,
                keeps_events: options.keeps_events,
                servers,
                pooling,
                statements,
                _file_lock: file_lock,
            })
        })
        .await?
    }

    /// Applies pending migrations, while no other node does. Returns how many there were.
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
            // Waiting for another node's migration may take any time.
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
    /// [`OpenError::Migrate`] when the database cannot be queried.
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
    /// Whether the database has every migration of this version. It may have newer ones: while nodes are
    /// upgraded one by one, the old ones must be able to restart.
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
