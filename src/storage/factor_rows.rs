//! Rows of the table of factors, as several files here need them.

use entity::factor;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

use crate::domain::ids::UserId;

/// The authenticator app, in the column `kind`.
pub(super) const TOTP: &str = "totp";
/// An app that is not confirmed yet.
pub(super) const PENDING: &str = "totp_pending";

/// Lets codes of the app be tried again, because something better was shown.
pub(super) async fn forget_failures(db: &impl ConnectionTrait, user: UserId) -> Result<(), DbErr> {
    factor::Entity::update_many()
        .col_expr(factor::Column::Failures, Expr::value(0))
        .filter(factor::Column::UserId.eq(user.uuid()))
        .filter(factor::Column::Failures.gt(0))
        .exec(db)
        .await
        .map(drop)
}
