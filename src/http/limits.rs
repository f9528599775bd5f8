//! How often things may be done, by the numbers of the configuration. A refusal is counted in `auth_rate_limited_total`.

use std::net::IpAddr;
use std::time::Duration;

use crate::actors::registry::Shared;
use crate::config::RateLimitConfig;
use crate::domain::ids::SessionId;
use crate::domain::time::Timestamp;
use crate::security::rate_limit::{Exceeded, Limit, LocalCounters, Quota};
use crate::telemetry::metrics::Metrics;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The service's rate limits.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    counters: LocalCounters,
    metrics: Metrics,
}

impl RateLimits {
    /// With these numbers.
    #[must_use]
    pub fn new(config: RateLimitConfig, metrics: Metrics) -> Self {
        Self { config, counters: LocalCounters::default(), metrics }
    }

    /// Counts a login from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn login(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Login, &address_key(address), now)
    }

    /// Whether that account may be tried from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn check_login_failures(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let key = account_key(email, address);
        let quota = self.quota(Limit::LoginFailures);
        self.told(Limit::LoginFailures, self.counters.check(Limit::LoginFailures, &key, quota, now))
    }

    /// Counts a failed login of that account from that address.
    pub fn login_failed(&self, email: &str, address: Option<IpAddr>, now: Timestamp) {
        // The failure itself is answered as what it is; the next one is refused before it is tried.
        let key = account_key(email, address);
        let _ = self.counters.count(Limit::LoginFailures, &key, self.quota(Limit::LoginFailures), now);
    }

    /// Counts a sign-up from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn signup(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Signup, &address_key(address), now)
    }

    /// Counts a refresh of that session.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn refresh(&self, session: SessionId, now: Timestamp) -> Result<(), Exceeded> {
        self.count(Limit::Refresh, &session.to_string(), now)
    }

    /// Counts another request of that user, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn api(&self, user: &Shared, now: Timestamp) -> Result<(), Exceeded> {
        self.told(Limit::Api, user.api_requests.count(self.quota(Limit::Api), now))
    }

    fn count(&self, limit: Limit, key: &str, now: Timestamp) -> Result<(), Exceeded> {
        self.told(limit, self.counters.count(limit, key, self.quota(limit), now))
    }

    fn told(&self, limit: Limit, result: Result<(), Exceeded>) -> Result<(), Exceeded> {
        if result.is_err() {
            self.metrics.rate_limited.with_label_values(&[limit.as_str()]).inc();
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

fn account_key(email: &str, address: Option<IpAddr>) -> String {
    format!("{} {email}", address_key(address))
}
