//! The feed of changes: which users changed since the last poll, on any node, without missing a late
//! commit.
//!
//! Each change stamps its user's row with its transaction's id. A poll stores the snapshot it was
//! answered from: the ids that were in progress, and the first id that was not assigned yet. The next one
//! selects rows with one of those stamps, and those from that id up to its own end: each change is read
//! once, however long a transaction stays open in this database or another of the same server. Stamps of
//! another server, as after a restore, lie beyond the end and are never read. The feed has a connection
//! of its own, so that no queue of other queries delays it.
//!
//! After a crash PostgreSQL reassigns the ids of transactions of which nothing had reached the disk, such
//! as those that were rolled back. A crash ends all connections, and so does a failover: the first poll
//! on a new one begins [`REASSIGNED_IDS`] ids earlier.
//!
//! Bound: [`MAX_ROWS`] per poll, fewer after one that timed out. Beyond that the feed starts over, as at
//! the first poll.
//!
//! A standby may be behind, so its answer is refused. While the server is read-only each poll opens a new
//! connection: the address may lead to another server by then.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};
use uuid::Uuid;

use super::api_keys::{key_of, usable};
use super::database_clock::NOW;
use super::postgres::connect_alone;
use super::servers::Servers;
use super::{StorageError, Store};
use crate::clock::Moment;
use crate::domain::ids::UserId;
use crate::security::api_key::ApiKey;

/// Transactions that may have begun without anything of them on the disk: that takes 600 ms, three times
/// the usual `wal_writer_delay`, so this is enough for 16,000 a second. While the server is read-only
/// each poll rereads this many.
pub(super) const REASSIGNED_IDS: i64 = 10_000;
/// Most rows of one poll: some 20 to 40 ms of reading. Invalidating everything is cheaper than reading
/// more.
pub const MAX_ROWS: usize = 20_000;
/// Most rows of the poll after one that timed out: reading them may have been what took too long.
const MAX_ROWS_AFTER_TIMEOUT: usize = 5_000;
/// Consecutive polls that may time out before the feed starts over.
const MAX_TIMEOUTS: u32 = 2;
/// Most rows from which one statement clears a stamp of another server.
const STAMPS_CLEARED_AT_ONCE: u64 = 1_000;

/// The first row describes the database, each of the others a user.
static LOOK: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH snapshot AS MATERIALIZED (\
            SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS ends_at) \
        SELECT ends_at, \
            ARRAY(SELECT id::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS id) AS in_progress, \
            pg_is_in_recovery() AS standby, current_setting('transaction_read_only')::boolean AS read_only, \
            ({NOW})::bigint AS time, NULL::uuid AS id, NULL::bigint AS session_version, NULL::bigint AS rotations \
        FROM snapshot \
        UNION ALL \
        SELECT NULL, NULL, NULL, NULL, NULL, changed.id, changed.session_version, changed.rotations \
        FROM snapshot CROSS JOIN LATERAL (\
            SELECT id, session_version, rotations FROM users WHERE change_stamp = ANY($1) \
            UNION ALL \
            SELECT id, session_version, rotations FROM users \
            WHERE change_stamp >= $2 AND change_stamp < snapshot.ends_at \
            LIMIT $3) AS changed"
    )
});

/// Compares with what was read, so that a row which changes meanwhile keeps its new stamp.
const CLEAR_STAMPS: &str = "\
    WITH foreign_stamps AS MATERIALIZED ( \
        SELECT id, change_stamp, session_version FROM users \
        WHERE change_stamp >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint LIMIT $1 \
    ) \
    UPDATE users SET change_stamp = 0 FROM foreign_stamps AS found \
    WHERE users.id = found.id AND users.change_stamp = found.change_stamp \
    AND users.session_version = found.session_version";

/// The versions that a user's sessions have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The user.
    pub user: UserId,
    /// The version that commits are compared with.
    pub version: i64,
    /// The version of what checks depend on: see [`crate::domain::ledger::Ledger::check_version`].
    pub check_version: i64,
}

/// What a poll found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Users and their versions; some may have been reported before.
    pub users: Vec<Change>,
    /// Whether anything else may have changed too: at the first poll, if there was too much to read, and
    /// if transaction ids went backwards, as after a restore.
    pub started_over: bool,
}

/// What a poll found, and how old that is.
#[derive(Clone, Debug)]
pub struct Poll {
    /// When the query was sent: everything that was committed before is known. Opening the connection
    /// came earlier, and may have taken long.
    pub asked: Moment,
    /// What changed.
    pub changes: Changes,
}

/// The snapshot of a poll.
#[derive(Clone, Debug)]
struct Seen {
    /// The first id that was not assigned yet.
    ends_at: i64,
    /// Transactions with lower ids that were in progress.
    in_progress: Vec<i64>,
}

/// The feed, with the snapshot at which the next poll begins. One per node.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Store,
    servers: Arc<Servers>,
    patience: Duration,
    connection: Option<DatabaseConnection>,
    /// The snapshot of the last successful poll; `None` before the first. Not used if the feed starts
    /// over.
    seen: Option<Seen>,
    /// Polls that have timed out since the last successful one.
    timeouts: u32,
}

impl Store {
    /// The feed of changes, if several nodes may serve. A poll takes no longer than `patience`.
    #[must_use]
    pub fn change_feed(&self, patience: Duration) -> Option<ChangeFeed> {
        let servers = self.servers.clone()?;
        Some(ChangeFeed { store: self.clone(), servers, patience, connection: None, seen: None, timeouts: 0 })
    }

    /// Clears stamps that no transaction of this server can have made yet, as in a database that was
    /// restored from another: they would be taken for changes once this server's ids reach them. Returns
    /// how many there were.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn clear_foreign_stamps(&self) -> Result<u64, StorageError> {
        let mut cleared = 0;
        loop {
            let db = self.db.clone();
            let limit = STAMPS_CLEARED_AT_ONCE.cast_signed();
            let update = Statement::from_sql_and_values(DbBackend::Postgres, CLEAR_STAMPS, [limit.into()]);
            let of_round = self.run(async move { db.execute_raw(update).await }).await?.rows_affected();
            if of_round == 0 {
                return Ok(cleared);
            }
            cleared += of_round;
        }
    }
}

impl ChangeFeed {
    /// What changed since the previous poll; the first one reports that anything may have.
    ///
    /// # Errors
    /// [`StorageError`]; the next poll then begins where this one would have, on a new connection.
    pub async fn poll(&mut self) -> Result<Poll, StorageError> {
        let polled = self.try_poll().await;
        if polled.is_err() {
            self.store.look_for_primary();
        }
        polled
    }

    async fn try_poll(&mut self) -> Result<Poll, StorageError> {
        let connection = self.connection.take();
        let (server, patience, pooling) = (self.servers.current().clone(), self.patience, self.store.pooling);
        let seen = self.seen.clone().filter(|_| self.timeouts < MAX_TIMEOUTS);
        let began = seen.as_ref().map(|seen| seen.ends_at);
        let most = if self.timeouts == 0 { MAX_ROWS } else { MAX_ROWS_AFTER_TIMEOUT };
        let work = async move {
            let looking = async move {
                let is_new = connection.is_none();
                let connection = match connection {
                    Some(connection) => connection,
                    None => connect_alone(&server, "auth-service feed", pooling, patience).await?,
                };
                let statement = statement(seen, is_new, most);
                let asked = Moment::now();
                let rows = connection.query_all_raw(statement).await?;
                Ok::<_, DbErr>((connection, asked, rows))
            };
            tokio::time::timeout(patience, looking).await
        };
        let answer = self.store.io.run(work).await?;
        let answered = Instant::now();
        self.timeouts = if answer.is_err() { self.timeouts + 1 } else { self.timeouts };
        let (connection, asked, rows) = answer.map_err(|_| StorageError::TimedOut)??;
        let mut changes = Changes::default();
        let mut told = None;
        for row in &rows {
            // By index: looking up columns by name takes longer than all the rest.
            match row.try_get_by_index::<Option<Uuid>>(5)? {
                Some(id) => changes.users.push(change(UserId::new(id), row)?),
                None => told = Some(row),
            }
        }
        let told = told.ok_or_else(|| DbErr::Custom("the feed told nothing of the database".to_owned()))?;
        if told.try_get("", "standby")? {
            self.store.drop_idle_connections();
            return Err(StorageError::Standby);
        }
        let ends_at: i64 = told.try_get("", "ends_at")?;
        changes.started_over = began.is_none_or(|began| ends_at < began) || changes.users.len() > most;
        if changes.users.len() > most {
            changes.users.clear();
        }
        let read_only: bool = told.try_get("", "read_only")?;
        self.store.clock.read(answered, told.try_get("", "time")?);
        self.seen = Some(Seen { ends_at, in_progress: told.try_get("", "in_progress")? });
        self.timeouts = 0;
        self.connection = (!read_only).then_some(connection);
        Ok(Poll { asked, changes })
    }
}

impl ChangeFeed {
    /// The API keys that may be used, and when the query was sent: on the feed's own connection, so that
    /// no queue of queries delays it either. `None` while there is no connection.
    ///
    /// # Errors
    /// [`StorageError`]; the next poll then opens another connection.
    pub async fn api_keys(&mut self) -> Result<Option<(Vec<ApiKey>, Moment)>, StorageError> {
        let Some(connection) = self.connection.take() else { return Ok(None) };
        let patience = self.patience;
        let work = async move {
            let asked = Moment::now();
            let rows = tokio::time::timeout(patience, usable().all(&connection)).await;
            rows.map(|rows| rows.map(|rows| (connection, asked, rows)))
        };
        let (connection, asked, rows) =
            self.store.io.run(work).await?.map_err(|_| StorageError::TimedOut)??;
        self.connection = Some(connection);
        Ok(Some((rows.into_iter().map(key_of).collect(), asked)))
    }
}

fn change(user: UserId, row: &QueryResult) -> Result<Change, DbErr> {
    let (version, rotations): (i64, i64) = (row.try_get_by_index(6)?, row.try_get_by_index(7)?);
    Ok(Change { user, version, check_version: version - rotations })
}

/// Selects one row more than `most`, to find out whether there are more.
fn statement(seen: Option<Seen>, is_new_connection: bool, most: usize) -> Statement {
    // The first poll only sets the position: its caller rereads everything that was read before it.
    let Seen { ends_at, in_progress } = seen.unwrap_or(Seen { ends_at: i64::MAX, in_progress: Vec::new() });
    let allowance = if is_new_connection && ends_at < i64::MAX { REASSIGNED_IDS } else { 0 };
    let limit = i64::try_from(most + 1).unwrap_or(i64::MAX);
    let values = [in_progress.into(), (ends_at - allowance).into(), limit.into()];
    Statement::from_sql_and_values(DbBackend::Postgres, LOOK.as_str(), values)
}
