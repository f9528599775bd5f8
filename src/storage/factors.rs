//! Second factors of a user: listing them, and removing all of them. Codes, recovery codes and passkeys
//! have files of their own.

use entity::{factor, passkey, recovery_code, user};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};

use super::factor_change::Work;
pub use super::factor_change::{FactorChange, FactorOutcome, FactorsChanged, Keep};
use super::factor_rows::TOTP;
use super::passkeys::{Passkey, passkey_of};
use super::totp::{TotpFactor, totp_of};
use super::{StorageError, Store};
use crate::domain::ids::UserId;

/// The second factors of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Factors {
    /// Whether the account has a password.
    pub password: bool,
    /// The authenticator app.
    pub totp: Option<TotpFactor>,
    /// Unused recovery codes; 0 if none were issued, or their factor is gone.
    pub recovery_codes: u64,
    /// Passkeys, the oldest first.
    pub passkeys: Vec<Passkey>,
}

impl Store {
    /// The second factors of a user.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn list_factors(&self, user: UserId) -> Result<Factors, StorageError> {
        let db = self.db.clone();
        self.run(async move {
            let totp = factor::Entity::find_by_id((user.uuid(), TOTP.to_owned())).one(&db).await?;
            let codes = recovery_code::Entity::find()
                .filter(recovery_code::Column::UserId.eq(user.uuid()))
                .count(&db)
                .await?;
            let passkeys =
                passkey::Entity::find().filter(passkey::Column::UserId.eq(user.uuid())).all(&db).await?;
            let mut passkeys: Vec<_> = passkeys.into_iter().map(passkey_of).collect();
            passkeys.sort_by_key(|passkey| (passkey.added_at, passkey.id));
            let hash = user::Entity::find_by_id(user.uuid())
                .select_only()
                .column(user::Column::PasswordHash)
                .into_tuple::<String>()
                .one(&db)
                .await?;
            Ok::<_, DbErr>(Factors {
                password: hash.is_some_and(|hash| !hash.is_empty()),
                totp: totp.as_ref().map(totp_of),
                recovery_codes: codes,
                passkeys,
            })
        })
        .await
    }

    /// Removes every second factor of the user.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_factors(&self, change: FactorChange) -> Result<FactorOutcome, StorageError> {
        let user = change.user;
        let work: Work = Box::new(move |transaction| {
            Box::pin(async move {
                let apps = factor::Entity::delete_many().filter(factor::Column::UserId.eq(user.uuid()));
                let passkeys = passkey::Entity::delete_many().filter(passkey::Column::UserId.eq(user.uuid()));
                let deleted = apps.exec(transaction).await?.rows_affected
                    + passkeys.exec(transaction).await?.rows_affected;
                Ok(deleted > 0)
            })
        });
        self.change_factors(change, work).await
    }
}
