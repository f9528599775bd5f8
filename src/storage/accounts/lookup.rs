//! Finding one account: by its address, as a login does, or by its id.

use entity::{session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};

use super::Account;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::user::User;
use crate::security::password::PasswordHash;
use crate::storage::rows::user_of;
use crate::storage::{StorageError, Store};

impl Store {
    /// The account with that address, in the form of [`crate::domain::user::Email::lookup_key`].
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_account(&self, email: String) -> Result<Option<Account>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find()
            .filter(user::Column::Email.eq(email))
            .filter(user::Column::DeletedAt.is_null());
        let row = self.run(async move { query.one(&db).await }).await?;
        row.map(account_of).transpose()
    }

    /// The same for the account with that id.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_account_of(&self, id: UserId) -> Result<Option<Account>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null());
        let row = self.run(async move { query.one(&db).await }).await?;
        row.map(account_of).transpose()
    }

    /// The account with that id, unless it was deleted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_user(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null());
        self.run(async move { query.one(&db).await }).await?.map(user_of).transpose()
    }

    /// How many of these are, or were, sessions of the user.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn count_sessions(&self, user: UserId, ids: Vec<SessionId>) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let query = session::Entity::find()
            .filter(session::Column::UserId.eq(user.uuid()))
            .filter(session::Column::Id.is_in(ids.into_iter().map(SessionId::uuid)));
        self.run(async move { query.count(&db).await }).await
    }

    /// Replaces a password hash that was made at another cost, unless the password was changed meanwhile.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn replace_password_hash(
        &self,
        id: UserId,
        old: PasswordHash,
        new: PasswordHash,
    ) -> Result<(), StorageError> {
        let db = self.db.clone();
        let update = user::Entity::update_many()
            .col_expr(user::Column::PasswordHash, Expr::value(new.expose()))
            .filter(user::Column::Id.eq(id.uuid()))
            .filter(user::Column::PasswordHash.eq(old.expose()));
        self.run(async move { update.exec(&db).await }).await?;
        Ok(())
    }
}

fn account_of(mut row: user::Model) -> Result<Account, StorageError> {
    let password_hash = PasswordHash::from_stored(std::mem::take(&mut row.password_hash));
    Ok(Account { user: user_of(row)?, password_hash })
}
