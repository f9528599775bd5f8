//! Reads that must not be stale: a standby may lack what another node has just changed, and a pool may
//! still hold connections to one that its address no longer leads to.

use sea_orm::sea_query::{Expr, Query, SelectStatement, SimpleExpr};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult};

use super::StorageError;

const STANDBY: &str = "standby";

/// The rows that a query finds on a server that is not a standby.
///
/// # Errors
/// [`StorageError::Standby`] from a standby; other [`StorageError`]s.
pub(super) async fn rows(
    db: &DatabaseConnection,
    mut query: SelectStatement,
) -> Result<Vec<QueryResult>, StorageError> {
    let rows = db.query_all(query.expr_as(is_standby(db), STANDBY)).await?;
    let asked = match rows.first() {
        Some(_) => None,
        None => db.query_one(Query::select().expr_as(is_standby(db), STANDBY)).await?,
    };
    match rows.first().or(asked.as_ref()).map(|row| row.try_get("", STANDBY)).transpose()? {
        Some(false) => Ok(rows),
        _ => Err(StorageError::Standby),
    }
}

fn is_standby(db: &DatabaseConnection) -> SimpleExpr {
    match db.get_database_backend() {
        DbBackend::Postgres => Expr::cust("pg_is_in_recovery()"),
        _ => Expr::val(false),
    }
}
