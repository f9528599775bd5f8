//! What a database must have for the service to work correctly on it. Checked at startup: later it would
//! show as a permanent 503 for some user, or as two accounts for one address.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::Store;
use super::open_error::{OpenError, Unsuitable};

/// A unique index on the address alone, and on all users.
const POSTGRES_UNIQUE: &str = "\
    SELECT 1 FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
    WHERE indrelid = 'users'::regclass AND indisunique AND indisvalid AND indnkeyatts = 1 \
    AND indpred IS NULL AND indexprs IS NULL AND attname = 'email'";
const SQLITE_UNIQUE: &str = "\
    SELECT 1 FROM pragma_index_list('users') AS list JOIN pragma_index_info(list.name) AS info \
    WHERE list.\"unique\" AND NOT list.partial GROUP BY list.name \
    HAVING COUNT(*) = 1 AND MAX(info.name) = 'email'";

impl Store {
    /// Refuses a schema on which the rules do not hold. Called once it is up to date.
    ///
    /// # Errors
    /// [`OpenError::Unsuitable`].
    pub async fn insist_on_schema(&self) -> Result<(), OpenError> {
        let (db, sql) = (self.db.clone(), if self.is_postgres() { POSTGRES_UNIQUE } else { SQLITE_UNIQUE });
        let found = self.io.run(async move { one(&db, sql).await }).await?.map_err(OpenError::Connect)?;
        found.map(drop).ok_or(OpenError::Unsuitable(Unsuitable::EmailNotUnique))
    }
}

/// Refuses an encoding that does not have every character, on PostgreSQL.
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

/// Citus distributes tables over servers, and does not route a statement that writes to several tables to
/// the one that holds the user (citusdata/citus#3948).
pub(super) async fn is_citus(db: &DatabaseConnection) -> Result<bool, DbErr> {
    Ok(one(db, "SELECT 1 FROM pg_extension WHERE extname = 'citus'").await?.is_some())
}
