//! Accounts as an operator handles them: importing many at once, adding one without a session, and
//! listing.

use std::collections::HashMap;

use entity::{outbox, session, user};
use sea_orm::sea_query::{Expr, Func, OnConflict, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use uuid::Uuid;

use super::mail_requests::{MailedCode, insert_code};
use super::rows::{new_user_row, outbox_rows, user_of};
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};
use crate::events::announcement::Announcement;
use crate::security::password::PasswordHash;

/// Most accounts per call, bounded by the number of parameters in one statement.
pub const MAX_ACCOUNTS: usize = 1_000;

/// An account with its password hash.
#[derive(Clone, Debug)]
pub struct Account {
    /// The account.
    pub user: User,
    /// Hash of its password.
    pub password_hash: PasswordHash,
}

/// What became of an account that was to be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It did not exist, and was added.
    Added,
    /// It existed, and is unchanged.
    Present,
    /// Its address belongs to an existing account with this other id.
    PresentAs(UserId),
    /// It existed, is older, and is unchanged so far: `Operators::take_over` brings it up to date.
    Newer,
    /// It existed, but could not be updated with newer data: its new address belongs to this other
    /// account.
    AddressTaken(UserId),
}

/// How to treat accounts that may already exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Whether an account that changed later than the existing one is reported as [`ImportOutcome::Newer`].
    pub update: bool,
    /// Whether to store nothing, and only report what would happen.
    pub dry_run: bool,
}

/// Which accounts to list.
#[derive(Clone, Debug, Default)]
pub struct UserFilter {
    /// Part of address or name, in lower case.
    pub search: Option<String>,
    /// Role.
    pub role: Option<Role>,
    /// Only disabled ones.
    pub disabled: bool,
    /// Only those after this address.
    pub after: String,
    /// How many at most.
    pub limit: u64,
}

/// Which of the accounts to import already exist.
#[derive(Debug, Default)]
struct Known {
    /// When each was last changed, in ms; `None` if it was deleted.
    by_id: HashMap<Uuid, Option<i64>>,
    by_email: HashMap<String, Uuid>,
}

impl Store {
    /// Accounts in order of their addresses.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_users(&self, wanted: UserFilter) -> Result<Vec<User>, StorageError> {
        let db = self.db.clone();
        let mut query = user::Entity::find()
            .filter(user::Column::DeletedAt.is_null())
            .filter(user::Column::Email.gt(wanted.after))
            .order_by_asc(user::Column::Email)
            .limit(wanted.limit);
        if let Some(text) = wanted.search {
            // Not LIKE: the text may contain its wildcards.
            let position = if self.is_postgres() { "strpos" } else { "instr" };
            let holds = |column: user::Column| {
                let lower: SimpleExpr = Func::lower(Expr::col(column)).into();
                Expr::from(Func::cust(position).arg(lower).arg(text.as_str())).gt(0)
            };
            let found = Condition::any().add(holds(user::Column::Email)).add(holds(user::Column::Name));
            query = query.filter(found);
        }
        if let Some(role) = wanted.role {
            query = query.filter(user::Column::Role.eq(role.as_str()));
        }
        if wanted.disabled {
            query = query.filter(user::Column::DisabledAt.is_not_null());
        }
        let rows = self.run(async move { query.all(&db).await }).await?;
        rows.into_iter().map(user_of).collect()
    }

    /// The same users with the latest activity of any of their sessions, which a user's row gets only
    /// with the next change.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn with_latest_activity(&self, mut users: Vec<User>) -> Result<Vec<User>, StorageError> {
        let db = self.db.clone();
        let ids: Vec<Uuid> = users.iter().map(|user| user.id.uuid()).collect();
        let latest = session::Entity::find()
            .select_only()
            .column(session::Column::UserId)
            .column_as(session::Column::LastActivity.max(), "latest")
            .filter(session::Column::UserId.is_in(ids))
            .group_by(session::Column::UserId)
            .into_tuple::<(Uuid, i64)>();
        let latest = self.run(async move { latest.all(&db).await }).await?;
        let latest: HashMap<Uuid, i64> = latest.into_iter().collect();
        for user in &mut users {
            let of_sessions = latest.get(&user.id.uuid()).copied().map(Timestamp::from_millis);
            user.last_activity_at =
                of_sessions.map_or(user.last_activity_at, |at| user.last_activity_at.max(at));
        }
        Ok(users)
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

    /// Those of the accounts that exist with a different password hash. One without a password is left
    /// out, since it replaces none.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn with_another_password(&self, accounts: Vec<Account>) -> Result<Vec<Account>, StorageError> {
        let db = self.db.clone();
        let ids: Vec<_> = accounts.iter().map(|account| account.user.id.uuid()).collect();
        let rows = user::Entity::find()
            .select_only()
            .columns([user::Column::Id, user::Column::PasswordHash])
            .filter(user::Column::Id.is_in(ids))
            .into_tuple::<(Uuid, String)>();
        let rows = self.run(async move { rows.all(&db).await }).await?;
        let hashes: HashMap<Uuid, String> = rows.into_iter().collect();
        let differs = |account: &Account| {
            account.password_hash.is_some()
                && hashes
                    .get(&account.user.id.uuid())
                    .is_some_and(|hash| hash != account.password_hash.expose())
        };
        Ok(accounts.into_iter().filter(differs).collect())
    }

    /// Adds, in one transaction, those of at most [`MAX_ACCOUNTS`] accounts that do not exist yet, by id
    /// or by address. No event is sent: an imported person has not signed up. The outcomes are in the
    /// order of the accounts.
    ///
    /// # Errors
    /// [`StorageError`]; repeating it is harmless.
    pub async fn add_accounts(
        &self,
        accounts: Vec<Account>,
        adding: ImportOptions,
    ) -> Result<Vec<ImportOutcome>, StorageError> {
        let db = self.db.clone();
        let work = async move {
            // In SQLite a transaction that has read may no longer write once another one has written.
            let immediate = Some(SqliteTransactionMode::Immediate);
            let options = TransactionOptions { sqlite_transaction_mode: immediate, ..Default::default() };
            let transaction = db.begin_with_options(options).await?;
            let mut known = Known::look_up(&transaction, &accounts).await?;
            let mut outcomes = known.take_in(&accounts, adding.update);
            if !adding.dry_run {
                let added = accounts.iter().zip(&outcomes).filter(|(_, it)| **it == ImportOutcome::Added);
                let mut new: Vec<_> = added.map(|(account, _)| account).collect();
                // In a fixed order, so that two imports do not wait for each other.
                new.sort_by(|one, other| one.user.email.as_str().cmp(other.user.email.as_str()));
                if insert(&transaction, &new).await? < new.len() as u64 {
                    let known = Known::look_up(&transaction, &accounts).await?;
                    known.correct(&accounts, &mut outcomes);
                }
            }
            transaction.commit().await?;
            Ok::<_, DbErr>(outcomes)
        };
        self.run(Box::pin(work)).await
    }
}

impl Known {
    async fn look_up(db: &impl ConnectionTrait, accounts: &[Account]) -> Result<Self, DbErr> {
        let ids = accounts.iter().map(|account| account.user.id.uuid());
        let emails = accounts.iter().map(|account| account.user.email.as_str());
        let mut known = Self::default();
        // Not one query with OR: PostgreSQL would read the whole table.
        for condition in [user::Column::Id.is_in(ids), user::Column::Email.is_in(emails)] {
            let rows = user::Entity::find()
                .select_only()
                .columns([
                    user::Column::Id,
                    user::Column::Email,
                    user::Column::UpdatedAt,
                    user::Column::DeletedAt,
                ])
                .filter(condition)
                .into_tuple::<(Uuid, String, i64, Option<i64>)>()
                .all(db)
                .await?;
            for (id, email, updated_at, deleted_at) in rows {
                known.by_id.insert(id, deleted_at.is_none().then_some(updated_at));
                known.by_email.insert(email, id);
            }
        }
        Ok(known)
    }

    /// Decides on each in turn; a new account is known to those after it.
    fn take_in(&mut self, accounts: &[Account], update: bool) -> Vec<ImportOutcome> {
        let mut outcomes = Vec::with_capacity(accounts.len());
        for Account { user, .. } in accounts {
            let (id, updated_at) = (user.id.uuid(), user.updated_at.millis());
            let owner = self.by_email.get(user.email.as_str()).copied();
            let other = owner.filter(|owner| *owner != id).map(UserId::new);
            outcomes.push(match (self.by_id.get(&id), other) {
                (Some(Some(there)), other) if update && *there < updated_at => {
                    other.map_or(ImportOutcome::Newer, ImportOutcome::AddressTaken)
                }
                (Some(_), _) => ImportOutcome::Present,
                (None, Some(other)) => ImportOutcome::PresentAs(other),
                (None, None) => {
                    self.by_email.insert(user.email.as_str().to_owned(), id);
                    ImportOutcome::Added
                }
            });
            self.by_id.entry(id).or_insert(Some(updated_at));
        }
        outcomes
    }

    /// Corrects the outcomes where another process was first to add some of the new accounts.
    fn correct(&self, accounts: &[Account], outcomes: &mut [ImportOutcome]) {
        for (Account { user, .. }, outcome) in accounts.iter().zip(outcomes) {
            let is_there = self.by_id.contains_key(&user.id.uuid());
            if let Some(owner) = self.by_email.get(user.email.as_str())
                && *outcome == ImportOutcome::Added
                && !is_there
            {
                *outcome = ImportOutcome::PresentAs(UserId::new(*owner));
            }
        }
    }
}

/// Returns how many were new.
async fn insert(db: &impl ConnectionTrait, accounts: &[&Account]) -> Result<u64, DbErr> {
    let rows = accounts.iter().map(|Account { user, password_hash }| new_user_row(user, password_hash));
    // Whichever conflicts, the id or the address.
    let nothing = OnConflict::new().do_nothing().to_owned();
    user::Entity::insert_many(rows).on_conflict(nothing).exec_without_returning(db).await
}
