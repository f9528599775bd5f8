//! Why a database cannot be used.

use std::path::PathBuf;

use sea_orm::DbErr;

use super::postgres::PoolerError;
use crate::io::IoGone;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or file is not accessible.
    #[error("cannot open the database file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process holds the file.
    #[error(
        "the database file {path} is in use by another process; an embedded database serves one process only: stop that one first"
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file exists but is not a database, or a damaged one.
    #[error("the database file {path} is damaged or no SQLite database; it was left as it is: {source}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: DbErr,
    },
    /// The address is not valid, which the configuration refuses.
    #[error("the address of the database cannot be used")]
    Address,
    /// The server cannot be reached, or refuses the connection.
    #[error("cannot connect to the database at {address}: {cause}")]
    Unreachable {
        /// Its host and port.
        address: String,
        /// The error of the server or the operating system.
        cause: String,
    },
    /// The pooler in front of the server cannot be used as it is configured.
    #[error(transparent)]
    Pooler(#[from] PoolerError),
    /// The server accepts connections but gives no usable answer.
    #[error("cannot connect to the database: {0}")]
    Connect(DbErr),
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migrate(DbErr),
    /// The service could not work correctly on it.
    #[error(transparent)]
    Unsuitable(#[from] Unsuitable),
    /// The runtime for sockets has ended.
    #[error(transparent)]
    Gone(#[from] IoGone),
}

/// Why the service cannot work correctly on a database.
#[derive(Debug, thiserror::Error)]
pub enum Unsuitable {
    /// It cannot store every name.
    #[error(
        "the database has the encoding {encoding}, and the service needs UTF8; create one WITH ENCODING 'UTF8' \
         TEMPLATE template0 and restore the data into it"
    )]
    Encoding {
        /// Its encoding.
        encoding: String,
    },
    /// It would accept two accounts with the same address.
    #[error(
        "users.email has no unique constraint, so one address could get several accounts; remove duplicates, then \
         ALTER TABLE users ADD UNIQUE (email). A partitioned users table cannot have one: keep users whole"
    )]
    EmailNotUnique,
}
