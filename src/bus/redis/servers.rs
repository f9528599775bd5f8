//! The servers of `REDIS_URL`: how the one to talk to is found, and how connections to it are opened.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::{ConnectionManagerConfig, PubSub};
use redis::cluster::{ClusterClient, ClusterConfig};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult,
    TlsCertificates,
};
use tokio::sync::Mutex;

use super::TIMEOUT;
use super::line::Line;
use crate::bus::BusError;
use crate::config::{RedisConfig, RedisMode, Secret};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a diagnostic query may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a command to a Cluster is tried again, after a redirection or a broken connection.
const RETRIES: u32 = 4;
/// Shortest and longest wait before that, in ms.
const RETRY_WAIT: (u64, u64) = (20, 500);

/// The servers; clones share what is known of them.
#[derive(Clone)]
pub(super) struct Servers {
    /// A client of each configured address.
    asked: Arc<[Client]>,
    mode: RedisMode,
    min_replicas: u32,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Standalone(Arc<Client>),
    Cluster(Arc<ClusterClient>),
    Sentinel(Arc<Sentinels>),
}

struct Sentinels {
    lookup: Mutex<SentinelClient>,
    /// The server that they named last.
    master: ArcSwapOption<Client>,
}

impl Servers {
    /// The configured servers. Nothing is connected yet.
    ///
    /// # Errors
    /// When an address is invalid, or the CA file contains no certificate.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, BusError> {
        let certificates = certificates(config)?;
        let infos = config.urls.iter().map(info_of).collect::<RedisResult<Vec<_>>>()?;
        let kind = match &config.mode {
            RedisMode::Standalone => Kind::Standalone(Arc::new(client_of(infos[0].clone(), &certificates)?)),
            RedisMode::Cluster => {
                Kind::Cluster(Arc::new(cluster_client(infos.clone(), certificates.clone())?))
            }
            RedisMode::Sentinel { master, password } => {
                let lookup = sentinel_client(&infos, master, password.as_ref(), certificates.clone())?;
                let lookup = Mutex::new(lookup);
                Kind::Sentinel(Arc::new(Sentinels { lookup, master: ArcSwapOption::empty() }))
            }
        };
        let asked = infos.into_iter().map(|info| client_of(as_asked(info, &config.mode), &certificates));
        let (asked, mode) = (asked.collect::<RedisResult<_>>()?, config.mode.clone());
        Ok(Self { asked, mode, min_replicas: config.min_replicas, kind })
    }

    /// Host and port of each configured address.
    pub(super) fn addresses(&self) -> String {
        let addresses = self.asked.iter().map(|client| client.get_connection_info().addr().to_string());
        addresses.collect::<Vec<_>>().join(", ")
    }

    /// `REDIS_MODE`.
    pub(super) fn mode(&self) -> &RedisMode {
        &self.mode
    }

    /// `REDIS_MIN_REPLICAS`.
    pub(super) fn min_replicas(&self) -> u32 {
        self.min_replicas
    }

    /// A client of each configured address.
    pub(super) fn asked(&self) -> &[Client] {
        &self.asked
    }

    /// The client of the Cluster, if the servers are one.
    pub(super) fn cluster(&self) -> Option<&ClusterClient> {
        match &self.kind {
            Kind::Cluster(client) => Some(client),
            Kind::Standalone(_) | Kind::Sentinel(_) => None,
        }
    }

    /// Whether there are Sentinels, so that the master may move.
    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self.kind, Kind::Sentinel(_))
    }

    /// The server to talk to, where it is one: with Sentinels the master that they named last, if any.
    pub(super) fn current(&self) -> Option<Arc<Client>> {
        match &self.kind {
            Kind::Standalone(client) => Some(Arc::clone(client)),
            Kind::Sentinel(sentinels) => sentinels.master.load_full(),
            Kind::Cluster(_) => None,
        }
    }

    /// Asks the Sentinels for the master, if there are any; it is [`Servers::current`] then.
    ///
    /// # Errors
    /// When no Sentinel names a server that says it is the master.
    pub(super) async fn find_master(&self) -> RedisResult<()> {
        let Kind::Sentinel(sentinels) = &self.kind else { return Ok(()) };
        let found = sentinels.lookup.lock().await.async_get_client().await?;
        let address = |client: &Client| client.get_connection_info().addr().to_string();
        let is_known =
            sentinels.master.load().as_ref().is_some_and(|known| address(known) == address(&found));
        if !is_known {
            tracing::info!(address = address(&found), "redis.master");
            sentinels.master.store(Some(Arc::new(found)));
        }
        Ok(())
    }

    /// A connection that is opened at first use and re-opened when it breaks: to that server, or to the
    /// Cluster.
    pub(super) fn lasting_line(&self, server: Option<&Client>) -> RedisResult<Line> {
        if let Kind::Cluster(client) = &self.kind {
            return Ok(Line::Cluster(client.get_pending_async_connection_with_config(cluster_config())));
        }
        let Some(client) = server else { return Ok(Line::NoMaster) };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_min_delay(Duration::from_millis(50))
            .set_max_delay(Duration::from_secs(1));
        Ok(Line::Managed(client.get_connection_manager_lazy(config)?))
    }

    /// A connection that is opened now, and that does not outlive a failure.
    ///
    /// # Errors
    /// The reason why it cannot be opened, which a lasting one does not report.
    pub(super) async fn line(&self) -> RedisResult<Line> {
        if let Kind::Cluster(client) = &self.kind {
            return Ok(Line::Cluster(client.get_async_connection_with_config(cluster_config()).await?));
        }
        self.find_master().await?;
        match self.current() {
            Some(client) => line_to(&client).await,
            None => Ok(Line::NoMaster),
        }
    }

    /// A connection for the public channels. Of a Cluster any node will do: those messages reach all of
    /// them.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        if let Some(client) = self.current() {
            return client.get_async_pubsub().await;
        }
        let mut failure = super::line::no_master();
        if self.cluster().is_some() {
            for client in self.asked() {
                match client.get_async_pubsub().await {
                    Ok(pubsub) => return Ok(pubsub),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }
}

/// A connection to that server, opened now, for a few queries.
pub(super) async fn line_to(client: &Client) -> RedisResult<Line> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PROBE_TIMEOUT))
        .set_response_timeout(Some(PROBE_TIMEOUT));
    Ok(Line::Opened(client.get_multiplexed_async_connection_with_config(&config).await?))
}

pub(super) fn cluster_config() -> ClusterConfig {
    ClusterConfig::new().set_connection_timeout(CONNECT_TIMEOUT).set_response_timeout(TIMEOUT)
}

fn info_of(url: &Secret) -> RedisResult<ConnectionInfo> {
    let info = url.expose().into_connection_info()?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// The address with the credentials of what is there: those of `REDIS_URL` are not the Sentinels' own.
fn as_asked(info: ConnectionInfo, mode: &RedisMode) -> ConnectionInfo {
    let RedisMode::Sentinel { password, .. } = mode else { return info };
    let mut settings = redis::RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
    if let Some(password) = password {
        settings = settings.set_password(password.expose());
    }
    info.set_redis_settings(settings)
}

fn client_of(info: ConnectionInfo, certificates: &Option<TlsCertificates>) -> RedisResult<Client> {
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        None => Client::open(info),
    }
}

fn cluster_client(
    infos: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
) -> RedisResult<ClusterClient> {
    let (shortest, longest) = RETRY_WAIT;
    let mut builder = ClusterClient::builder(infos)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(TIMEOUT)
        .overall_response_timeout(Some(TIMEOUT))
        .retries(RETRIES)
        .min_retry_wait(shortest)
        .max_retry_wait(longest);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    builder.build()
}

fn sentinel_client(
    infos: &[ConnectionInfo],
    master: &str,
    password: Option<&Secret>,
    certificates: Option<TlsCertificates>,
) -> RedisResult<SentinelClient> {
    let addresses = infos.iter().map(|info| info.addr().clone());
    let is_tls = infos.iter().any(|info| matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }));
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some(password) = password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    if let Some(settings) = infos.first().map(ConnectionInfo::redis_settings) {
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
    }
    if is_tls {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
    }
    if let Some(certificates) = certificates {
        builder = builder.set_client_to_sentinel_certificates(certificates.clone());
        builder = builder.set_client_to_redis_certificates(certificates);
    }
    builder.build()
}

/// The authorities of `REDIS_CA_FILE`.
fn certificates(config: &RedisConfig) -> Result<Option<TlsCertificates>, BusError> {
    let Some(path) = &config.ca_file else { return Ok(None) };
    let failed =
        |source: Box<dyn std::error::Error + Send + Sync>| BusError::CaFile { path: path.clone(), source };
    let root_cert = std::fs::read(path).map_err(|error| failed(error.into()))?;
    if !root_cert.windows(PEM_BEGIN.len()).any(|part| part == PEM_BEGIN) {
        return Err(failed("no PEM certificate is in it".into()));
    }
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
    let info = info_of(&config.urls[0])?;
    // Nothing else reads them before the first connection.
    Client::build_with_tls(info, certificates.clone()).map_err(|error| failed(error.into()))?;
    Ok(Some(certificates))
}

const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
