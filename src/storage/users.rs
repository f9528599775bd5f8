//! Accounts: sign up, look up, change.

use entity::{factor, mail_request, outbox, passkey, recovery_code, session, user};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, SqlErr,
    TransactionTrait, UpdateMany,
};
use uuid::Uuid;

use super::ledger::{Commit, CommitOutcome, RowLock, conflict_if_rolled_back, store};
use super::rows::{new_session_row, new_user_row, outbox_rows, policy_column, user_of};
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::operator_change::OperatorChange;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;
use crate::telemetry::traces::Step;

/// What a login needs of an account.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account.
    pub user: User,
    /// What the password is checked against.
    pub password_hash: PasswordHash,
}

/// A new account with its first session: all or nothing.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The account.
    pub user: User,
    /// Hash of its password.
    pub password_hash: PasswordHash,
    /// The session the person is signed in with at once.
    pub session: Session,
    /// Its events to other services.
    pub announcements: Vec<Announcement>,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// There is one with this address.
    #[error("the email address is taken")]
    EmailTaken,
    /// The database could not do it.
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

    /// The same of the account of that id.
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

    /// The account of that id, unless it was deleted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_user(&self, id: UserId) -> Result<Option<User>, StorageError> {
        let db = self.db.clone();
        let query = user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null());
        self.run(async move { query.one(&db).await }).await?.map(user_of).transpose()
    }

    /// Makes an account, its first session and its announcements in one transaction.
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

impl Store {
    /// Changes an account, and ends its sessions as decided, in one commit.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn commit_account(
        &self,
        commit: Commit,
        lock: Option<RowLock>,
        change: OperatorChange,
    ) -> Result<CommitOutcome, StorageError> {
        let is_deleted = change.deleted;
        let update = columns_of(change, commit.user, commit.now);
        self.change_account(commit, lock, update, is_deleted).await
    }

    /// Stores the endings, and in the same transaction what changes with them in the user's row; in that of
    /// the lock, if the ledger was read with one.
    async fn change_account(
        &self,
        commit: Commit,
        lock: Option<RowLock>,
        change: UpdateMany<user::Entity>,
        is_deleted: bool,
    ) -> Result<CommitOutcome, StorageError> {
        let (db, mode) = (self.db.clone(), self.mode(&commit));
        let work = async move {
            let transaction = match lock.and_then(RowLock::into_transaction) {
                Some(transaction) => transaction,
                None => db.begin().await?,
            };
            let (id, version) = (commit.user.uuid(), commit.decided_on + 1);
            if !store(&transaction, commit, mode).await? {
                transaction.rollback().await?;
                return Ok(CommitOutcome::Conflict);
            }
            change.filter(user::Column::Id.eq(id)).exec(&transaction).await?;
            if is_deleted {
                forget(&transaction, id).await?;
            }
            transaction.commit().await?;
            Ok::<_, DbErr>(CommitOutcome::Committed(version))
        };
        self.run(async move { work.await.or_else(conflict_if_rolled_back) }).await
    }
}

fn columns_of(change: OperatorChange, user: UserId, now: Timestamp) -> UpdateMany<user::Entity> {
    let set = |update: UpdateMany<user::Entity>, column, value: Option<SimpleExpr>| match value {
        Some(value) => update.col_expr(column, value),
        None => update,
    };
    let changed_at = change.changed_at.unwrap_or(now);
    let mut update =
        user::Entity::update_many().col_expr(user::Column::UpdatedAt, Expr::value(changed_at.millis()));
    if let Some(hash) = change.password {
        update = update
            .col_expr(user::Column::PasswordHash, Expr::value(hash.expose()))
            .col_expr(user::Column::CredentialsChangedAt, Expr::value(now.millis()));
    }
    update = set(update, user::Column::Email, change.email.map(|email| Expr::value(email.as_str())));
    update = set(update, user::Column::Name, change.name.map(Expr::value));
    update = set(update, user::Column::Role, change.role.map(|role| Expr::value(role.as_str())));
    let disabled_at = change.disabled_at.map(|at| Expr::value(at.map(Timestamp::millis)));
    update = set(update, user::Column::DisabledAt, disabled_at);
    let required = change.password_change_required.map(Expr::value);
    update = set(update, user::Column::PasswordChangeRequired, required);
    let policy = change.policy.map(|policy| Expr::value(policy.as_ref().map(policy_column)));
    update = set(update, user::Column::Policy, policy);
    if change.deleted {
        // The row stays, so that late tokens are answered and other nodes hear of it.
        update = update
            .col_expr(user::Column::Name, Expr::value(""))
            .col_expr(user::Column::Email, Expr::value(format!("deleted:{user}")))
            .col_expr(user::Column::PasswordHash, Expr::value(""))
            .col_expr(user::Column::Locale, Expr::value(None::<String>))
            .col_expr(user::Column::Policy, Expr::value(None::<String>))
            .col_expr(user::Column::Factors, Expr::value(0))
            .col_expr(user::Column::DeleteAt, Expr::value(None::<i64>))
            .col_expr(user::Column::DeletedAt, Expr::value(now.millis()));
    }
    update
}

/// Deletes what else is stored about the owner of a deleted account. Sessions have their own retention.
async fn forget(transaction: &DatabaseTransaction, user: Uuid) -> Result<(), DbErr> {
    let (factors, passkeys) = (factor::Entity::delete_many(), passkey::Entity::delete_many());
    factors.filter(factor::Column::UserId.eq(user)).exec(transaction).await?;
    passkeys.filter(passkey::Column::UserId.eq(user)).exec(transaction).await?;
    let codes = recovery_code::Entity::delete_many();
    codes.filter(recovery_code::Column::UserId.eq(user)).exec(transaction).await?;
    let requests = mail_request::Entity::delete_many();
    requests.filter(mail_request::Column::UserId.eq(user)).exec(transaction).await.map(drop)
}

fn credentials_of(mut row: user::Model) -> Result<Credentials, StorageError> {
    let password_hash = PasswordHash::from_stored(std::mem::take(&mut row.password_hash));
    Ok(Credentials { user: user_of(row)?, password_hash })
}

async fn insert_registration(transaction: &DatabaseTransaction, new: Registration) -> Result<(), DbErr> {
    let Registration { user, password_hash, session, announcements } = new;
    let row = new_user_row(&user, &password_hash);
    user::Entity::insert(row).exec_without_returning(transaction).await?;
    session::Entity::insert(new_session_row(user.id, &session)).exec_without_returning(transaction).await?;
    let rows = outbox_rows(announcements, user.created_at);
    outbox::Entity::insert_many(rows).exec_without_returning(transaction).await?;
    Ok(())
}

fn is_duplicate(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
