//! Importing accounts: many at once, from another application.

use std::collections::HashMap;

use entity::user;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use uuid::Uuid;

use super::Account;
use crate::domain::ids::UserId;
use crate::storage::rows::new_user_row;
use crate::storage::{StorageError, Store};

/// Most accounts per call, bounded by the number of parameters in one statement.
pub const MAX_ACCOUNTS: usize = 1_000;

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

/// Which of the accounts to import already exist.
#[derive(Debug, Default)]
struct Known {
    /// When each was last changed, in ms; `None` if it was deleted.
    by_id: HashMap<Uuid, Option<i64>>,
    by_email: HashMap<String, Uuid>,
}

impl Store {
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
            let mut outcomes = known.decide_outcomes(&accounts, adding.update);
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
    fn decide_outcomes(&mut self, accounts: &[Account], update: bool) -> Vec<ImportOutcome> {
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
pub(super) async fn insert(db: &impl ConnectionTrait, accounts: &[&Account]) -> Result<u64, DbErr> {
    let rows = accounts.iter().map(|Account { user, password_hash }| new_user_row(user, password_hash));
    // Whichever conflicts, the id or the address.
    let nothing = OnConflict::new().do_nothing().to_owned();
    user::Entity::insert_many(rows).on_conflict(nothing).exec_without_returning(db).await
}
