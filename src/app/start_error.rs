//! Why a start fails.

use crate::bus::BusError;
use crate::mail::MailError;
use crate::security::keys::KeyError;
use crate::storage::{OpenError, StorageError};
use crate::telemetry::traces::TraceError;

/// Why the service does not start, in words for an operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The schema is older than this version, and `AUTO_MIGRATE` is off.
    #[error("{0} migrations are pending; run `auth-service migrate`, or set AUTO_MIGRATE=true")]
    NotMigrated(usize),
    /// `REDIS_URL` is malformed, or leads to a server that cannot be used.
    #[error("cannot use REDIS_URL: {0}")]
    Redis(#[from] BusError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The address cannot be bound.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// `HOST`.
        host: String,
        /// `PORT`.
        port: u16,
        /// The system's error.
        source: std::io::Error,
    },
    /// The system refuses to create threads.
    #[error("cannot start the password threads: {0}")]
    Threads(std::io::Error),
    /// Traces cannot be exported.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// A metric is registered twice.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Mails cannot be rendered or sent.
    #[error(transparent)]
    Mail(#[from] MailError),
}
