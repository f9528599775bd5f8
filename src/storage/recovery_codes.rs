//! Recovery codes: keyed hashes of the unused ones. Using one deletes it, which succeeds once.

use entity::{recovery_code, user};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, TransactionTrait};

use super::factor_rows::forget_failures;
use super::mails::insert_mails;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::NewMail;
use crate::domain::time::Timestamp;
use crate::domain::user::User;

impl Store {
    /// Replaces all recovery codes by new ones, and stores mails to the person about it. False, and nothing
    /// is stored, if the user has no second factor any more, or the credentials have changed since `user`
    /// was read.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn replace_recovery_codes(
        &self,
        user: &User,
        hashes: Vec<Vec<u8>>,
        mails: Vec<NewMail>,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let (db, id) = (self.db.clone(), user.id);
        // Changes nothing, but locks the row: a change of factors or of the password waits, or came first.
        let lock = user::Entity::update_many()
            .col_expr(user::Column::Factors, Expr::col(user::Column::Factors))
            .filter(user::Column::Id.eq(id.uuid()))
            .filter(user::Column::Factors.gt(0));
        let lock = lock.filter(match user.credentials_changed_at {
            None => user::Column::CredentialsChangedAt.is_null(),
            Some(at) => user::Column::CredentialsChangedAt.eq(at.millis()),
        });
        let work = async move {
            let transaction = db.begin().await?;
            if lock.exec(&transaction).await?.rows_affected == 0 {
                transaction.rollback().await?;
                return Ok(false);
            }
            put_recovery_codes(&transaction, id, hashes, now).await?;
            insert_mails(&transaction, mails, now).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(true)
        };
        self.run(work).await
    }

    /// Uses the recovery code that has one of these hashes, and resets the count of wrong codes of the
    /// app. False if there is no such code, or it was used before.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been used.
    pub async fn use_recovery_code(&self, user: UserId, hashes: Vec<Vec<u8>>) -> Result<bool, StorageError> {
        let db = self.db.clone();
        self.run(async move {
            let used = recovery_code::Entity::delete_many()
                .filter(recovery_code::Column::UserId.eq(user.uuid()))
                .filter(recovery_code::Column::Hash.is_in(hashes))
                .exec(&db)
                .await?;
            let was_there = used.rows_affected > 0;
            if was_there {
                forget_failures(&db, user).await?;
            }
            Ok::<_, DbErr>(was_there)
        })
        .await
    }
}

pub(super) async fn put_recovery_codes(
    transaction: &DatabaseTransaction,
    user: UserId,
    hashes: Vec<Vec<u8>>,
    now: Timestamp,
) -> Result<(), DbErr> {
    delete_recovery_codes(transaction, user).await?;
    let rows = hashes.into_iter().map(|hash| recovery_code::ActiveModel {
        user_id: Set(user.uuid()),
        hash: Set(hash),
        created_at: Set(now.millis()),
    });
    recovery_code::Entity::insert_many(rows).exec_without_returning(transaction).await.map(drop)
}

pub(super) async fn delete_recovery_codes(
    transaction: &DatabaseTransaction,
    user: UserId,
) -> Result<(), DbErr> {
    let all = recovery_code::Entity::delete_many().filter(recovery_code::Column::UserId.eq(user.uuid()));
    all.exec(transaction).await.map(drop)
}
