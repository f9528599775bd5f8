//! Reads users and counts sessions in the PostgreSQL database of an application that is being migrated
//! from: tables as Prisma creates them, with columns in camelCase. It never writes there: each read is a
//! read-only transaction.
//!
//! Tables and columns are looked up by their usual names; an error about a missing one lists those that
//! exist.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, QueryResult,
    Statement, TransactionTrait, Value,
};

use super::servers::why_unreachable;
use crate::config::{Secret, postgres_servers};
use crate::io::{Io, IoGone};

/// How long to wait for one query, such as one page of users.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The column names to try for each value, the likeliest first; the last says whether the column is
/// required.
const USER_COLUMNS: [(&str, &[&str], bool); 8] = [
    ("id", &["id"], true),
    ("email", &["email"], true),
    ("name", &["name", "fullName", "full_name", "displayName", "display_name", "username"], true),
    ("password", &["password", "passwordHash", "password_hash", "hashedPassword", "hashed_password"], true),
    ("role", &["role"], false),
    ("createdAt", &["createdAt", "created_at"], false),
    ("updatedAt", &["updatedAt", "updated_at"], false),
    ("lastActivityAt", &["lastActivityAt", "last_activity_at", "lastActivity"], false),
];
const USER_TABLES: [&str; 3] = ["users", "User", "user"];
const SESSION_TABLES: [&str; 3] = ["sessions", "Session", "session"];

/// Why the old application's database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// The address is not valid. It is never shown, since it may contain a password.
    #[error(
        "the address of the other database (--from, LEGACY_DATABASE_URL): got a secret of {0} bytes, wants \
         postgres://USER:PASSWORD@HOST/DATABASE"
    )]
    Address(usize),
    /// It cannot be reached, or refuses the connection.
    #[error("cannot connect to the other database at {address}: {cause}")]
    Unreachable {
        /// Its host and port.
        address: String,
        /// The error of the server or the operating system.
        cause: String,
    },
    /// It answers with an error.
    #[error("the other database could not be asked: {0}")]
    Database(#[from] DbErr),
    /// It took too long.
    #[error("the other database did not answer in time")]
    TimedOut,
    /// There is no table with any of these names.
    #[error("schema {schema:?} of the other database has no table {wanted}; it has: {there}")]
    NoTable {
        /// The schema in which it was looked for.
        schema: String,
        /// The names that were tried.
        wanted: String,
        /// The tables that exist.
        there: String,
    },
    /// A table lacks a required column.
    #[error("table {table:?} of the other database has no column {wanted}; it has: {there}")]
    NoColumn {
        /// The table.
        table: String,
        /// The names that were tried.
        wanted: String,
        /// The columns that exist.
        there: String,
    },
    /// The runtime for sockets has ended.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

/// A user as the old application has it; times in ms.
pub type LegacyUser = BTreeMap<&'static str, String>;

/// Live sessions of the old application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacySessions {
    /// How many sessions.
    pub live: i64,
    /// How many users they belong to.
    pub users: i64,
}

/// The old application's database.
#[derive(Debug)]
pub struct Legacy {
    db: DatabaseConnection,
    io: Io,
    schema: String,
}

/// Its table of users, with what is read from it.
#[derive(Debug)]
pub struct LegacyUsers {
    /// Its quoted name, with the schema.
    table: String,
    /// Type of the id, for the comparison with the last id of a page.
    id_type: String,
    /// The name used here, and the expression that gives the value as text.
    columns: Vec<(&'static str, String)>,
    /// The id that was read last; `None` at the beginning.
    after: Option<String>,
}

/// Columns by name, with PostgreSQL's names of their types.
type Columns = BTreeMap<String, String>;

impl Legacy {
    /// Connects. Of the parameters that only Prisma understands, `schema` is honoured and the others are
    /// ignored.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub async fn open(url: &Secret, io: Io) -> Result<Self, LegacyError> {
        let (base, parameters) = url.expose().split_once('?').unwrap_or((url.expose(), ""));
        let of_name = |name: &str| {
            parameters
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
        };
        let kept = of_name("sslmode").map(|mode| format!("?sslmode={mode}")).unwrap_or_default();
        let servers = postgres_servers(&format!("{base}{kept}")).unwrap_or_default();
        let Some(server) = servers.into_iter().next() else {
            return Err(LegacyError::Address(url.expose().len()));
        };
        let mut options = ConnectOptions::new(server.url.expose());
        let at = server.clone();
        options
            .max_connections(1)
            .connect_timeout(Duration::from_secs(10))
            .acquire_timeout(Duration::from_secs(10))
            .map_sqlx_postgres_opts(move |options| at.at(options).application_name("auth-service import"))
            .sqlx_logging(false);
        let db = match io.run(Database::connect(options)).await? {
            Ok(db) => db,
            Err(error) => {
                let address = format!("{}:{}", server.host, server.port);
                let cause = io.run(async move { why_unreachable(&server, &error).await }).await?;
                return Err(LegacyError::Unreachable { address, cause });
            }
        };
        Ok(Self { db, io, schema: of_name("schema").unwrap_or_else(|| "public".to_owned()) })
    }

    /// Closes the connection.
    pub async fn close(&self) {
        let db = self.db.clone();
        // Nothing was written, so there is nothing to lose.
        let _ = self.io.run(async move { db.close_by_ref().await }).await;
    }

    /// Finds the table of users.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub async fn users(&self) -> Result<LegacyUsers, LegacyError> {
        let (name, there) = self.table(&USER_TABLES).await?;
        let mut columns = Vec::new();
        for (ours, theirs, needed) in USER_COLUMNS {
            match theirs.iter().find_map(|theirs| there.get_key_value(*theirs)) {
                Some((column, kind)) => columns.push((ours, as_text(column, kind))),
                None if needed => return Err(no_column(&name, theirs, &there)),
                None => {}
            }
        }
        let id_type = there.get("id").cloned().unwrap_or_default();
        Ok(LegacyUsers { table: self.quoted(&name), id_type, columns, after: None })
    }

    /// How many users there are.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub async fn count(&self, users: &LegacyUsers) -> Result<u64, LegacyError> {
        let rows = self.ask(format!("SELECT count(*) FROM {}", users.table), Vec::new()).await?;
        let count = rows.first().map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// The next users in order of their ids; empty at the end.
    ///
    /// # Errors
    /// [`LegacyError`]; calling it again continues from the same position.
    pub async fn page(&self, users: &mut LegacyUsers, size: usize) -> Result<Vec<LegacyUser>, LegacyError> {
        let columns: Vec<_> = users.columns.iter().map(|(_, expression)| expression.as_str()).collect();
        let (condition, values) = match &users.after {
            Some(id) => {
                (format!("WHERE legacy.\"id\" > $1::{}", quote(&users.id_type)), vec![id.as_str().into()])
            }
            None => (String::new(), Vec::new()),
        };
        // Ordered by the column itself: `id` alone would mean the selected text, which sorts numbers
        // differently.
        let sql = format!(
            "SELECT {} FROM {} AS legacy {condition} ORDER BY legacy.\"id\" LIMIT {size}",
            columns.join(", "),
            users.table
        );
        let rows = self.ask(sql, values).await?;
        let mut page = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut read = LegacyUser::new();
            for (index, (name, _)) in users.columns.iter().enumerate() {
                if let Some(text) = row.try_get_by_index::<Option<String>>(index)? {
                    read.insert(name, text);
                }
            }
            users.after = read.get("id").cloned();
            page.push(read);
        }
        Ok(page)
    }

    /// How many sessions have not expired. They cannot be migrated: their tokens are another program's.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub async fn live_sessions(&self) -> Result<LegacySessions, LegacyError> {
        let (name, there) = self.table(&SESSION_TABLES).await?;
        let find = |wanted: &'static [&'static str]| {
            let found = wanted.iter().find_map(|wanted| there.get_key_value(*wanted));
            found.ok_or_else(|| no_column(&name, wanted, &there))
        };
        let user = quote(find(&["userId", "user_id"])?.0);
        let (expiry, kind) = find(&["expiresAt", "expires_at", "expires"])?;
        // Prisma stores UTC in columns without a time zone.
        let now = if kind == "timestamp" { "now() AT TIME ZONE 'UTC'" } else { "now()" };
        let mut condition = format!("{} > {now}", quote(expiry));
        for (column, must) in
            [("isActive", "IS TRUE"), ("is_active", "IS TRUE"), ("isRevoked", "IS NOT TRUE")]
        {
            if there.get(column).is_some_and(|kind| kind == "bool") {
                condition.push_str(&format!(" AND {} {must}", quote(column)));
            }
        }
        let table = self.quoted(&name);
        let sql = format!("SELECT count(*), count(DISTINCT {user}) FROM {table} WHERE {condition}");
        let rows = self.ask(sql, Vec::new()).await?;
        let Some(row) = rows.first() else { return Ok(LegacySessions { live: 0, users: 0 }) };
        Ok(LegacySessions { live: row.try_get_by_index(0)?, users: row.try_get_by_index(1)? })
    }

    /// The first table that has one of these names, and its columns.
    async fn table(&self, wanted: &[&str]) -> Result<(String, Columns), LegacyError> {
        // Not information_schema, which hides what may not be read: that would seem to be missing.
        let sql = "SELECT c.relname::text, a.attname::text, t.typname::text \
                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace \
                   JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid \
                   WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 \
                   AND NOT a.attisdropped AND (has_column_privilege(c.oid, a.attnum, 'SELECT') \
                   OR NOT has_any_column_privilege(c.oid, 'SELECT'))";
        let mut tables = BTreeMap::<String, Columns>::new();
        for row in self.ask(sql.to_owned(), vec![self.schema.as_str().into()]).await? {
            let table: String = row.try_get_by_index(0)?;
            let (column, kind) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
            tables.entry(table).or_default().insert(column, kind);
        }
        match wanted.iter().find_map(|name| tables.remove_entry(*name)) {
            Some(found) => Ok(found),
            None => Err(LegacyError::NoTable {
                schema: self.schema.clone(),
                wanted: wanted.join(", "),
                there: tables.into_keys().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    fn quoted(&self, table: &str) -> String {
        format!("{}.{}", quote(&self.schema), quote(table))
    }

    async fn ask(&self, sql: String, values: Vec<Value>) -> Result<Vec<QueryResult>, LegacyError> {
        let db = self.db.clone();
        let work = async move {
            let transaction = db.begin_with_config(None, Some(AccessMode::ReadOnly)).await?;
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
            let rows = transaction.query_all_raw(statement).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(rows)
        };
        let done = self.io.run(tokio::time::timeout(TIMEOUT, work)).await?;
        Ok(done.map_err(|_| LegacyError::TimedOut)??)
    }
}

fn no_column(table: &str, wanted: &[&str], there: &Columns) -> LegacyError {
    LegacyError::NoColumn {
        table: table.to_owned(),
        wanted: wanted.join(", "),
        there: there.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}

/// Times as ms since the epoch, anything else as PostgreSQL writes it. A time without a zone is UTC, as
/// Prisma stores it.
fn as_text(column: &str, kind: &str) -> String {
    let column = quote(column);
    match kind {
        "timestamp" | "timestamptz" | "date" => {
            // An infinite one is not a valid time, and the import reports its row.
            format!(
                "CASE WHEN isfinite({column}) THEN round(extract(epoch FROM {column}) * 1000)::bigint::text \
                 ELSE {column}::text END"
            )
        }
        _ => format!("{column}::text"),
    }
}

/// Quotes an identifier, whatever it contains.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote("createdAt"), "\"createdAt\"");
        assert_eq!(quote("a\"; DROP TABLE users; --"), "\"a\"\"; DROP TABLE users; --\"");
    }
}
