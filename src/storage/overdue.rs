//! What the sweeper looks for: users with sessions that have expired, and ended sessions that are no
//! longer needed.
//!
//! Each live session has a time, `ends_at`, before which it cannot expire. It is indexed, and activity
//! does not move it. A session whose time has come has expired, or gets its next time. So only what is
//! due is read, whatever the timeouts of the others.
//!
//! A node that finds an overdue session claims it by postponing that time: no two nodes work on it, and
//! if that node dies another finds it.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::session;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use uuid::Uuid;

use super::rows::millis_column;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// Locked rows are left for the next time, so that this never waits for a lock.
const TAKE: &str = "\
    WITH due AS ( \
        SELECT user_id, id, \
            LEAST(last_activity + COALESCE(idle_timeout_ms, $3::bigint) + $4::bigint, expires_at) AS next_end \
        FROM sessions WHERE ended_at IS NULL AND ends_at <= $1 \
        ORDER BY ends_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED \
    ) \
    UPDATE sessions SET ends_at = CASE WHEN due.next_end <= $1 THEN $5::bigint ELSE due.next_end END FROM due \
    WHERE sessions.user_id = due.user_id AND sessions.id = due.id \
    RETURNING sessions.user_id, due.next_end <= $1 AS is_over";

/// A session whose time has come: its user, id, latest activity, idle timeout and absolute end.
type Due = (Uuid, Uuid, i64, Option<i64>, i64);

/// A search for overdue sessions.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The current time.
    pub now: Timestamp,
    /// How long after an idle deadline a session is left alone.
    pub margin: Duration,
    /// When overdue sessions that have not been ended are found again.
    pub again_at: Timestamp,
    /// Most sessions read.
    pub limit: u64,
}

/// What a search for overdue sessions has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Users with a session that has expired.
    pub users: BTreeSet<UserId>,
    /// Whether everything that was due has been read.
    pub is_all: bool,
}

impl Store {
    /// Claims users with a session that has expired but not been ended, the longest due first. Due
    /// sessions that continue get their next time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn take_overdue(&self, search: Search) -> Result<Overdue, StorageError> {
        let db = self.db.clone();
        let default = millis_column(self.default_idle_timeout);
        let work = async move {
            let found = match db.get_database_backend() {
                DbBackend::Postgres => take(&db, search, default).await?,
                _ => take_step_by_step(&db, search, default).await?,
            };
            let is_all = (found.len() as u64) < search.limit;
            let over = found.into_iter().filter(|(_, is_over)| *is_over);
            Ok::<_, DbErr>(Overdue { users: over.map(|(user, _)| UserId::new(user)).collect(), is_all })
        };
        self.run(work).await
    }

    /// Leaves those users' sessions alone until then, because none of them can be ended: they must not
    /// block others.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn postpone_overdue(&self, users: Vec<UserId>, until: Timestamp) -> Result<(), StorageError> {
        let db = self.db.clone();
        let update = session::Entity::update_many()
            .col_expr(session::Column::EndsAt, Expr::value(until.millis()))
            .filter(session::Column::UserId.is_in(users.into_iter().map(UserId::uuid)))
            .filter(session::Column::EndedAt.is_null())
            .filter(session::Column::EndsAt.lt(until.millis()));
        self.run(async move { update.exec(&db).await.map(drop) }).await
    }

    /// Deletes at most `limit` sessions that ended before `before`; returns how many.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_ended_sessions(&self, before: Timestamp, limit: u64) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let old = session::Entity::find()
            .select_only()
            .columns([session::Column::UserId, session::Column::Id])
            .filter(session::Column::EndedAt.lt(before.millis()))
            .order_by_asc(session::Column::EndedAt)
            .limit(limit)
            .into_tuple::<(Uuid, Uuid)>();
        let work = async move {
            let mut deleted = 0;
            for key in old.all(&db).await? {
                deleted += session::Entity::delete_by_id(key).exec(&db).await?.rows_affected;
            }
            Ok::<_, DbErr>(deleted)
        };
        self.run(work).await
    }
}

/// A session's owner, and whether it has expired.
type Found = (Uuid, bool);

async fn take(db: &DatabaseConnection, search: Search, default: i64) -> Result<Vec<Found>, DbErr> {
    let Search { now, margin, again_at, limit } = search;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [
        now.millis().into(),
        limit.into(),
        default.into(),
        millis_column(margin).into(),
        again_at.millis().into(),
    ];
    let rows = db.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, TAKE, values)).await?;
    rows.iter().map(|row| Ok((row.try_get("", "user_id")?, row.try_get("", "is_over")?))).collect()
}

async fn take_step_by_step(
    db: &DatabaseConnection,
    search: Search,
    default: i64,
) -> Result<Vec<Found>, DbErr> {
    let now = search.now.millis();
    let columns = [
        session::Column::UserId,
        session::Column::Id,
        session::Column::LastActivity,
        session::Column::IdleTimeoutMs,
        session::Column::ExpiresAt,
    ];
    let query = session::Entity::find()
        .select_only()
        .columns(columns)
        .filter(session::Column::EndedAt.is_null())
        .filter(session::Column::EndsAt.lte(now))
        .order_by_asc(session::Column::EndsAt)
        .limit(search.limit);
    // Nearly always there is nothing, and nobody need wait for a transaction to find that out.
    if query.clone().into_tuple::<Due>().one(db).await?.is_none() {
        return Ok(Vec::new());
    }
    let immediate = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: immediate, ..Default::default() };
    let transaction = db.begin_with_options(options).await?;
    let mut found = Vec::new();
    for (user, id, active, idle, expires) in query.into_tuple::<Due>().all(&transaction).await? {
        let idle_end =
            active.saturating_add(idle.unwrap_or(default)).saturating_add(millis_column(search.margin));
        let end = idle_end.min(expires);
        let next = if end <= now { search.again_at.millis() } else { end };
        session::Entity::update_many()
            .col_expr(session::Column::EndsAt, Expr::value(next))
            .filter(session::Column::UserId.eq(user))
            .filter(session::Column::Id.eq(id))
            .exec(&transaction)
            .await?;
        found.push((user, end <= now));
    }
    transaction.commit().await?;
    Ok(found)
}
