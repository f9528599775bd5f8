//! How transactions begin: so that whoever waits for one may give up at any moment.

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, TransactionOptions, TransactionTrait,
};

/// Begins a transaction.
///
/// In a task of its own, which goes on where nobody waits any more, and rolls back then. Where sqlx's own `begin` is
/// dropped in its midst (as of sqlx 0.9.0; transact-rs/sqlx#4393), the connection goes back to the pool in a transaction that
/// nobody knows of: whoever has it next is told that something is stored, and it is lost.
///
/// # Errors
/// What the database says.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    begin_with(db, TransactionOptions::default()).await
}

/// The same, in a way of its own.
///
/// # Errors
/// What the database says.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub(super) async fn begin_with(
    db: &DatabaseConnection,
    options: TransactionOptions,
) -> Result<DatabaseTransaction, DbErr> {
    let db = db.clone();
    match tokio::spawn(async move { db.begin_with_options(options).await }).await {
        Ok(begun) => begun,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(DbErr::Conn(RuntimeErr::Internal("the service is shutting down".to_owned()))),
    }
}
