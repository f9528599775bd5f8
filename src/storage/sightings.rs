//! Records that the current refresh token of a session has been seen: in batches, and only while it is
//! current.

use std::collections::HashSet;

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, Statement,
    TransactionTrait,
};
use uuid::Uuid;

use super::rows::generation_column;
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// Most rows of one statement.
const MAX_BATCH: usize = 5_000;

/// A locked row is skipped, so that it delays only itself; the rows it returns are still to be written.
const UPDATE_FROM_ARRAYS: &str = "\
    WITH seen (user_id, id, generation, at) AS ( \
        SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[]) \
    ), held AS ( \
        SELECT sessions.user_id, sessions.id, seen.at FROM seen \
        JOIN sessions ON sessions.user_id = seen.user_id AND sessions.id = seen.id \
        WHERE sessions.ended_at IS NULL AND sessions.refresh_generation = seen.generation \
        AND sessions.refresh_seen_at IS NULL \
        ORDER BY sessions.user_id, sessions.id FOR NO KEY UPDATE OF sessions SKIP LOCKED \
    ), written AS ( \
        UPDATE sessions SET refresh_seen_at = held.at FROM held \
        WHERE sessions.user_id = held.user_id AND sessions.id = held.id \
        RETURNING sessions.id \
    ) \
    SELECT sessions.id FROM seen \
    JOIN sessions ON sessions.user_id = seen.user_id AND sessions.id = seen.id \
    WHERE sessions.ended_at IS NULL AND sessions.refresh_generation = seen.generation \
    AND sessions.refresh_seen_at IS NULL AND sessions.id NOT IN (SELECT written.id FROM written)";

/// A token of a refresh generation that has reached a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRefresh {
    /// The session's owner.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The generation.
    pub generation: u32,
    /// When it was first seen.
    pub at: Timestamp,
}

impl Store {
    /// Writes the batch, where the generation is still current. Returns the sessions that could not be
    /// written because their row is locked.
    ///
    /// # Errors
    /// [`StorageError`]; writing the batch again is harmless.
    pub async fn store_sightings(&self, batch: Vec<SeenRefresh>) -> Result<HashSet<SessionId>, StorageError> {
        let db = self.db.clone();
        let work = async move {
            match db.get_database_backend() {
                DbBackend::Postgres => update_from_arrays(&db, &batch).await,
                _ => update_one_by_one(&db, &batch).await.map(|()| HashSet::new()),
            }
        };
        self.run(work).await
    }
}

async fn update_from_arrays(
    db: &DatabaseConnection,
    batch: &[SeenRefresh],
) -> Result<HashSet<SessionId>, DbErr> {
    let mut left = HashSet::new();
    for rows in batch.chunks(MAX_BATCH) {
        let users: Vec<Uuid> = rows.iter().map(|row| row.user.uuid()).collect();
        let sessions: Vec<Uuid> = rows.iter().map(|row| row.session.uuid()).collect();
        let generations: Vec<i32> = rows.iter().map(|row| generation_column(row.generation)).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.at.millis()).collect();
        let values = [users.into(), sessions.into(), generations.into(), times.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, UPDATE_FROM_ARRAYS, values);
        for row in db.query_all_raw(statement).await? {
            left.insert(SessionId::new(row.try_get_by_index(0)?));
        }
    }
    Ok(left)
}

async fn update_one_by_one(db: &DatabaseConnection, batch: &[SeenRefresh]) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    for row in batch {
        session::Entity::update_many()
            .col_expr(session::Column::RefreshSeenAt, Expr::value(row.at.millis()))
            .filter(session::Column::UserId.eq(row.user.uuid()))
            .filter(session::Column::Id.eq(row.session.uuid()))
            .filter(session::Column::EndedAt.is_null())
            .filter(session::Column::RefreshGeneration.eq(generation_column(row.generation)))
            .filter(session::Column::RefreshSeenAt.is_null())
            .exec(&transaction)
            .await?;
    }
    transaction.commit().await
}
