//! Accounts that have no password yet: imported without one, or invited.

use entity::{mail, user};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::rows::user_of;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::MailKind;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

/// Accounts read by one query.
const PAGE: u64 = 500;

/// A page of accounts without a password.
#[derive(Clone, Debug, Default)]
pub struct UnsetPasswords {
    /// Those that were not recently invited by mail.
    pub users: Vec<User>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<UserId>,
}

impl Store {
    /// The next enabled accounts without a password, in the order of their ids, but not those that were
    /// invited by mail after `since`.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_unset_passwords(
        &self,
        after: Option<UserId>,
        since: Timestamp,
    ) -> Result<UnsetPasswords, StorageError> {
        let db = self.db.clone();
        let mut query = user::Entity::find()
            .filter(user::Column::PasswordHash.eq(""))
            .filter(user::Column::DeletedAt.is_null())
            .filter(user::Column::DisabledAt.is_null())
            .order_by_asc(user::Column::Id)
            .limit(PAGE);
        if let Some(after) = after {
            query = query.filter(user::Column::Id.gt(after.uuid()));
        }
        let (rows, invited) = self
            .run(async move {
                let rows = query.all(&db).await?;
                let invited = mail::Entity::find()
                    .select_only()
                    .column(mail::Column::UserId)
                    .filter(mail::Column::UserId.is_in(rows.iter().map(|row| row.id)))
                    .filter(mail::Column::Kind.eq(MailKind::Invitation.as_str()))
                    .filter(mail::Column::CreatedAt.gt(since.millis()))
                    .into_tuple::<Uuid>()
                    .all(&db)
                    .await?;
                Ok::<_, DbErr>((rows, invited))
            })
            .await?;
        let is_whole = rows.len() as u64 == PAGE;
        let next = rows.last().filter(|_| is_whole).map(|row| UserId::new(row.id));
        let users = rows.into_iter().filter(|row| !invited.contains(&row.id)).map(user_of);
        Ok(UnsetPasswords { users: users.collect::<Result<_, _>>()?, next })
    }
}
