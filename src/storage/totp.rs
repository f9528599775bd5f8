//! Codes of authenticator apps: the sealed secret, and which steps were used. A code is used by one
//! conditional write, so it is valid once, on any number of nodes.

use entity::factor;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, ExprTrait, QueryFilter};

use super::factor_change::{FactorChange, FactorOutcome, Work};
use super::factor_rows::{PENDING, TOTP};
use super::recovery_codes::{delete_recovery_codes, put_recovery_codes};
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// Wrong codes in a row after which no code is accepted any more.
pub const MAX_FAILURES: i32 = 100;

/// A confirmed authenticator app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpFactor {
    /// When it was set up.
    pub added_at: Timestamp,
    /// When a code was last accepted.
    pub last_used_at: Option<Timestamp>,
    /// Whether too many codes in a row were wrong.
    pub blocked: bool,
}

pub(super) fn totp_of(row: &factor::Model) -> TotpFactor {
    TotpFactor {
        added_at: Timestamp::from_millis(row.created_at),
        last_used_at: row.last_used_at.map(Timestamp::from_millis),
        blocked: row.failures >= MAX_FAILURES,
    }
}

/// Whether a code may be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TotpTry {
    /// The user has no app.
    Absent,
    /// Too many codes in a row were wrong.
    Blocked,
    /// The code is counted as wrong until it turns out to be right.
    Counted {
        /// The secret, sealed.
        sealed: Vec<u8>,
        /// When the app was set up, which identifies it however its secret is sealed.
        added_at: Timestamp,
    },
}

impl Store {
    /// Begins to try a code: it is counted as wrong before it is checked, so that concurrent tries cannot
    /// exceed the limit.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn try_totp(&self, user: UserId) -> Result<TotpTry, StorageError> {
        let db = self.db.clone();
        let count = factor::Entity::update_many()
            .col_expr(factor::Column::Failures, Expr::col(factor::Column::Failures).add(1))
            .filter(factor::Column::UserId.eq(user.uuid()))
            .filter(factor::Column::Kind.eq(TOTP))
            .filter(factor::Column::Failures.lt(MAX_FAILURES));
        self.run(async move {
            let counted = count.exec(&db).await?.rows_affected > 0;
            let row = factor::Entity::find_by_id((user.uuid(), TOTP.to_owned())).one(&db).await?;
            Ok::<_, DbErr>(match row {
                None => TotpTry::Absent,
                Some(row) if counted => {
                    TotpTry::Counted { sealed: row.sealed, added_at: Timestamp::from_millis(row.created_at) }
                }
                Some(_) => TotpTry::Blocked,
            })
        })
        .await
    }

    /// Uses the code of that step, and with it all earlier ones. False if it, or a later one, was used
    /// before, or the app has been replaced by another.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been used.
    pub async fn use_totp_step(
        &self,
        user: UserId,
        added_at: Timestamp,
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let update = factor::Entity::update_many()
            .col_expr(factor::Column::LastStep, Expr::value(step))
            .col_expr(factor::Column::LastUsedAt, Expr::value(now.millis()))
            .col_expr(factor::Column::Failures, Expr::value(0))
            .filter(factor::Column::UserId.eq(user.uuid()))
            .filter(factor::Column::Kind.eq(TOTP))
            .filter(factor::Column::CreatedAt.eq(added_at.millis()))
            .filter(factor::Column::LastStep.lt(step));
        Ok(self.run(async move { update.exec(&db).await }).await?.rows_affected > 0)
    }

    /// Stores the secret of an app that is not confirmed yet, in place of an earlier one.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn put_pending_totp(
        &self,
        user: UserId,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let row = factor::ActiveModel {
            user_id: Set(user.uuid()),
            kind: Set(PENDING.to_owned()),
            sealed: Set(sealed),
            created_at: Set(now.millis()),
            last_step: Set(0),
            last_used_at: Set(None),
            failures: Set(0),
        };
        let replace = OnConflict::columns([factor::Column::UserId, factor::Column::Kind])
            .update_columns([factor::Column::Sealed, factor::Column::CreatedAt])
            .to_owned();
        let db = self.db.clone();
        let insert = factor::Entity::insert(row).on_conflict(replace);
        self.run(async move { insert.exec_without_returning(&db).await }).await?;
        Ok(())
    }

    /// The sealed secret of an app that is not confirmed yet, if it was made after `since`.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn pending_totp(
        &self,
        user: UserId,
        since: Timestamp,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        let db = self.db.clone();
        let query = factor::Entity::find_by_id((user.uuid(), PENDING.to_owned()))
            .filter(factor::Column::CreatedAt.gt(since.millis()));
        Ok(self.run(async move { query.one(&db).await }).await?.map(|row| row.sealed))
    }

    /// Makes the pending app the user's app, with `step` used, and stores new recovery codes. `pending`
    /// is its secret as it was sealed, `sealed` the same secret sealed for the row of a confirmed app.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn confirm_totp(
        &self,
        change: FactorChange,
        pending: Vec<u8>,
        sealed: Vec<u8>,
        step: i64,
        hashes: Vec<Vec<u8>>,
    ) -> Result<FactorOutcome, StorageError> {
        let (user, now) = (change.user, change.now);
        let work: Work = Box::new(move |transaction| {
            Box::pin(async move {
                let confirmed = factor::Entity::delete_many()
                    .filter(factor::Column::UserId.eq(user.uuid()))
                    .filter(factor::Column::Kind.eq(PENDING))
                    .filter(factor::Column::Sealed.eq(pending))
                    .exec(transaction)
                    .await?;
                if confirmed.rows_affected == 0 {
                    return Ok(false);
                }
                factor::Entity::delete_by_id((user.uuid(), TOTP.to_owned())).exec(transaction).await?;
                let row = factor::ActiveModel {
                    user_id: Set(user.uuid()),
                    kind: Set(TOTP.to_owned()),
                    sealed: Set(sealed),
                    created_at: Set(now.millis()),
                    last_step: Set(step),
                    last_used_at: Set(Some(now.millis())),
                    failures: Set(0),
                };
                factor::Entity::insert(row).exec_without_returning(transaction).await?;
                put_recovery_codes(transaction, user, hashes, now).await?;
                Ok(true)
            })
        });
        self.change_factors(change, work).await
    }

    /// Removes the user's app and the recovery codes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_totp(&self, change: FactorChange) -> Result<FactorOutcome, StorageError> {
        let user = change.user;
        let work: Work = Box::new(move |transaction| {
            Box::pin(async move {
                let deleted =
                    factor::Entity::delete_by_id((user.uuid(), TOTP.to_owned())).exec(transaction).await?;
                delete_recovery_codes(transaction, user).await?;
                Ok(deleted.rows_affected > 0)
            })
        });
        self.change_factors(change, work).await
    }
}
