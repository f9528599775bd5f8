//! Activity reaches the database in batches; a time only ever moves forward, and only on live sessions.

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, Statement,
    TransactionTrait,
};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// Most rows of one statement.
pub const MAX_BATCH: usize = 5_000;

/// Rows are locked in the order of their keys: two nodes with the same sessions in their batches would else wait for
/// each other, until the database gives one of them up.
const UPDATE_FROM_ARRAYS: &str = "\
    WITH held AS ( \
        SELECT sessions.user_id, sessions.id, seen.at \
        FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS seen (user_id, id, at) \
        JOIN sessions ON sessions.user_id = seen.user_id AND sessions.id = seen.id \
        WHERE sessions.ended_at IS NULL AND sessions.last_activity < seen.at \
        ORDER BY sessions.user_id, sessions.id FOR NO KEY UPDATE OF sessions \
    ) \
    UPDATE sessions SET last_activity = held.at FROM held \
    WHERE sessions.user_id = held.user_id AND sessions.id = held.id \
    AND sessions.ended_at IS NULL AND sessions.last_activity < held.at";

/// That a session was active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenActivity {
    /// Owner.
    pub user: UserId,
    /// Session.
    pub session: SessionId,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Writes the batch: one statement for each [`MAX_BATCH`] rows on PostgreSQL, one transaction on SQLite.
    ///
    /// # Errors
    /// [`StorageError`]; writing the batch again is harmless.
    pub async fn store_activity(&self, batch: Vec<SeenActivity>) -> Result<(), StorageError> {
        let db = self.db.clone();
        let work = async move {
            match db.get_database_backend() {
                DbBackend::Postgres => update_from_arrays(&db, &batch).await,
                _ => update_one_by_one(&db, &batch).await,
            }
        };
        self.run(work).await
    }
}

async fn update_from_arrays(db: &DatabaseConnection, batch: &[SeenActivity]) -> Result<(), DbErr> {
    for rows in batch.chunks(MAX_BATCH) {
        let users: Vec<Uuid> = rows.iter().map(|row| row.user.uuid()).collect();
        let sessions: Vec<Uuid> = rows.iter().map(|row| row.session.uuid()).collect();
        let times: Vec<i64> = rows.iter().map(|row| row.at.millis()).collect();
        let values = [users.into(), sessions.into(), times.into()];
        db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, UPDATE_FROM_ARRAYS, values))
            .await?;
    }
    Ok(())
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
