//! Activity reaches the database in batches; a time only ever moves forward, and only on live sessions.
//!
//! On PostgreSQL a batch has a connection of its own, so that no queue of other statements delays it, and
//! it waits for no row lock: a locked row is skipped, and only that one is late.

use std::sync::Arc;
use std::time::Duration;

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, Statement,
    TransactionTrait,
};
use uuid::Uuid;

use super::postgres::connect_alone;
use super::servers::Servers;
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// Most rows of one statement.
pub const MAX_BATCH: usize = 5_000;
/// How long a batch may take, including a new connection. A connection that is silent for longer is given
/// up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// It waits for no lock, so two nodes with the same sessions in their batches never wait for each other.
const UPDATE_FROM_ARRAYS: &str = "\
    WITH held AS ( \
        SELECT sessions.user_id, sessions.id, seen.at \
        FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS seen (user_id, id, at) \
        JOIN sessions ON sessions.user_id = seen.user_id AND sessions.id = seen.id \
        WHERE sessions.ended_at IS NULL AND sessions.last_activity < seen.at \
        ORDER BY sessions.user_id, sessions.id FOR NO KEY UPDATE OF sessions SKIP LOCKED \
    ) \
    UPDATE sessions SET last_activity = held.at FROM held \
    WHERE sessions.user_id = held.user_id AND sessions.id = held.id \
    AND sessions.ended_at IS NULL AND sessions.last_activity < held.at";

/// The rows of a batch whose activity, or a later one, is not stored.
const UNWRITTEN: &str = "\
    SELECT seen.id, sessions.id IS NULL OR sessions.ended_at IS NOT NULL AS is_over \
    FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS seen (user_id, id, at) \
    LEFT JOIN sessions ON sessions.user_id = seen.user_id AND sessions.id = seen.id \
    WHERE sessions.id IS NULL OR sessions.ended_at IS NOT NULL OR sessions.last_activity < seen.at";

/// A session's activity at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenActivity {
    /// The session's owner.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// When it was active.
    pub at: Timestamp,
}

/// Activity of a batch that is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    /// The session.
    pub session: SessionId,
    /// Whether the session is over, so that it never will be stored. Otherwise its row is locked.
    pub is_over: bool,
}

/// Writes activity, on a connection of its own where several nodes may serve. One per node, and one more
/// at shutdown.
#[derive(Debug)]
pub struct ActivityWriter {
    store: Store,
    /// `None` on SQLite.
    servers: Option<Arc<Servers>>,
    connection: Option<DatabaseConnection>,
}

impl Store {
    /// A writer of activity.
    #[must_use]
    pub fn activity_writer(&self) -> ActivityWriter {
        ActivityWriter { store: self.clone(), servers: self.servers.clone(), connection: None }
    }

    /// Writes the batch on a connection of the pool: one statement for each [`MAX_BATCH`] rows on PostgreSQL,
    /// one transaction on SQLite. Returns what is not stored, for PostgreSQL.
    ///
    /// # Errors
    /// [`StorageError`]; writing the batch again is harmless.
    pub async fn store_activity(&self, batch: Vec<SeenActivity>) -> Result<Vec<Unwritten>, StorageError> {
        let db = self.db.clone();
        self.run(async move { write(&db, &batch).await }).await
    }
}

impl ActivityWriter {
    /// Opens the connection and prepares the statement, so that the first batch need not wait for that.
    ///
    /// # Errors
    /// [`StorageError`]; then the first batch does.
    pub async fn warm_up(&mut self) -> Result<(), StorageError> {
        if self.servers.is_some() { self.write(Vec::new()).await.map(drop) } else { Ok(()) }
    }

    /// Writes the batch, and returns what is not stored.
    ///
    /// # Errors
    /// [`StorageError`]; part of the batch may be stored. The next batch opens a new connection.
    pub async fn write(&mut self, batch: Vec<SeenActivity>) -> Result<Vec<Unwritten>, StorageError> {
        let Some(servers) = &self.servers else { return self.store.store_activity(batch).await };
        let (server, pooling) = (servers.current().clone(), self.store.pooling);
        let connection = self.connection.take();
        let statements = self.store.statements.clone();
        let work = async move {
            let writing = async move {
                let connection = match connection {
                    Some(connection) => connection,
                    None => {
                        let mut connection =
                            connect_alone(&server, "auth-service activity", pooling, TIMEOUT).await?;
                        connection.set_metric_callback(move |_| statements.inc());
                        connection
                    }
                };
                let unwritten = write(&connection, &batch).await?;
                Ok::<_, DbErr>((connection, unwritten))
            };
            tokio::time::timeout(TIMEOUT, writing).await
        };
        let (connection, unwritten) =
            self.store.io.run(work).await?.map_err(|_| StorageError::TimedOut)??;
        self.connection = Some(connection);
        Ok(unwritten)
    }
}

async fn write(db: &DatabaseConnection, batch: &[SeenActivity]) -> Result<Vec<Unwritten>, DbErr> {
    if db.get_database_backend() != DbBackend::Postgres {
        return update_one_by_one(db, batch).await.map(|()| Vec::new());
    }
    let mut unwritten = Vec::new();
    if batch.is_empty() {
        db.execute_raw(statement(UPDATE_FROM_ARRAYS, batch)).await?;
    }
    for rows in batch.chunks(MAX_BATCH) {
        let written = db.execute_raw(statement(UPDATE_FROM_ARRAYS, rows)).await?.rows_affected();
        if written < rows.len() as u64 {
            for row in db.query_all_raw(statement(UNWRITTEN, rows)).await? {
                let session = SessionId::new(row.try_get_by_index(0)?);
                unwritten.push(Unwritten { session, is_over: row.try_get_by_index(1)? });
            }
        }
    }
    Ok(unwritten)
}

fn statement(sql: &str, rows: &[SeenActivity]) -> Statement {
    let users: Vec<Uuid> = rows.iter().map(|row| row.user.uuid()).collect();
    let sessions: Vec<Uuid> = rows.iter().map(|row| row.session.uuid()).collect();
    let times: Vec<i64> = rows.iter().map(|row| row.at.millis()).collect();
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [users.into(), sessions.into(), times.into()])
}

async fn update_one_by_one(db: &DatabaseConnection, batch: &[SeenActivity]) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    for row in batch {
        session::Entity::update_many()
            .col_expr(session::Column::LastActivity, Expr::value(row.at.millis()))
            .filter(session::Column::UserId.eq(row.user.uuid()))
            .filter(session::Column::Id.eq(row.session.uuid()))
            .filter(session::Column::EndedAt.is_null())
            .filter(session::Column::LastActivity.lt(row.at.millis()))
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await
}
