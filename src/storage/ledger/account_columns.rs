//! The columns that a change of an account writes to the user's row, in the statement that advances its
//! version.

use std::mem::discriminant;

use entity::user;
use sea_orm::UpdateMany;
use sea_orm::sea_query::{Expr, SimpleExpr};

use crate::domain::account_change::AccountChange;
use crate::domain::event::LedgerEvent;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::storage::rows::policy_column;

/// Adds the columns that the events change, if any. If a column has several values the last one counts,
/// since a statement may set it only once.
pub(super) fn account_columns(
    update: UpdateMany<user::Entity>,
    user: UserId,
    events: &[LedgerEvent],
) -> UpdateMany<user::Entity> {
    let mut columns: Vec<(user::Column, SimpleExpr)> = Vec::new();
    for (column, value) in events.iter().flat_map(|event| columns_of(user, event)) {
        columns.retain(|(known, _)| discriminant(known) != discriminant(&column));
        columns.push((column, value));
    }
    columns.into_iter().fold(update, |update, (column, value)| update.col_expr(column, value))
}

fn columns_of(user: UserId, event: &LedgerEvent) -> Vec<(user::Column, SimpleExpr)> {
    let (change, credentials_changed_at, at) = match event {
        LedgerEvent::AccountChanged { change, credentials_changed_at, at, .. } => {
            (change, credentials_changed_at, at)
        }
        // Signing in cancels the account's scheduled deletion.
        LedgerEvent::Opened { .. } => return vec![(user::Column::DeleteAt, Expr::value(None::<i64>))],
        LedgerEvent::AccountDeleted { at } => return columns_of_deletion(user, *at),
        _ => return Vec::new(),
    };
    let mut columns = vec![(user::Column::UpdatedAt, time(*at))];
    let AccountChange {
        password,
        password_change_required,
        email_verified_at,
        was_verified: _,
        email,
        name,
        locale,
        role,
        policy,
        factors,
        disabled,
        delete_at,
    } = &**change;
    let of_credentials = credentials_changed_at.map(time);
    let factors = factors.map(|factors| i32::try_from(factors).unwrap_or(i32::MAX));
    let policy = policy.as_ref().map(|policy| policy.as_ref().map(policy_column));
    let disabled_at = disabled.map(|disabled| disabled.then_some(at.millis()));
    columns.extend(of_credentials.map(|time| (user::Column::CredentialsChangedAt, time)));
    columns.extend(password.as_ref().map(|it| (user::Column::PasswordHash, Expr::value(it.expose()))));
    columns
        .extend(password_change_required.map(|it| (user::Column::PasswordChangeRequired, Expr::value(it))));
    columns.extend(
        email_verified_at.map(|it| (user::Column::EmailVerifiedAt, Expr::value(it.map(Timestamp::millis)))),
    );
    columns.extend(email.as_ref().map(|it| (user::Column::Email, Expr::value(it.as_str()))));
    columns.extend(name.as_ref().map(|it| (user::Column::Name, Expr::value(it.as_str()))));
    columns.extend(locale.as_ref().map(|it| (user::Column::Locale, Expr::value(it.clone()))));
    columns.extend(role.map(|it| (user::Column::Role, Expr::value(it.as_str()))));
    columns.extend(policy.map(|it| (user::Column::Policy, Expr::value(it))));
    columns.extend(factors.map(|it| (user::Column::Factors, Expr::value(it))));
    columns.extend(disabled_at.map(|it| (user::Column::DisabledAt, Expr::value(it))));
    let delete_at = delete_at.map(|at| Expr::value(at.map(Timestamp::millis)));
    columns.extend(delete_at.map(|it| (user::Column::DeleteAt, it)));
    columns
}

/// The row stays, without personal data, so that late tokens are answered and other nodes learn of it.
fn columns_of_deletion(user: UserId, at: Timestamp) -> Vec<(user::Column, SimpleExpr)> {
    vec![
        (user::Column::UpdatedAt, time(at)),
        (user::Column::Name, Expr::value("")),
        (user::Column::Email, Expr::value(format!("deleted:{user}"))),
        (user::Column::PasswordHash, Expr::value("")),
        (user::Column::Locale, Expr::value(None::<String>)),
        (user::Column::Policy, Expr::value(None::<String>)),
        (user::Column::Factors, Expr::value(0)),
        (user::Column::DeleteAt, Expr::value(None::<i64>)),
        (user::Column::DeletedAt, time(at)),
    ]
}

fn time(at: Timestamp) -> SimpleExpr {
    Expr::value(at.millis())
}
