//! Accounts with a scheduled deletion, and the administrators who remain.

use entity::user;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

impl Store {
    /// How many accounts of that role may sign in and will not be deleted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn count_enabled(&self, role: Role) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let wanted = user::Entity::find()
            .filter(user::Column::Role.eq(role.as_str()))
            .filter(user::Column::DisabledAt.is_null())
            .filter(user::Column::DeletedAt.is_null())
            .filter(user::Column::DeleteAt.is_null());
        self.run(async move { wanted.count(&db).await }).await
    }

    /// Accounts whose scheduled deletion is due, the earliest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_due_deletions(&self, now: Timestamp, limit: u64) -> Result<Vec<UserId>, StorageError> {
        let db = self.db.clone();
        let due = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .filter(user::Column::DeleteAt.lte(now.millis()))
            .order_by_asc(user::Column::DeleteAt)
            .limit(limit)
            .into_tuple::<Uuid>();
        let ids = self.run(async move { due.all(&db).await }).await?;
        Ok(ids.into_iter().map(UserId::new).collect())
    }
}
