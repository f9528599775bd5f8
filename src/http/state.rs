//! What handlers work with.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use tokio::sync::{Semaphore, watch};

use super::limits::RateLimits;
use super::probe::Probe;
use crate::actors::registry::Registry;
use crate::actors::revocations::Revocations;
use crate::actors::stats::Stats;
use crate::bus::Bus;
use crate::config::{Config, Feature};
use crate::domain::ids::UserId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::http::problem::Problem;
use crate::security::access_token::{AccessToken, AccessTokens, Grant};
use crate::security::challenge::Challenges;
use crate::security::encryption::Encryption;
use crate::security::login_ticket::LoginTickets;
use crate::security::password::PasswordPool;
use crate::security::password_rules::PasswordRules;
use crate::security::refresh_token::{RefreshToken, RefreshTokens};
use crate::security::ticket::Tickets;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Traces;

/// Shared by all workers.
#[derive(Debug)]
pub struct AppState {
    /// Whether the database answers.
    pub probe: Probe,
    /// The checked configuration.
    pub config: Config,
    /// The user actors.
    pub registry: Registry,
    /// The rules for new passwords.
    pub password_rules: PasswordRules,
    /// The threads that hash passwords.
    pub passwords: PasswordPool,
    /// Signs and verifies access tokens.
    pub access_tokens: AccessTokens,
    /// Signs and verifies refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Signs and verifies tickets for live connections.
    pub tickets: Tickets,
    /// Signs and verifies tickets of sign-ins that are under way.
    pub login_tickets: LoginTickets,
    /// Creates and verifies challenges for passkeys.
    pub challenges: Challenges,
    /// Keys for sealed data and for codes; `None` without `ENCRYPTION_SECRET`.
    pub encryption: Option<Arc<Encryption>>,
    /// The rate limits.
    pub limits: RateLimits,
    /// Numbers for operators.
    pub stats: Stats,
    /// The services that follow session endings.
    pub revocations: Revocations,
    /// Creates the spans of requests, if a collector is configured.
    pub traces: Option<Traces>,
    /// Whether the node is shutting down.
    pub shutting_down: Arc<AtomicBool>,
    /// Notifies open connections when they must end.
    pub closing: watch::Sender<bool>,
    /// Open connections that this node may still take.
    pub connections: Arc<Semaphore>,
    /// When the process began to serve.
    pub started: Instant,
}

/// The state as one worker has it, for what is requested most: taking it changes a count of this worker's
/// own, and not one in memory that all cores write to.
#[derive(Clone, Debug)]
pub struct WorkerState(Rc<web::Data<AppState>>);

impl WorkerState {
    /// For the current worker.
    #[must_use]
    pub fn new(state: web::Data<AppState>) -> Self {
        Self(Rc::new(state))
    }
}

impl Deref for WorkerState {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

impl FromRequest for WorkerState {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<Self>().cloned();
        ready(state.ok_or_else(|| Problem::unavailable(NoState)))
    }
}

/// A worker that was put together wrongly.
#[derive(Debug, thiserror::Error)]
#[error("the application has no state")]
pub(super) struct NoState;

impl AppState {
    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.registry.clock().now()
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.registry.store()
    }

    /// The bus to other nodes and services.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.registry.dependencies().bus
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.registry.metrics()
    }

    /// Lets a request that needs the database proceed, unless it would wait too long: then it is refused
    /// immediately.
    ///
    /// # Errors
    /// 503 `overloaded`.
    pub fn shed_load(&self) -> Result<(), Problem> {
        if self.store().is_overloaded() {
            self.metrics().requests_shed.inc();
            return Err(Problem::overloaded());
        }
        Ok(())
    }

    /// Lets a request for an optional feature proceed, unless the feature is off: then there is no such
    /// route.
    ///
    /// # Errors
    /// 404 `not_found`.
    pub fn need(&self, feature: Feature) -> Result<(), Problem> {
        if self.config.has(feature) { Ok(()) } else { Err(Problem::not_found()) }
    }

    /// The keys for sealed data and for codes.
    ///
    /// # Errors
    /// 404 `not_found` without `ENCRYPTION_SECRET`: then the features that need the keys are off.
    pub fn encryption(&self) -> Result<&Encryption, Problem> {
        self.encryption.as_deref().ok_or_else(Problem::not_found)
    }

    /// Whether shutdown has begun.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down.load(Ordering::Relaxed)
    }

    /// Signs the tokens of a session: a new access token, and the refresh token of the current
    /// generation.
    ///
    /// # Errors
    /// 503 if the keys cannot sign, which loading them has ruled out.
    pub fn sign_tokens(
        &self,
        user: UserId,
        role: Role,
        session: &Session,
    ) -> Result<(AccessToken, RefreshToken), Problem> {
        // Never valid for longer than was announced for the session's last token, however long the commit
        // took.
        let latest = session.tokens_expire_at.minus(self.config.tokens.access_expiry);
        let access = self.access_tokens.sign(Grant::of(user, role, session), self.now().min(latest));
        let refresh = self.refresh_tokens.sign(user, session.id(), session.refresh);
        let signed = access.and_then(|access| Ok((access, refresh?))).map_err(Problem::unavailable)?;
        for kind in ["access", "refresh"] {
            self.metrics().tokens_generated.with_label_values(&[kind]).inc();
        }
        Ok(signed)
    }
}
