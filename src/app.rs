//! Puts everything together, and takes it apart in order. The only place that knows every concrete type.

mod file_limit;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use actix::{Actor, Arbiter};
use actix_web::dev::Server;
use actix_web::web;
use tokio::sync::{Semaphore, watch};

use crate::actors::activity_flusher::ActivityFlusher;
use crate::actors::alarms::Waker;
use crate::actors::change_watcher::ChangeWatcher;
use crate::actors::mailer::{Mailer, PostOffice};
use crate::actors::publisher::Publisher;
use crate::actors::registry::{Dependencies, Registry};
use crate::actors::revocations::Revocations;
use crate::actors::sighting::SightingFlusher;
use crate::actors::stats::Stats;
use crate::actors::supervise::{Supervised, supervise};
use crate::actors::sweeper::Sweeper;
use crate::bus::redis::RedisBus;
use crate::bus::{Bus, BusError};
use crate::clock::{Clock, Moment};
use crate::config::{Config, Feature};
use crate::domain::policy::{Policies, Policy};
use crate::http::health::Probe;
use crate::http::limits::RateLimits;
use crate::http::server::serve;
use crate::http::state::AppState;
use crate::io::Io;
use crate::mail::{MailError, Post};
use crate::security::access_token::AccessTokens;
use crate::security::challenge::Challenges;
use crate::security::encryption::Encryption;
use crate::security::keys::KeyError;
use crate::security::login_ticket::LoginTickets;
use crate::security::password::PasswordPool;
use crate::security::password_rules::PasswordRules;
use crate::security::peer_key::PeerKey;
use crate::security::refresh_token::RefreshTokens;
use crate::security::ticket::Tickets;
use crate::storage::{OpenError, StorageError, Store, StoreOptions};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pseudonyms::Pseudonyms;
use crate::telemetry::traces::{TraceError, Traces};

/// How often, and how far apart, it is asked at start whether the feed of changes has been read.
const FIRST_LOOK_TRIES: usize = 400;
const FIRST_LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How often it is asked at start whether the other nodes are heard.
const LISTENING_TRIES: usize = 200;

/// How long a user's actor stays with nothing to do. What keeps it is a further message, and those come
/// together: the requests with which a page begins.
const REST_AFTER: Duration = Duration::from_secs(10);

/// Why the service does not start. In words for an operator.
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
    /// `REDIS_URL` has no meaning, or leads to what cannot serve.
    #[error("cannot use REDIS_URL: {0}")]
    Redis(#[from] BusError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The address cannot be had.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// `HOST`.
        host: String,
        /// `PORT`.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start the password threads: {0}")]
    Threads(std::io::Error),
    /// Traces have nowhere to go.
    #[error(transparent)]
    Traces(#[from] TraceError),
    /// A metric is registered twice.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Mails cannot be made, or not be sent.
    #[error(transparent)]
    Mail(#[from] MailError),
}

/// The service, listening.
pub struct App {
    server: Server,
    addresses: Vec<SocketAddr>,
    state: web::Data<AppState>,
    flusher: Supervised<ActivityFlusher>,
    /// Where there is somebody to publish for.
    publisher: Option<Supervised<Publisher>>,
    /// None where mail is off.
    mailer: Option<Supervised<Mailer>>,
}

impl App {
    /// Opens what is needed and listens. Call it on an actix system.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running but threads that end with the process.
    pub async fn start(config: Config, io: Io) -> Result<Self, StartError> {
        let started = Instant::now();
        file_limit::raise(&config);
        let metrics = Metrics::new()?;
        let access_tokens = AccessTokens::new(&config.tokens)?;
        let (kid, previous) = access_tokens.keyring().in_use();
        AuditEvent::KeyLoaded(kid, previous).record(&metrics);
        let traces = Traces::start(&config.traces, &io)?;
        let encryption = Encryption::new(&config.encryption).map(Arc::new);
        let office = post_office(&config, encryption.clone(), &io)?;
        let store = open_store(&config, &io, &metrics).await?;
        let bus = open_bus(&config, &io, &metrics).await?;
        let registry = Registry::new(
            dependencies(&config, store, bus.clone(), &metrics),
            config.limits.max_resident_users,
        );
        if !registry.store().is_shared() {
            // Nobody else can change them.
            registry.api_keys().learn(registry.store().list_api_keys().await?, Moment::now());
        }
        for _ in 0..config.http.workers {
            // It runs until the process ends.
            registry.add_arbiter(Arbiter::new().handle());
        }
        if let Bus::Redis(redis) = &bus {
            redis.listen(registry.clone());
            hears_others(redis).await;
        }
        let state = web::Data::new(AppState {
            passwords: PasswordPool::start(&config.password, metrics.clone()).map_err(StartError::Threads)?,
            password_rules: PasswordRules::new(
                &config.password,
                &config.service_name,
                io.clone(),
                metrics.clone(),
            ),
            refresh_tokens: RefreshTokens::new(&config.tokens),
            tickets: Tickets::new(&config.tokens),
            encryption,
            login_tickets: LoginTickets::new(&config.tokens),
            challenges: Challenges::new(&config.tokens),
            limits: RateLimits::new(
                config.rate_limits,
                Pseudonyms::new(&config.tokens.refresh_secret),
                bus,
                metrics.clone(),
            ),
            stats: Stats::default(),
            revocations: Revocations::default(),
            shutting_down: Arc::new(AtomicBool::new(false)),
            registry: registry.clone(),
            closing: watch::Sender::new(false),
            connections: Arc::new(Semaphore::new(config.limits.max_connections_per_node)),
            access_tokens,
            traces,
            probe: Probe::default(),
            started,
            config,
        });
        let forgetting = state.clone();
        actix::spawn(async move { forgetting.limits.forget_expired(|| forgetting.now()).await });
        let sessions = &state.config.sessions;
        let (at_most, retention) = (sessions.activity_flush, sessions.retention);
        let bound = sessions.max_staleness;
        let (flushing, publishing, sweeping) = (registry.clone(), registry.clone(), registry.clone());
        let waking = registry.clone();
        supervise("waker", metrics.clone(), move || Waker::new(waking.clone()).start());
        let (sighting, grace) = (registry.clone(), state.config.tokens.refresh_reuse_grace);
        supervise("sighting_flusher", metrics.clone(), move || {
            SightingFlusher::new(sighting.clone(), grace).start()
        });
        let flusher = supervise("activity_flusher", metrics.clone(), move || {
            ActivityFlusher::new(flushing.clone(), at_most).start()
        });
        let publisher = state.config.redis.is_some().then(|| {
            supervise("publisher", metrics.clone(), move || Publisher::new(publishing.clone()).start())
        });
        if publisher.is_none() {
            tracing::info!("events.not_published: REDIS_URL is not set");
        }
        if registry.store().is_shared() {
            let watching = registry.clone();
            supervise("change_watcher", metrics.clone(), move || {
                ChangeWatcher::new(watching.clone(), bound).start()
            });
            if !first_look(&registry).await {
                tracing::warn!("feed.not_read_at_start");
            }
        }
        supervise("sweeper", metrics, move || Sweeper::new(sweeping.clone(), retention).start());
        let mailer = office.map(|office| {
            let (registry, office) = (registry.clone(), Arc::new(office));
            let start = move || Mailer::new(registry.clone(), Arc::clone(&office)).start();
            supervise("mailer", state.metrics().clone(), start)
        });
        let counting = state.clone();
        actix::spawn(async move { counting.stats.run(&counting.registry).await });
        let (server, addresses) = serve(&state).map_err(|source| StartError::Listen {
            host: state.config.http.host.clone(),
            port: state.config.http.port,
            source,
        })?;
        Ok(Self { server, addresses, state, flusher, publisher, mailer })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until a signal, then shuts down in order.
    ///
    /// # Errors
    /// When the server fails, or a second signal ends the shutdown.
    pub async fn run(self) -> std::io::Result<()> {
        shutdown::run(self).await
    }
}

fn post_office(
    config: &Config,
    keys: Option<Arc<Encryption>>,
    io: &Io,
) -> Result<Option<PostOffice>, MailError> {
    let post = Post::new(config)?;
    Ok(post.zip(keys).map(|(post, keys)| PostOffice { post, keys, io: io.clone() }))
}

async fn open_store(config: &Config, io: &Io, metrics: &Metrics) -> Result<Store, StartError> {
    let database = config.database.clone();
    let options = StoreOptions {
        keeps_events: config.redis.is_some(),
        database,
        io: io.clone(),
        metrics: metrics.clone(),
        default_idle_timeout: config.sessions.timeout,
        addresses: config.http.addresses,
    };
    let store = Store::open(options).await?;
    if config.database.auto_migrate {
        let applied = store.migrate().await?;
        if applied > 0 {
            tracing::info!(migrations = applied, "database.migrated");
        }
    } else {
        match store.pending_migrations().await? {
            0 => {}
            missing => return Err(StartError::NotMigrated(missing)),
        }
    }
    store.insist_on_schema().await?;
    Ok(store)
}

/// Waits for the first poll of the feed, without which a node refuses protected requests. Whether it came.
async fn first_look(registry: &Registry) -> bool {
    for _ in 0..FIRST_LOOK_TRIES {
        if registry.freshness().is_fresh() {
            return true;
        }
        tokio::time::sleep(FIRST_LOOK_PAUSE).await;
    }
    false
}

/// Waits a moment until the other nodes are heard, if Redis is there: what they tell before is missed, and
/// only the feed makes up for it.
async fn hears_others(redis: &RedisBus) {
    for _ in 0..LISTENING_TRIES {
        if redis.listens() || !redis.is_up() {
            return;
        }
        tokio::time::sleep(FIRST_LOOK_PAUSE).await;
    }
}

async fn open_bus(config: &Config, io: &Io, metrics: &Metrics) -> Result<Bus, BusError> {
    match &config.redis {
        None => Ok(Bus::in_process()),
        Some(redis) => {
            let bus = RedisBus::new(redis, config.events.stream_max_len, io.clone(), metrics).await?;
            Ok(Bus::Redis(Arc::new(bus)))
        }
    }
}

fn dependencies(config: &Config, store: Store, bus: Bus, metrics: &Metrics) -> Dependencies {
    let shared = store.is_shared();
    Dependencies {
        store,
        clock: Clock::System,
        policies: policies(config, shared),
        max_staleness: shared.then_some(config.sessions.max_staleness),
        peer_key: Arc::new(PeerKey::new(&config.tokens)),
        bus,
        // One process publishes alone.
        outbox_lanes: if shared { config.events.outbox_lanes } else { 1 },
        service_name: config.service_name.as_str().into(),
        mails: config.has(Feature::Mail),
        activity_event_interval: config.sessions.activity_event_interval,
        rest_after: REST_AFTER,
        metrics: metrics.clone(),
    }
}

/// The rules' numbers, from the configuration; `shared` where several nodes may serve.
#[must_use]
pub fn policies(config: &Config, shared: bool) -> Policies {
    let (sessions, tokens) = (&config.sessions, &config.tokens);
    let must_show_more = |role| config.second_factors.is_required_of(role);
    Policies::by_role(|role| {
        let rules = sessions.for_role(role);
        Policy {
            idle_timeout: rules.timeout,
            lifetime: rules.lifetime,
            // A role that must show a second factor is not remembered for longer than usual.
            remember_timeout: sessions.remember_timeout.filter(|_| !must_show_more(role)),
            remember_lifetime: sessions.remember_lifetime.filter(|_| !must_show_more(role)),
            max_sessions: usize::try_from(rules.max_per_user).unwrap_or(usize::MAX),
            at_limit: rules.at_limit,
            refresh_reuse_grace: tokens.refresh_reuse_grace,
            access_expiry: tokens.access_expiry,
            warning: Some(rules.warning).filter(|warning| !warning.is_zero()),
            idle_margin: if shared { sessions.activity_flush } else { Duration::ZERO },
        }
    })
}
