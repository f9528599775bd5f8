//! What several files here need of the table of factors.

use entity::factor;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::domain::ids::UserId;

/// The value of the column `kind` for an authenticator app.
pub(super) const TOTP: &str = "totp";
/// The same for an app that is not confirmed yet.
pub(super) const PENDING: &str = "totp_pending";

/// Resets the count of wrong codes of the app, because stronger proof was presented.
pub(super) async fn forget_failures(db: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    factor::Entity::update_many()
        .col_expr(factor::Column::Failures, Expr::value(0))
        .filter(factor::Column::UserId.eq(user.uuid()))
        .filter(factor::Column::Failures.gt(0))
        .exec(db)
        .await
        .map(drop)
}
