//! What the sweeper looks for: users whose sessions time has ended, and ended sessions nobody needs any more.

use std::collections::BTreeSet;
use std::time::Duration;

use entity::session;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

impl Store {
    /// Users with a live session that was idle since before `now - idle_timeout`, or is past its absolute end;
    /// at most `limit` of each kind, the longest overdue first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_overdue_users(
        &self,
        now: Timestamp,
        idle_timeout: Duration,
        limit: u64,
    ) -> Result<BTreeSet<UserId>, StorageError> {
        let db = self.db.clone();
        let idle = live_users()
            .filter(session::Column::LastActivity.lte(now.minus(idle_timeout).millis()))
            .order_by_asc(session::Column::LastActivity)
            .limit(limit);
        let expired = live_users()
            .filter(session::Column::ExpiresAt.lte(now.millis()))
            .order_by_asc(session::Column::ExpiresAt)
            .limit(limit);
        let work = async move {
            let mut users: Vec<Uuid> = idle.into_tuple().all(&db).await?;
            users.extend(expired.into_tuple::<Uuid>().all(&db).await?);
            Ok::<_, DbErr>(users)
        };
        Ok(self.run(work).await?.into_iter().map(UserId::new).collect())
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

fn live_users() -> Select<session::Entity> {
    session::Entity::find()
        .select_only()
        .column(session::Column::UserId)
        .filter(session::Column::EndedAt.is_null())
}
