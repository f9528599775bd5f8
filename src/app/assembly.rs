//! Creates each part from the configuration: store, bus, rules, and what requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::StartError;
use crate::actors::mailer::PostOffice;
use crate::actors::registry::{Dependencies, Registry};
use crate::actors::revocations::Revocations;
use crate::actors::stats::Stats;
use crate::bus::redis::RedisBus;
use crate::bus::{Bus, BusError};
use crate::clock::Clock;
use crate::config::{Config, Feature};
use crate::domain::policy::{Policies, Policy};
use crate::http::limits::RateLimits;
use crate::http::probe::Probe;
use crate::http::state::AppState;
use crate::io::Io;
use crate::mail::{MailError, Post};
use crate::security::access_token::AccessTokens;
use crate::security::challenge::Challenges;
use crate::security::encryption::Encryption;
use crate::security::login_ticket::LoginTickets;
use crate::security::password::PasswordPool;
use crate::security::password_rules::PasswordRules;
use crate::security::peer_key::PeerKey;
use crate::security::refresh_token::RefreshTokens;
use crate::security::ticket::Tickets;
use crate::storage::{Store, StoreOptions};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pseudonyms::Pseudonyms;
use crate::telemetry::traces::Traces;

/// How long a user's actor stays active without a message. Messages arrive in bursts, such as the requests
/// with which a page loads, so a short time is enough.
const PASSIVATE_AFTER: Duration = Duration::from_secs(10);

/// The parts of the shared state that are created before the rest.
pub(super) struct Parts {
    pub(super) registry: Registry,
    pub(super) bus: Bus,
    pub(super) metrics: Metrics,
    pub(super) access_tokens: AccessTokens,
    pub(super) encryption: Option<Arc<Encryption>>,
    pub(super) traces: Option<Traces>,
    pub(super) started: Instant,
}

/// The state that requests share.
pub(super) fn state(config: Config, io: &Io, parts: Parts) -> Result<AppState, StartError> {
    let Parts { registry, bus, metrics, access_tokens, encryption, traces, started } = parts;
    let (password, tokens) = (&config.password, &config.tokens);
    let pseudonyms = Pseudonyms::new(&tokens.refresh_secret);
    Ok(AppState {
        passwords: PasswordPool::start(password, metrics.clone()).map_err(StartError::Threads)?,
        password_rules: PasswordRules::new(password, &config.service_name, io.clone(), metrics.clone()),
        refresh_tokens: RefreshTokens::new(tokens),
        tickets: Tickets::new(tokens),
        encryption,
        login_tickets: LoginTickets::new(tokens),
        challenges: Challenges::new(tokens),
        limits: RateLimits::new(config.rate_limits, pseudonyms, bus, metrics),
        stats: Stats::default(),
        revocations: Revocations::default(),
        shutting_down: Arc::new(AtomicBool::new(false)),
        registry,
        closing: watch::Sender::new(false),
        connections: Arc::new(Semaphore::new(config.limits.max_connections_per_node)),
        access_tokens,
        traces,
        probe: Probe::default(),
        started,
        config,
    })
}

pub(super) fn post_office(
    config: &Config,
    keys: Option<Arc<Encryption>>,
    io: &Io,
) -> Result<Option<PostOffice>, MailError> {
    let post = Post::new(config)?;
    Ok(post.zip(keys).map(|(post, keys)| PostOffice { post, keys, io: io.clone() }))
}

pub(super) async fn open_store(config: &Config, io: &Io, metrics: &Metrics) -> Result<Store, StartError> {
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

pub(super) async fn open_bus(config: &Config, io: &Io, metrics: &Metrics) -> Result<Bus, BusError> {
    match &config.redis {
        None => Ok(Bus::in_process()),
        Some(redis) => {
            let bus = RedisBus::new(redis, config.events.stream_max_len, io.clone(), metrics).await?;
            Ok(Bus::Redis(Arc::new(bus)))
        }
    }
}

pub(super) fn dependencies(config: &Config, store: Store, bus: Bus, metrics: &Metrics) -> Dependencies {
    let shared = store.is_shared();
    Dependencies {
        store,
        clock: Clock::System,
        policies: policies(config, shared),
        max_staleness: shared.then_some(config.sessions.max_staleness),
        peer_key: Arc::new(PeerKey::new(&config.tokens)),
        bus,
        // A single process is the only publisher.
        outbox_lanes: if shared { config.events.outbox_lanes } else { 1 },
        service_name: config.service_name.as_str().into(),
        mails: config.has(Feature::Mail),
        activity_event_interval: config.sessions.activity_event_interval,
        rest_after: PASSIVATE_AFTER,
        metrics: metrics.clone(),
    }
}

/// The rules' numbers, from the configuration; `shared` if several nodes may serve.
#[must_use]
pub fn policies(config: &Config, shared: bool) -> Policies {
    let (sessions, tokens) = (&config.sessions, &config.tokens);
    let must_show_more = |role| config.second_factors.is_required_of(role);
    Policies::by_role(|role| {
        let rules = sessions.for_role(role);
        Policy {
            idle_timeout: rules.timeout,
            lifetime: rules.lifetime,
            // A role that must present a second factor is not remembered for longer than usual.
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
