//! Creating one account, with a first session or without.

use entity::{outbox, session, user};
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait, SqlErr, TransactionTrait};

use super::Account;
use super::import::insert;
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;
use crate::storage::mail_requests::{MailedCode, insert_code};
use crate::storage::rows::{new_session_row, new_user_row, outbox_rows};
use crate::storage::{StorageError, Store};
use crate::telemetry::traces::Step;

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

    /// Adds one account, and announces it. False when an account with this address already exists.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_account(
        &self,
        account: Account,
        announcement: Announcement,
    ) -> Result<bool, StorageError> {
        self.add_account_and_code(account, announcement, None).await
    }

    /// The same, with the code that the person is mailed.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_account_and_code(
        &self,
        account: Account,
        announcement: Announcement,
        code: Option<MailedCode>,
    ) -> Result<bool, StorageError> {
        let (db, announcements) = (self.db.clone(), self.kept(vec![announcement]));
        let work = async move {
            let transaction = db.begin().await?;
            let now = account.user.created_at;
            let added = insert(&transaction, &[&account]).await? == 1;
            if added {
                let rows = outbox_rows(announcements, now);
                outbox::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
                if let Some(code) = code {
                    insert_code(&transaction, code).await?;
                }
            }
            transaction.commit().await?;
            Ok::<_, DbErr>(added)
        };
        self.run(work).await
    }
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
