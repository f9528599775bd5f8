//! Sealed secrets of authenticator apps, page by page, to reseal them with a newer secret.

use entity::factor;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::factor_rows::PENDING;
use super::{StorageError, Store};
use crate::domain::ids::UserId;

/// A sealed secret as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// The owner.
    pub user: UserId,
    /// Whether its app is not confirmed yet.
    pub is_pending: bool,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
    kind: String,
}

impl Store {
    /// The next sealed secrets in the order of their keys; `after` is the last one of the page before.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_sealed(
        &self,
        after: Option<&SealedSecret>,
        limit: u64,
    ) -> Result<Vec<SealedSecret>, StorageError> {
        let db = self.db.clone();
        let mut query = factor::Entity::find()
            .order_by_asc(factor::Column::UserId)
            .order_by_asc(factor::Column::Kind)
            .limit(limit);
        if let Some(last) = after {
            let same_user = Condition::all()
                .add(factor::Column::UserId.eq(last.user.uuid()))
                .add(factor::Column::Kind.gt(last.kind.as_str()));
            query = query
                .filter(Condition::any().add(factor::Column::UserId.gt(last.user.uuid())).add(same_user));
        }
        let rows = self.run(async move { query.all(&db).await }).await?;
        let sealed = |row: factor::Model| SealedSecret {
            user: UserId::new(row.user_id),
            is_pending: row.kind == PENDING,
            sealed: row.sealed,
            kind: row.kind,
        };
        Ok(rows.into_iter().map(sealed).collect())
    }

    /// Replaces a sealed secret by the same one, resealed. False if it was replaced or removed meanwhile.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn reseal(&self, old: &SealedSecret, sealed: Vec<u8>) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let update = factor::Entity::update_many()
            .col_expr(factor::Column::Sealed, Expr::value(sealed))
            .filter(factor::Column::UserId.eq(old.user.uuid()))
            .filter(factor::Column::Kind.eq(old.kind.as_str()))
            .filter(factor::Column::Sealed.eq(old.sealed.clone()));
        Ok(self.run(async move { update.exec(&db).await }).await?.rows_affected > 0)
    }

    /// How many people have recovery codes, whose hashes no command can move to a newer secret.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn count_recovery_code_owners(&self) -> Result<u64, StorageError> {
        use entity::recovery_code;
        let db = self.db.clone();
        let owners =
            recovery_code::Entity::find().select_only().column(recovery_code::Column::UserId).distinct();
        self.run(async move { owners.count(&db).await }).await
    }
}
