//! Passkeys of a user, found by the user and the credential's id.

use entity::passkey;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait, TryInsertResult,
};
use uuid::Uuid;

use super::factor_change::{FactorChange, FactorOutcome, FactorsChanged, Work};
use super::factor_rows::forget_failures;
use super::mails::insert_mails;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::NewMail;
use crate::domain::time::Timestamp;

/// Most passkeys of a user.
pub const MAX_PASSKEYS: u64 = 50;

/// A passkey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its id in the service's own API.
    pub id: Uuid,
    /// Its credential id, chosen by the authenticator.
    pub credential_id: Vec<u8>,
    /// Name the person gave it.
    pub name: String,
    /// Its public key, a COSE_Key.
    pub public_key: Vec<u8>,
    /// Highest signature counter seen; 0 if the authenticator has none.
    pub counter: u32,
    /// Whether it may be stored on more than one device.
    pub backup_eligible: bool,
    /// Whether it was backed up when it was last used.
    pub backed_up: bool,
    /// How the authenticator can be reached.
    pub transports: Vec<String>,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it last signed in.
    pub last_used_at: Option<Timestamp>,
}

/// The state of a passkey when it signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasskeyUse {
    /// The counter that was stored when the signature was verified.
    pub counter_before: u32,
    /// The counter in the signed data.
    pub counter: u32,
    /// Whether it is stored on more than one device.
    pub backed_up: bool,
    /// When it signed.
    pub now: Timestamp,
}

/// Whether a passkey was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddedPasskey {
    /// It was.
    Added(FactorsChanged),
    /// The credentials that the person presented are no longer current.
    Outdated,
    /// The user has it already.
    Present,
    /// The user's limit of passkeys is reached.
    TooMany,
}

impl Store {
    /// A user's passkey with that credential id.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_passkey(
        &self,
        user: UserId,
        credential_id: Vec<u8>,
    ) -> Result<Option<Passkey>, StorageError> {
        let db = self.db.clone();
        let query = passkey::Entity::find_by_id((user.uuid(), credential_id));
        Ok(self.run(async move { query.one(&db).await }).await?.map(passkey_of))
    }

    /// Adds a passkey.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_passkey(
        &self,
        change: FactorChange,
        new: Passkey,
    ) -> Result<AddedPasskey, StorageError> {
        let user = change.user;
        let credential_id = new.credential_id.clone();
        let work: Work = Box::new(move |transaction| {
            Box::pin(async move {
                let count = passkey::Entity::find()
                    .filter(passkey::Column::UserId.eq(user.uuid()))
                    .count(transaction)
                    .await?;
                if count >= MAX_PASSKEYS {
                    return Ok(false);
                }
                let insert = passkey::Entity::insert(row_of(user, new)).on_conflict_do_nothing();
                let inserted = insert.exec_without_returning(transaction).await?;
                Ok(matches!(inserted, TryInsertResult::Inserted(rows) if rows > 0))
            })
        });
        match self.change_factors(change, work).await? {
            FactorOutcome::Changed(changed) => Ok(AddedPasskey::Added(changed)),
            FactorOutcome::Outdated => Ok(AddedPasskey::Outdated),
            FactorOutcome::Unchanged | FactorOutcome::LastMethod => {
                let there = self.lookup_passkey(user, credential_id).await?;
                Ok(if there.is_some() { AddedPasskey::Present } else { AddedPasskey::TooMany })
            }
        }
    }

    /// Renames a passkey. `None` if the user has no such passkey.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn rename_passkey(
        &self,
        user: UserId,
        id: Uuid,
        name: String,
    ) -> Result<Option<Passkey>, StorageError> {
        let db = self.db.clone();
        self.run(async move {
            passkey::Entity::update_many()
                .col_expr(passkey::Column::Name, Expr::value(name))
                .filter(passkey::Column::UserId.eq(user.uuid()))
                .filter(passkey::Column::Id.eq(id))
                .exec(&db)
                .await?;
            let row = passkey::Entity::find()
                .filter(passkey::Column::UserId.eq(user.uuid()))
                .filter(passkey::Column::Id.eq(id))
                .one(&db)
                .await?;
            Ok::<_, DbErr>(row.map(passkey_of))
        })
        .await
    }

    /// Removes a passkey.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_passkey(
        &self,
        change: FactorChange,
        id: Uuid,
    ) -> Result<FactorOutcome, StorageError> {
        let user = change.user;
        let work: Work = Box::new(move |transaction| {
            Box::pin(async move {
                let deleted = passkey::Entity::delete_many()
                    .filter(passkey::Column::UserId.eq(user.uuid()))
                    .filter(passkey::Column::Id.eq(id))
                    .exec(transaction)
                    .await?;
                Ok(deleted.rows_affected > 0)
            })
        });
        self.change_factors(change, work).await
    }

    /// Records that a passkey has signed. False if its counter has moved since it was read, or the
    /// passkey is gone. It also resets the count of wrong codes of an app, and stores mails to the person
    /// about it. The counter never goes back.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn use_passkey(
        &self,
        user: UserId,
        credential_id: Vec<u8>,
        used: PasskeyUse,
        mails: Vec<NewMail>,
    ) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let update = passkey::Entity::update_many()
            .col_expr(passkey::Column::Counter, Expr::value(i64::from(used.counter.max(used.counter_before))))
            .col_expr(passkey::Column::BackedUp, Expr::value(used.backed_up))
            .col_expr(passkey::Column::LastUsedAt, Expr::value(used.now.millis()))
            .filter(passkey::Column::UserId.eq(user.uuid()))
            .filter(passkey::Column::CredentialId.eq(credential_id))
            .filter(passkey::Column::Counter.eq(i64::from(used.counter_before)));
        self.run(async move {
            let transaction = db.begin().await?;
            let noted = update.exec(&transaction).await?.rows_affected > 0;
            if noted {
                forget_failures(&transaction, user).await?;
                insert_mails(&transaction, mails, used.now).await?;
            }
            transaction.commit().await?;
            Ok::<_, DbErr>(noted)
        })
        .await
    }
}

pub(super) fn passkey_of(row: passkey::Model) -> Passkey {
    let transports = row.transports.split(',').filter(|transport| !transport.is_empty());
    Passkey {
        id: row.id,
        credential_id: row.credential_id,
        name: row.name,
        public_key: row.public_key,
        counter: u32::try_from(row.counter).unwrap_or(u32::MAX),
        backup_eligible: row.backup_eligible,
        backed_up: row.backed_up,
        transports: transports.map(str::to_owned).collect(),
        added_at: Timestamp::from_millis(row.added_at),
        last_used_at: row.last_used_at.map(Timestamp::from_millis),
    }
}

fn row_of(user: UserId, new: Passkey) -> passkey::ActiveModel {
    passkey::ActiveModel {
        user_id: Set(user.uuid()),
        credential_id: Set(new.credential_id),
        id: Set(new.id),
        name: Set(new.name),
        public_key: Set(new.public_key),
        counter: Set(i64::from(new.counter)),
        backup_eligible: Set(new.backup_eligible),
        backed_up: Set(new.backed_up),
        transports: Set(new.transports.join(",")),
        added_at: Set(new.added_at.millis()),
        last_used_at: Set(new.last_used_at.map(Timestamp::millis)),
    }
}
