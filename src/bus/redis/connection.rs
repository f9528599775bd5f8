//! The connection to Redis: opened as configured, re-opened when it breaks, replaced when it falls silent
//! or when the master is another server.

use std::sync::Arc;

use arc_swap::ArcSwap;
use redis::{Client, ErrorKind, RedisError, RedisResult};

use super::line::Line;
use super::servers::Servers;

/// A connection that is opened at first use, on the runtime of its first user. It re-opens itself when
/// it breaks; one that has merely fallen silent seems intact to it, and is replaced by the health check.
#[derive(Clone)]
pub(super) struct Connection {
    servers: Servers,
    current: Arc<ArcSwap<Lines>>,
}

struct Lines {
    /// Where they lead, where it is one server.
    server: Option<Arc<Client>>,
    shared: Line,
    publishing: Line,
}

impl Lines {
    fn open(servers: &Servers) -> RedisResult<Self> {
        let server = servers.current();
        let shared = servers.lasting_line(server.as_deref())?;
        let publishing = match servers.min_replicas() {
            0 => shared.clone(),
            // A line on which replicas are waited for stands still meanwhile.
            _ => servers.lasting_line(server.as_deref())?,
        };
        Ok(Self { server, shared, publishing })
    }
}

impl Connection {
    pub(super) fn open(servers: Servers) -> RedisResult<Self> {
        let current = Arc::new(ArcSwap::from_pointee(Lines::open(&servers)?));
        Ok(Self { servers, current })
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(super) fn line(&self) -> Line {
        self.current.load().shared.clone()
    }

    /// The line on which events are published that must not be lost.
    pub(super) fn publishing_line(&self) -> Line {
        self.current.load().publishing.clone()
    }

    pub(super) fn replace(&self) {
        match Lines::open(&self.servers) {
            Ok(lines) => self.current.store(Arc::new(lines)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "redis.line_not_replaced");
            }
        }
    }

    /// Asks the Sentinels, if there are any, and replaces the connection if they name another master.
    ///
    /// # Errors
    /// When none of them names one. Then the connection is as before.
    pub(super) async fn follow(&self) -> RedisResult<()> {
        self.servers.find_master().await?;
        // It may have been found before, by somebody else.
        let (leads_to, server) = (self.current.load().server.clone(), self.servers.current());
        if server.map(|server| Arc::as_ptr(&server)) != leads_to.map(|server| Arc::as_ptr(&server)) {
            self.replace();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// The text of an error, without the arguments of a command: a server that does not know `HELLO` repeats
/// them, and the password is one.
pub(in crate::bus) fn text_of(error: &RedisError) -> String {
    let text = error.to_string();
    text.split(", with args").next().unwrap_or_default().to_owned()
}

/// What an error of Redis or of the connection means to an operator: which setting or server to check.
pub(super) fn cause_of(error: &RedisError) -> String {
    let text = text_of(error);
    let hint = match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "the server refuses the user or password of REDIS_URL (of Sentinels: REDIS_SENTINEL_PASSWORD)"
        }
        (ErrorKind::MasterNameNotFoundBySentinel, _) => {
            "the Sentinels name no working master: it is down, or REDIS_SENTINEL_MASTER is not its name"
        }
        (_, Some("NOPERM")) => "the user of REDIS_URL may not do this",
        (_, Some("MOVED" | "ASK" | "CROSSSLOT")) => {
            "the server is part of a Redis Cluster, which needs REDIS_MODE=cluster"
        }
        (_, Some("READONLY")) => "the server is a replica and takes no writes",
        (_, Some("OOM")) => "the server has used up its maxmemory",
        (_, Some("MISCONF")) => "the server cannot save to its disk and takes no writes",
        (_, Some("NOREPLICAS")) => {
            "the server has fewer replicas than it needs (its min-replicas-to-write, or REDIS_MIN_REPLICAS)"
        }
        (_, Some("LOADING")) => "the server is still loading its data",
        _ if text.contains("UnknownIssuer") => {
            "no trusted authority has signed the server's certificate; set REDIS_CA_FILE for one of your own"
        }
        _ if text.contains("certificate") => "the server's certificate is not accepted",
        _ if error.is_connection_refusal() => "nothing listens there",
        _ if error.is_timeout() => "no answer in time",
        _ => return text,
    };
    format!("{hint} ({text})")
}
