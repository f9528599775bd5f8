//! Opens the embedded database: a file that one process uses and only its owner can access.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{
    SqliteConnection, SqliteJournalMode, SqliteSynchronous, SqliteTransactionManager,
};
use sea_orm::sqlx::{self, Connection as _};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use sqlx_core::transaction::TransactionManager as _;

use super::OpenError;
use crate::storage::postgres::ACQUIRE_TIMEOUT;

/// How long SQLite waits for another connection's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// One connection writes at a time anyway; a few more keep reads from waiting behind it.
pub(super) const CONNECTIONS: u32 = 4;

/// Locks `<file>.lock`; the system releases it when the process ends, however it ends.
pub(super) fn lock_file(path: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_folder(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = open_private(Path::new(&name)).map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Only its owner can access it, since it holds password hashes. An existing folder is left as it is.
fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates the file, for its owner alone, if it does not exist; SQLite gives its other files the
/// permissions of the first.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    // Opening for append reports a missing permission clearly, which SQLite does not.
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(super) async fn open(path: &Path) -> Result<DatabaseConnection, OpenError> {
    open_private(path).map_err(|source| OpenError::File { path: path.to_owned(), source })?;
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    let file = path.to_owned();
    options
        .max_connections(CONNECTIONS)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .sqlx_logging(false)
        .test_before_acquire(false)
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move { forget_transaction(connection).await.map(|()| true) })
            })
        })
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&file)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                .foreign_keys(true)
        });
    let damaged = |source| OpenError::Damaged { path: path.to_owned(), source };
    let db = Database::connect(options).await.map_err(damaged)?;
    let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let verdict = db.query_one_raw(statement).await.map_err(damaged)?;
    let verdict: String = match verdict {
        Some(row) => row.try_get_by_index(0).map_err(damaged)?,
        None => String::new(),
    };
    if verdict == "ok" { Ok(db) } else { Err(damaged(DbErr::Custom(verdict))) }
}

/// SQLite itself rolls back a transaction that meets a full disk, which sqlx does not notice: the
/// connection would refuse to begin another for the rest of its life. It is not closed, because opening a
/// new one needs room on the disk.
async fn forget_transaction(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    if connection.is_in_transaction() {
        // Completes a rollback that is already in progress.
        connection.ping().await?;
    }
    if connection.is_in_transaction() {
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        SqliteTransactionManager::rollback(connection).await?;
    }
    Ok(())
}
