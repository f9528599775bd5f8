//! Assembles the service, and shuts it down in order. The only place that knows every concrete type.

mod assembly;
mod background;
mod file_limit;
mod shutdown;
mod start_error;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use actix::Arbiter;
use actix_web::dev::Server;
use actix_web::web;

use crate::actors::registry::Registry;
use crate::bus::Bus;
use crate::clock::Moment;
use crate::config::Config;
use crate::http::server::serve;
use crate::http::state::AppState;
use crate::io::Io;
use crate::security::access_token::AccessTokens;
use crate::security::encryption::Encryption;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;
use assembly::Parts;
use background::Background;

pub use assembly::policies;
pub use start_error::StartError;

/// The service, listening.
pub struct App {
    server: Server,
    addresses: Vec<SocketAddr>,
    state: web::Data<AppState>,
    background: Background,
}

impl App {
    /// Opens what is needed and listens. Must be called on an actix system.
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
        let office = assembly::post_office(&config, encryption.clone(), &io)?;
        let store = assembly::open_store(&config, &io, &metrics).await?;
        let bus = assembly::open_bus(&config, &io, &metrics).await?;
        let registry = Registry::new(
            assembly::dependencies(&config, store, bus.clone(), &metrics),
            config.limits.max_resident_users,
        );
        if !registry.store().is_shared() {
            // No other node can change them, so they are loaded once.
            registry.api_keys().learn(registry.store().list_api_keys().await?, Moment::now());
        }
        for _ in 0..config.http.workers {
            // It runs until the process ends.
            registry.add_arbiter(Arbiter::new().handle());
        }
        if let Bus::Redis(redis) = &bus {
            redis.listen(registry.clone());
            background::wait_until_subscribed(redis).await;
        }
        let parts = Parts { registry, bus, metrics, access_tokens, encryption, traces, started };
        let state = web::Data::new(assembly::state(config, &io, parts)?);
        let background = background::start(&state, office).await;
        let (server, addresses) = serve(&state).map_err(|source| StartError::Listen {
            host: state.config.http.host.clone(),
            port: state.config.http.port,
            source,
        })?;
        Ok(Self { server, addresses, state, background })
    }

    /// The addresses on which it listens.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until a signal, then shuts down in order.
    ///
    /// # Errors
    /// If the server fails, or a second signal ends the shutdown.
    pub async fn run(self) -> std::io::Result<()> {
        shutdown::run(self).await
    }
}
