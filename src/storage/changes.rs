//! The feed of changes: which users changed since the last look, on any node, without missing a commit that came late.
//!
//! Each change stamps its user's row with its transaction's id. A look asks for every row stamped at or after the
//! oldest transaction that was still running at the look before: whatever commits later has such a stamp. Seeing a
//! row twice is harmless. The feed has a connection of its own, so that no queue of other queries delays it.
//!
//! After a crash PostgreSQL hands out again the ids of transactions of which nothing had reached the disk, such as those
//! that were rolled back. A crash ends all connections, and so does a failover: the first look on a new one begins
//! [`HANDED_OUT_AGAIN`] earlier.
//!
//! A standby may be behind, so it is not believed. Where nothing can be written each look has a new connection: the
//! address may lead to another server by then.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use uuid::Uuid;

use super::database_clock::NOW;
use super::{StorageError, Store};
use crate::domain::ids::UserId;

/// Transactions that may have begun without anything of them on the disk: that takes 600 ms, three times the usual
/// `wal_writer_delay`, so this is enough for 16,000 a second. Where nothing can be written each look reads as many again.
const HANDED_OUT_AGAIN: i64 = 10_000;

static LOOK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH look AS MATERIALIZED (\
            SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, \
            pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::boolean AS read_only, \
            ({NOW})::bigint AS time) \
        SELECT look.*, users.id, users.session_version \
        FROM look LEFT JOIN users ON users.change_stamp >= $1"
    )
});

/// What a look found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Users and their versions; some may have been told before.
    pub users: Vec<(UserId, i64)>,
    /// Whether transaction ids went backwards, as after a restore: then anything may have changed.
    pub started_over: bool,
}

/// What a look found, and how old that is.
#[derive(Clone, Debug)]
pub struct Poll {
    /// When the database was asked: everything that was committed before is known. Opening the connection is not
    /// counted, and may have taken long.
    pub asked: Instant,
    /// What changed.
    pub changes: Changes,
}

/// Where the next look begins. One a node.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Store,
    url: String,
    patience: Duration,
    connection: Option<DatabaseConnection>,
    /// The oldest transaction that was running at the last good look.
    oldest: Option<i64>,
}

impl Store {
    /// The feed of changes, where several nodes may serve. A look takes no longer than `patience`.
    #[must_use]
    pub fn change_feed(&self, patience: Duration) -> Option<ChangeFeed> {
        let url = self.shared_url.clone()?;
        Some(ChangeFeed {
            store: self.clone(),
            url: url.expose().to_owned(),
            patience,
            connection: None,
            oldest: None,
        })
    }
}

impl ChangeFeed {
    /// What changed since the look before; nothing at the first.
    ///
    /// # Errors
    /// [`StorageError`]; the next look then begins where this one would have, on a new connection.
    pub async fn poll(&mut self) -> Result<Poll, StorageError> {
        let connection = self.connection.take();
        let (url, patience, since) = (self.url.clone(), self.patience, self.oldest);
        let work = async move {
            let looking = async move {
                // The first look only begins: whoever looks reads again what was read before it.
                let since = since.unwrap_or(i64::MAX);
                let (connection, since) = match connection {
                    Some(connection) => (connection, since),
                    None => (connect(&url, patience).await?, since.saturating_sub(HANDED_OUT_AGAIN)),
                };
                let statement =
                    Statement::from_sql_and_values(DbBackend::Postgres, LOOK.as_str(), [since.into()]);
                let asked = Instant::now();
                let rows = connection.query_all_raw(statement).await?;
                Ok::<_, DbErr>((connection, asked, rows))
            };
            tokio::time::timeout(patience, looking).await
        };
        let (connection, asked, rows) =
            self.store.io.run(work).await?.map_err(|_| StorageError::TimedOut)??;
        let answered = Instant::now();
        let mut changes = Changes::default();
        let (mut oldest, mut read_only, mut time) = (None, false, None);
        for row in &rows {
            if row.try_get("", "standby")? {
                self.store.drop_idle_connections();
                return Err(StorageError::Standby);
            }
            read_only = row.try_get("", "read_only")?;
            oldest = Some(row.try_get::<i64>("", "oldest")?);
            time = Some(row.try_get("", "time")?);
            if let (Some(id), Some(version)) =
                (row.try_get::<Option<Uuid>>("", "id")?, row.try_get::<Option<i64>>("", "session_version")?)
            {
                changes.users.push((UserId::new(id), version));
            }
        }
        changes.started_over = oldest < self.oldest;
        self.oldest = oldest;
        if let Some(time) = time {
            self.store.clock.read(answered, time);
        }
        self.connection = (!read_only).then_some(connection);
        Ok(Poll { asked, changes })
    }
}

async fn connect(url: &str, patience: Duration) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(1)
        .acquire_timeout(patience)
        .connect_timeout(patience)
        .statement_timeout(patience)
        .map_sqlx_postgres_opts(|options| options.application_name("auth-service feed"))
        .sqlx_logging(false)
        .test_before_acquire(false);
    Database::connect(options).await
}
