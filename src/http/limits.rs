//! How often things may be done, by the numbers of the configuration. A refusal is counted in `auth_rate_limited_total`.

use std::net::IpAddr;
use std::time::Duration;

use crate::actors::registry::Shared;
use crate::bus::Bus;
use crate::config::RateLimitConfig;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::security::rate_limit::{Exceeded, Limit, LocalCounters, Quota};
use crate::telemetry::audit::Act;
use crate::telemetry::metrics::Metrics;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The service's rate limits.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    counters: LocalCounters,
    bus: Bus,
    metrics: Metrics,
}

impl RateLimits {
    /// With these numbers, counted over all nodes where the bus reaches them, else on this one.
    #[must_use]
    pub fn new(config: RateLimitConfig, bus: Bus, metrics: Metrics) -> Self {
        Self { config, counters: LocalCounters::default(), bus, metrics }
    }

    /// Counts a login from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn login(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Login, &address_key(address), now).await
    }

    /// Whether that account may be tried from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn check_login_failures(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let (limit, key) = (Limit::LoginFailures, account_key(email, address));
        let quota = self.quota(limit);
        let checked = match self.over_nodes(limit, quota) {
            true => self.bus.check(&shared_key(limit, &key), quota).await,
            false => None,
        };
        self.told(limit, checked.unwrap_or_else(|| self.counters.check(limit, &key, quota, now)))
    }

    /// Counts a failed login of that account from that address.
    pub async fn login_failed(&self, email: &str, address: Option<IpAddr>, now: Timestamp) {
        // The failure itself is answered as what it is; the next one is refused before it is tried.
        let _ = self.try_count(Limit::LoginFailures, &account_key(email, address), now).await;
    }

    /// Counts a sign-up from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn signup(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Signup, &address_key(address), now).await
    }

    /// Counts a refresh of that session.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn refresh(&self, session: SessionId, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Refresh, &session.to_string(), now).await
    }

    /// Counts another request of that user, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn api(&self, user: &Shared, now: Timestamp) -> Result<(), Exceeded> {
        self.told(Limit::Api, user.api_requests.count(self.quota(Limit::Api), now))
    }

    async fn count(&self, limit: Limit, key: &str, now: Timestamp) -> Result<(), Exceeded> {
        self.told(limit, self.try_count(limit, key, now).await)
    }

    async fn try_count(&self, limit: Limit, key: &str, now: Timestamp) -> Result<(), Exceeded> {
        let quota = self.quota(limit);
        let counted = match self.over_nodes(limit, quota) {
            true => self.bus.count(&shared_key(limit, key), quota).await,
            false => None,
        };
        counted.unwrap_or_else(|| self.counters.count(limit, key, quota, now))
    }

    /// Whether there is anything to count over the nodes.
    fn over_nodes(&self, limit: Limit, quota: Quota) -> bool {
        quota.count > 0 && limit != Limit::Api
    }

    fn told(&self, limit: Limit, result: Result<(), Exceeded>) -> Result<(), Exceeded> {
        if result.is_err() {
            self.metrics.rate_limited.with_label_values(&[limit.as_str()]).inc();
            Act::LimitHit(limit.as_str()).record(&self.metrics);
        }
        result
    }

    fn quota(&self, limit: Limit) -> Quota {
        let config = &self.config;
        let (count, window) = match limit {
            Limit::Login => (config.login_per_minute, MINUTE),
            Limit::LoginFailures => (config.login_failures_per_minute, MINUTE),
            Limit::Signup => (config.signup_per_hour, HOUR),
            Limit::Refresh => (config.refresh_per_minute, MINUTE),
            Limit::Api => (config.api_per_minute, MINUTE),
        };
        Quota { count: if config.enabled { count } else { 0 }, window }
    }
}

/// An IPv6 client has a network of 2^64 addresses to try from, so the network counts and not the address.
fn address_key(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Some(IpAddr::V4(address)) => address.to_string(),
        None => String::new(),
    }
}

fn shared_key(limit: Limit, key: &str) -> String {
    format!("{}:{key}", limit.as_str())
}

fn account_key(email: &str, address: Option<IpAddr>) -> String {
    format!("{} {email}", address_key(address))
}
