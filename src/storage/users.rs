//! Accounts: sign up, look up, change.

use entity::{outbox, session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, SqlErr,
    TransactionTrait,
};

use super::mail_requests::{MailedCode, insert_code};
use super::rows::{new_session_row, new_user_row, outbox_rows, user_of};
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;
use crate::telemetry::traces::Step;

/// What a login needs of an account.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// The hash that the password is checked against.
    pub password_hash: PasswordHash,
}

/// A new account with its first session: all or nothing.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account.
    pub user: User,
    /// Hash of its password.
    pub password_hash: PasswordHash,
    /// The session that signs the person in at once.
    pub session: Session,
    /// Its events to other services.
    pub announcements: Vec<Announcement>,
    /// The code that the person is mailed.
    pub code: Option<MailedCode>,
}

/// Why an account was not created.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// An account with this address exists.
    #[error("the email address is taken")]
    EmailTaken,
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Store {
    /// The account with that address, in the form of [`crate::domain::user::Email::lookup_key`].
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_credentials(&self, email: String) -> Result<Option<Credentials>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find()
            .filter(user::Column::Email.eq(email))
            .filter(user::Column::DeletedAt.is_null());
        let row = self.run(async move { query.one(&db).await }).await?;
        row.map(credentials_of).transpose()
    }

    /// The same for the account with that id.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_credentials_of(&self, id: UserId) -> Result<Option<Credentials>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null());
        let row = self.run(async move { query.one(&db).await }).await?;
        row.map(credentials_of).transpose()
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

    /// The account with that id, unless it was deleted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_user(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null());
        self.run(async move { query.one(&db).await }).await?.map(user_of).transpose()
    }

    /// Creates an account, its first session and its announcements in one transaction.
    ///
    /// # Errors
    /// [`RegisterError::EmailTaken`] when the address is in use; the database decides, also between nodes.
    pub async fn add_user(&self, mut registration: Registration) -> Result<(), RegisterError> {
        let db = self.db.clone();
        registration.announcements = self.kept(registration.announcements);
        let work = async move {
            let transaction = db.begin().await?;
            insert_registration(&transaction, registration).await?;
            transaction.commit().await
        };
        let step = Step::begin("database.commit");
        let done = self.run(work).await;
        step.note(&done);
        match done {
            Err(StorageError::Database(error)) if is_duplicate(&error) => Err(RegisterError::EmailTaken),
            done => Ok(done?),
        }
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

fn credentials_of(mut row: user::Model) -> Result<Credentials, StorageError> {
    let password_hash = PasswordHash::from_stored(std::mem::take(&mut row.password_hash));
    Ok(Credentials { user: user_of(row)?, password_hash })
}

async fn insert_registration(transaction: &DatabaseTransaction, new: Registration) -> Result<(), DbErr> {
    let Registration { user, password_hash, session, announcements, code } = new;
    let row = new_user_row(&user, &password_hash);
    user::Entity::insert(row).exec_without_returning(transaction).await?;
    session::Entity::insert(new_session_row(user.id, &session)).exec_without_returning(transaction).await?;
    let rows = outbox_rows(announcements, user.created_at);
    outbox::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    match code {
        Some(code) => insert_code(transaction, code).await,
        None => Ok(()),
    }
}

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
