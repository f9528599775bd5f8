//! The servers of a PostgreSQL URL, and which of them is the primary. A single server is not probed: it
//! counts as the primary.
//!
//! It must never choose a standby, which may be behind, and cannot be written to.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select_ok;
use sea_orm::DbErr;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, Connection as _};

use super::Store;
use crate::config::{PostgresServer, Secret, postgres_servers};

/// How long a server may take to say whether it is the primary.
const TIMEOUT: Duration = Duration::from_secs(2);

/// How long to wait for the cause of a failure.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether a server can be written to, as `target_session_attrs=read-write` requires.
const IS_WRITABLE: &str =
    "SELECT NOT pg_is_in_recovery() AND NOT current_setting('default_transaction_read_only')::boolean";

pub(super) struct Servers {
    all: Vec<PostgresServer>,
    /// The index of the one to connect to.
    current: AtomicUsize,
    searching: AtomicBool,
}

impl Servers {
    /// `None` for an address that cannot be used, which the configuration refuses.
    pub(super) fn of(url: &Secret) -> Option<Self> {
        let all = postgres_servers(url.expose()).filter(|all| !all.is_empty())?;
        Some(Self { all, current: AtomicUsize::new(0), searching: AtomicBool::new(false) })
    }

    pub(super) fn current(&self) -> &PostgresServer {
        &self.all[self.current.load(Ordering::Relaxed).min(self.all.len() - 1)]
    }

    /// Their addresses, for messages.
    pub(super) fn addresses(&self) -> String {
        self.all
            .iter()
            .map(|server| format!("{}:{}", server.host, server.port))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Finds the primary among several. Nothing changes if none says that it is.
    pub(super) async fn find_primary(&self) -> Result<(), sqlx::Error> {
        if self.all.len() > 1 {
            let asked = self.all.iter().enumerate().map(|(index, server)| Box::pin(ask(index, server)));
            let (found, _) = select_ok(asked).await?;
            self.current.store(found, Ordering::Relaxed);
        }
        Ok(())
    }
}

async fn ask(index: usize, server: &PostgresServer) -> Result<usize, sqlx::Error> {
    let asking = async {
        let options: PgConnectOptions = server.url.expose().parse()?;
        let mut connection = PgConnection::connect_with(&server.at(options)).await?;
        let writable = sqlx::query_scalar::<_, bool>(IS_WRITABLE).fetch_one(&mut connection).await?;
        connection.close().await?;
        if writable { Ok(index) } else { Err(sqlx::Error::Configuration("it cannot be written to".into())) }
    };
    tokio::time::timeout(TIMEOUT, asking).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// The pool reports only that it has waited in vain; a separate connection finds the cause.
pub(super) async fn why_unreachable(server: &PostgresServer, error: &DbErr) -> String {
    let Ok(options) = server.url.expose().parse::<PgConnectOptions>() else { return error.to_string() };
    let options = server.at(options);
    match tokio::time::timeout(DIAGNOSIS_TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Err(cause)) => cause.to_string(),
        Err(_) => format!("no answer within {DIAGNOSIS_TIMEOUT:?}"),
        Ok(Ok(_)) => error.to_string(),
    }
}

impl Store {
    /// After a failure: directs new connections to the server that is the primary by now, if that has
    /// changed.
    pub(super) fn look_for_primary(&self) {
        let Some(servers) = self.servers.clone().filter(|servers| servers.all.len() > 1) else { return };
        if servers.searching.swap(true, Ordering::AcqRel) {
            return;
        }
        let store = self.clone();
        self.io.detach(async move {
            let before = servers.current().clone();
            let found = servers.find_primary().await;
            let now = servers.current();
            if found.is_ok() && before != *now {
                tracing::warn!(host = %now.host, port = now.port, "database.primary_changed");
                let pool = store.db.get_postgres_connection_pool();
                pool.set_connect_options(now.at((*pool.connect_options()).clone()));
                store.drop_idle_connections();
            }
            servers.searching.store(false, Ordering::Release);
        });
    }
}

/// Leaves out the URLs, which contain passwords.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({})", self.addresses())
    }
}
