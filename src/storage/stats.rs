//! Statistics for operators, over all nodes. Expensive counts are made by one node for all, and nothing
//! is counted while nobody watches.

use std::time::Duration;

use entity::node_stats::{self, Column, Entity};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::clock::Moment;
use crate::domain::time::Timestamp;

/// How long the nodes continue to report after somebody watched.
const WATCHED_FOR: Duration = Duration::from_secs(10);
/// Shortest time between two expensive counts.
const COUNTED_EVERY: Duration = Duration::from_secs(5);
/// The next count waits for this many times what the last one took, so that counts take at most 2 % of a
/// core of the database where there are a million sessions.
const PAUSE_FACTOR: u32 = 50;
/// Longest time between two counts: one that was slow because the database stood still must not make the
/// numbers old.
const COUNTED_AFTER: Duration = Duration::from_secs(20);
/// Time without a report after which a node counts as gone.
const GONE_AFTER: Duration = Duration::from_secs(4);

/// One scan of an index each: that of live sessions is in the order of users.
const COUNT_SESSIONS: &str = "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT), COUNT(*) FROM \
     (SELECT COUNT(*) AS n FROM sessions WHERE ended_at IS NULL GROUP BY user_id) AS live";
const COUNT_USERS: &str = "SELECT COUNT(*) FROM users WHERE deleted_at IS NULL";

/// What one node has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeNumbers {
    /// Logins and sign-ups of the last minute.
    pub logins: i64,
    /// Failed logins of the last minute.
    pub failures: i64,
    /// Connected devices.
    pub devices: i64,
}

/// Counts over the whole database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live sessions.
    pub live_sessions: i64,
    /// Users with a live session.
    pub live_users: i64,
    /// Accounts.
    pub users: i64,
}

impl Store {
    /// Whether somebody watches on any node.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn stats_are_watched(&self, now: Timestamp) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let query = Entity::find_by_id(Uuid::nil()).filter(Column::At.gt(now.millis()));
        Ok(self.run(async move { query.one(&db).await }).await?.is_some())
    }

    /// Notes that somebody watches, so that every node reports. Returns whether nobody did before.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn watch_stats(&self, now: Timestamp) -> Result<bool, StorageError> {
        let is_news = !self.stats_are_watched(now).await?;
        let until = now.plus(WATCHED_FOR).millis();
        let row = node_stats::ActiveModel { node: Set(Uuid::nil()), at: Set(until), ..Default::default() };
        self.upsert(row, vec![Column::At]).await?;
        if is_news {
            let db = self.db.clone();
            let gone = Entity::delete_many()
                .filter(Column::Node.ne(Uuid::nil()))
                .filter(Column::At.lt(now.minus(GONE_AFTER).millis()));
            self.run(async move { gone.exec(&db).await }).await?;
        }
        Ok(is_news)
    }

    /// Stores what this node has counted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn report_stats(
        &self,
        node: Uuid,
        numbers: NodeNumbers,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let row = node_stats::ActiveModel {
            node: Set(node),
            at: Set(now.millis()),
            logins: Set(numbers.logins),
            failures: Set(numbers.failures),
            devices: Set(numbers.devices),
            ..Default::default()
        };
        self.upsert(row, vec![Column::At, Column::Logins, Column::Failures, Column::Devices]).await
    }

    async fn upsert(&self, row: node_stats::ActiveModel, columns: Vec<Column>) -> Result<(), StorageError> {
        let db = self.db.clone();
        let update = OnConflict::column(Column::Node).update_columns(columns).to_owned();
        let insert = Entity::insert(row).on_conflict(update);
        self.run(async move { insert.exec_without_returning(&db).await.map(drop) }).await
    }

    /// How many nodes report, and what they have counted together.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn sum_stats(&self, now: Timestamp) -> Result<(usize, NodeNumbers), StorageError> {
        let db = self.db.clone();
        let query = Entity::find()
            .filter(Column::Node.ne(Uuid::nil()))
            .filter(Column::At.gte(now.minus(GONE_AFTER).millis()));
        let rows = self.run(async move { query.all(&db).await }).await?;
        let sum = rows.iter().fold(NodeNumbers::default(), |sum, row| NodeNumbers {
            logins: sum.logins + row.logins,
            failures: sum.failures + row.failures,
            devices: sum.devices + row.devices,
        });
        Ok((rows.len(), sum))
    }

    /// Sessions and users, as counted by the node that was last to count: at most [`COUNTED_EVERY`] ago or,
    /// where a count takes long, [`COUNTED_AFTER`].
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn totals(&self, now: Timestamp) -> Result<Totals, StorageError> {
        let db = self.db.clone();
        let work = async move {
            // The node that updates the time counts; the others use the stored counts.
            let claim = Entity::update_many()
                .col_expr(Column::NextCountAt, Expr::value(now.plus(COUNTED_EVERY).millis()))
                .filter(Column::Node.eq(Uuid::nil()))
                .filter(Column::NextCountAt.lte(now.millis()));
            if claim.exec(&db).await?.rows_affected == 0 {
                let row = Entity::find_by_id(Uuid::nil()).one(&db).await?;
                return Ok(row.map_or_else(Totals::default, |row| Totals {
                    live_sessions: row.logins,
                    live_users: row.failures,
                    users: row.devices,
                }));
            }
            let began = Moment::now();
            let totals = count(&db).await?;
            let pause = (Moment::now().since(began) * PAUSE_FACTOR).clamp(COUNTED_EVERY, COUNTED_AFTER);
            let note = Entity::update_many()
                .col_expr(Column::NextCountAt, Expr::value(now.plus(pause).millis()))
                .col_expr(Column::Logins, Expr::value(totals.live_sessions))
                .col_expr(Column::Failures, Expr::value(totals.live_users))
                .col_expr(Column::Devices, Expr::value(totals.users))
                .filter(Column::Node.eq(Uuid::nil()));
            note.exec(&db).await?;
            Ok::<_, DbErr>(totals)
        };
        self.run(work).await
    }
}

async fn count(db: &impl ConnectionTrait) -> Result<Totals, DbErr> {
    let missing = || DbErr::Custom("a count gave no row".to_owned());
    let statement = |sql: &str| sea_orm::Statement::from_string(db.get_database_backend(), sql);
    let live = db.query_one_raw(statement(COUNT_SESSIONS)).await?.ok_or_else(missing)?;
    let users = db.query_one_raw(statement(COUNT_USERS)).await?.ok_or_else(missing)?;
    Ok(Totals {
        live_sessions: live.try_get_by_index(0)?,
        live_users: live.try_get_by_index(1)?,
        users: users.try_get_by_index(0)?,
    })
}
