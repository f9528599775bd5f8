//! The connection to Redis: opened as configured, re-opened when it breaks, replaced when it falls silent.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError, RedisResult, TlsCertificates,
};

use super::TIMEOUT;
use crate::bus::BusError;
use crate::config::RedisConfig;

/// A client of the configured server. It does not connect yet.
///
/// # Errors
/// When the address is invalid, or the CA file contains no certificate.
pub(super) fn client_of(config: &RedisConfig, protocol: ProtocolVersion) -> Result<Client, BusError> {
    let info = config.url.expose().into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(protocol);
    let info = info.set_redis_settings(settings);
    let Some(path) = &config.ca_file else { return Ok(Client::open(info)?) };
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| BusError::CaFile { path: path.clone(), source };
    let root_cert = std::fs::read(path).map_err(|error| failed(error.into()))?;
    if !root_cert.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN) {
        return Err(failed("no PEM certificate is in it".into()));
    }
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
    Client::build_with_tls(info, certificates).map_err(|error| failed(error.into()))
}

const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A connection that is opened at first use, on the runtime of its first user. The manager re-opens a
/// broken connection; one that has merely fallen silent seems intact to it, and is replaced by the
/// health check.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    current: Arc<ArcSwap<ConnectionManager>>,
}

impl Connection {
    pub(super) fn open(client: Client) -> RedisResult<Self> {
        let manager = client.get_connection_manager_lazy(retries())?;
        Ok(Self { client, current: Arc::new(ArcSwap::from_pointee(manager)) })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn manager(&self) -> ConnectionManager {
        ConnectionManager::clone(&self.current.load())
    }

    pub(super) fn replace(&self) {
        match self.client.get_connection_manager_lazy(retries()) {
            Ok(manager) => self.current.store(Arc::new(manager)),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "redis.line_not_replaced");
            }
        }
    }
}

fn retries() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(TIMEOUT))
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_secs(1))
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// What an error of Redis or of the connection means to an operator: which setting or server to check.
pub(super) fn cause_of(error: &RedisError) -> String {
    let text = error.to_string();
    let hint = match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "the server refuses the user or password of REDIS_URL"
        }
        (_, Some("NOPERM")) => "the user of REDIS_URL may not do this",
        (_, Some("MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN")) => {
            "the server is part of a Redis Cluster, which is not supported"
        }
        (_, Some("READONLY")) => "the server is a replica and takes no writes",
        (_, Some("OOM")) => "the server has used up its maxmemory",
        (_, Some("MISCONF")) => "the server cannot save to its disk and takes no writes",
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
