//! Changes of second factors, which are changes of credentials: a [`FactorChange`] makes all nodes reread
//! the user and ends sign-ins that are in progress.

use entity::{factor, passkey, user};
use futures_util::future::BoxFuture;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter,
    QuerySelect, TransactionTrait,
};

use super::factor_rows::TOTP;
use super::mails::insert_mails;
use super::recovery_codes::delete_recovery_codes;
use super::rows::outbox_rows;
use super::{StorageError, Store, greater_of};
use crate::domain::ids::UserId;
use crate::domain::mail::NewMail;
use crate::domain::time::Timestamp;
use crate::events::announcement::Announcement;

/// What must remain after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: an operator removes them, or nothing is removed.
    Nothing,
    /// A way to sign in: a passkey, where the account has no password.
    WayToSignIn,
    /// A way to sign in and a second factor, because the role must have one.
    SecondFactor,
}

/// What a change of factors depends on, and what is stored with it.
#[derive(Clone, Debug)]
pub struct FactorChange {
    /// The user.
    pub user: UserId,
    /// When it is made.
    pub now: Timestamp,
    /// When the credentials that the person presented were last changed. If they have changed since,
    /// nothing is stored. `None` for an operator, who presents none.
    pub shown: Option<Option<Timestamp>>,
    /// What must remain afterwards.
    pub keep: Keep,
    /// Its events to other services.
    pub announcements: Vec<Announcement>,
    /// Mails to the person.
    pub mails: Vec<NewMail>,
}

/// The account after a change of its factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorsChanged {
    /// The user's version.
    pub version: i64,
    /// The time that distinguishes the credentials from earlier ones.
    pub credentials_changed_at: Option<Timestamp>,
}

/// What became of a change of factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FactorOutcome {
    /// Stored.
    Changed(FactorsChanged),
    /// There was nothing to change, or it has changed meanwhile. Nothing was stored.
    Unchanged,
    /// The credentials that the person presented are no longer current. Nothing was stored.
    Outdated,
    /// It would have removed the last way to sign in, or a factor that the role must have. Nothing was
    /// stored.
    LastMethod,
}

/// The work of a change, in its transaction. Returns false if there is nothing to change.
pub(super) type Work =
    Box<dyn for<'a> FnOnce(&'a DatabaseTransaction) -> BoxFuture<'a, Result<bool, DbErr>> + Send>;

impl Store {
    /// Changes which factors the user has: updates the user's row first, so that others wait, then makes
    /// the change, then stores how many there are now.
    pub(super) async fn change_factors(
        &self,
        change: FactorChange,
        work: Work,
    ) -> Result<FactorOutcome, StorageError> {
        let (db, stamp) = (self.db.clone(), self.change_stamp());
        let FactorChange { user, now, shown, keep, announcements, mails } = change;
        let announcements = self.kept(announcements);
        let changed_at = Expr::col(user::Column::CredentialsChangedAt).if_null(0).add(1);
        let lock = user::Entity::update_many()
            .col_expr(user::Column::SessionVersion, Expr::col(user::Column::SessionVersion).add(1))
            .col_expr(user::Column::ChangeStamp, stamp)
            .col_expr(user::Column::CredentialsChangedAt, greater_of(changed_at, now.millis()))
            .filter(user::Column::Id.eq(user.uuid()))
            .filter(user::Column::DeletedAt.is_null());
        let lock = match shown {
            None => lock,
            Some(None) => lock.filter(user::Column::CredentialsChangedAt.is_null()),
            Some(Some(at)) => lock.filter(user::Column::CredentialsChangedAt.eq(at.millis())),
        };
        self.run(async move {
            let transaction = db.begin().await?;
            if lock.exec(&transaction).await?.rows_affected == 0 {
                transaction.rollback().await?;
                return Ok(if shown.is_some() { FactorOutcome::Outdated } else { FactorOutcome::Unchanged });
            }
            if !work(&transaction).await? {
                transaction.rollback().await?;
                return Ok(FactorOutcome::Unchanged);
            }
            let Some(changed) = store_count(&transaction, user, keep).await? else {
                transaction.rollback().await?;
                return Ok(FactorOutcome::LastMethod);
            };
            if !announcements.is_empty() {
                let rows = outbox_rows(announcements, now);
                entity::outbox::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
            }
            insert_mails(&transaction, mails, now).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(FactorOutcome::Changed(changed))
        })
        .await
    }
}

/// Writes how many second factors the user has to the row that a login reads. `None` if what must remain
/// is gone.
async fn store_count(
    transaction: &DatabaseTransaction,
    user: UserId,
    keep: Keep,
) -> Result<Option<FactorsChanged>, DbErr> {
    let apps = factor::Entity::find_by_id((user.uuid(), TOTP.to_owned())).count(transaction).await?;
    let passkeys =
        passkey::Entity::find().filter(passkey::Column::UserId.eq(user.uuid())).count(transaction).await?;
    let (version, hash, changed_at) = user::Entity::find_by_id(user.uuid())
        .select_only()
        .column(user::Column::SessionVersion)
        .column(user::Column::PasswordHash)
        .column(user::Column::CredentialsChangedAt)
        .into_tuple::<(i64, String, Option<i64>)>()
        .one(transaction)
        .await?
        .ok_or(DbErr::RecordNotUpdated)?;
    let (has_way_in, has_factor) = (!hash.is_empty() || passkeys > 0, apps + passkeys > 0);
    let is_kept = match keep {
        Keep::Nothing => true,
        Keep::WayToSignIn => has_way_in,
        Keep::SecondFactor => has_way_in && has_factor,
    };
    if !is_kept {
        return Ok(None);
    }
    if !has_factor {
        delete_recovery_codes(transaction, user).await?;
    }
    let count = i32::try_from(apps + passkeys).unwrap_or(i32::MAX);
    user::Entity::update_many()
        .col_expr(user::Column::Factors, Expr::value(count))
        .filter(user::Column::Id.eq(user.uuid()))
        .exec(transaction)
        .await?;
    let credentials_changed_at = changed_at.map(Timestamp::from_millis);
    Ok(Some(FactorsChanged { version, credentials_changed_at }))
}
