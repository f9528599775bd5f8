//! What a database must be for the service to be right on it. Asked at start: later it would be somebody's
//! 503 for ever, or two accounts for one address.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::Store;
use super::open_error::{OpenError, Unsuitable};

/// An index that is on the address alone and on all users.
const POSTGRES_UNIQUE: &str = "\
    SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
    WHERE indrelid = 'users'::regclass AND indisunique AND indisvalid AND indnkeyatts = 1 \
    AND indpred IS NULL AND indexprs IS NULL AND attname = 'email'";
const SQLITE_UNIQUE: &str = "\
    SELECT 1 FROM pragma_index_list('users') AS list JOIN pragma_index_info(list.name) AS info \
    WHERE list.\"unique\" AND NOT list.partial GROUP BY list.name \
    HAVING COUNT(*) = 1 AND MAX(info.name) = 'email'";

impl Store {
    /// Insists that the schema is one on which the rules hold. Called once it is up to date.
    ///
    /// # Errors
    /// [`OpenError::Unsuitable`].
    pub async fn insist_on_schema(&self) -> Result<(), OpenError> {
        let (db, sql) = (self.db.clone(), if self.is_postgres() { POSTGRES_UNIQUE } else { SQLITE_UNIQUE });
        let found = self.io.run(async move { one(&db, sql).await }).await?.map_err(OpenError::Connect)?;
        found.map(drop).ok_or(OpenError::Unsuitable(Unsuitable::EmailNotUnique))
    }
}

/// Insists on an encoding that has every character, on PostgreSQL.
pub(super) async fn insist_on_encoding(db: &DatabaseConnection) -> Result<(), OpenError> {
    let row = one(db, "SELECT current_setting('server_encoding')").await.map_err(OpenError::Connect)?;
    let encoding =
        row.map(|row| row.try_get_by_index::<String>(0)).transpose().map_err(OpenError::Connect)?;
    match encoding {
        Some(encoding) if encoding != "UTF8" => Err(OpenError::Unsuitable(Unsuitable::Encoding { encoding })),
        _ => Ok(()),
    }
}

async fn one(db: &DatabaseConnection, sql: &str) -> Result<Option<sea_orm::QueryResult>, DbErr> {
    db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await
}

/// Citus spreads tables over servers, and does not send a statement that writes to several tables to the one
/// that holds the user (citusdata/citus#3948).
pub(super) async fn is_citus(db: &DatabaseConnection) -> Result<bool, DbErr> {
    Ok(one(db, "SELECT 1 FROM pg_extension WHERE extname = 'citus'").await?.is_some())
}
