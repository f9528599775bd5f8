//! How often things may be done, by the numbers of the configuration. A refusal is counted in `auth_rate_limited_total`.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::future::join_all;

use crate::actors::registry::UserSlot;
use crate::bus::Bus;
use crate::config::RateLimitConfig;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::security::rate_limit::{Counted, Exceeded, Limit, LocalCounters, Quota, Usage};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::metrics::Metrics;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// How many times the failures of a minute are allowed in a longer window. So whoever goes on guessing waits longer and
/// longer; and because an account is counted for each address by itself, nobody can shut another's owner out.
const FAILURE_WINDOWS: [(u32, Duration); 3] = [(1, MINUTE), (3, Duration::from_secs(15 * 60)), (6, HOUR)];

/// How many times the mails of one client to an address all clients together may have sent there.
const MAILS_FROM_ANYWHERE: u32 = 4;

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
    pub async fn login(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        self.count(Limit::Login, &address_key(address), self.config.login_per_minute, MINUTE, now).await
    }

    /// Whether that account may be tried from that address.
    ///
    /// # Errors
    /// [`Exceeded`], of the window that lasts longest.
    pub async fn check_login_failures(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let key = account_key(email, address);
        let checks = self.failure_quotas(&key).map(async |(key, quota)| match quota.count {
            0 => Ok(None),
            _ => match self.bus.check(&key, quota).await {
                Some(checked) if !self.bus.may_forget() => checked,
                Some(Err(exceeded)) => Err(exceeded),
                Some(Ok(_)) | None => self.counters.check(&key, quota, now),
            },
        });
        self.told_longest(join_all(checks).await)
    }

    /// Counts a failed login of that account from that address.
    ///
    /// # Errors
    /// [`Exceeded`] where others have used the quota up meanwhile: then this one is refused too, or whoever guesses many at
    /// once would learn more than the quota allows.
    pub async fn login_failed(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let key = account_key(email, address);
        let counts =
            self.failure_quotas(&key).map(async |(key, quota)| self.try_count(&key, quota, now).await);
        self.told_longest(join_all(counts).await)
    }

    /// Counts a sign-up from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn signup(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        self.count(Limit::Signup, &address_key(address), self.config.signup_per_hour, HOUR, now).await
    }

    /// Counts a refresh of that session.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn refresh(&self, session: SessionId, now: Timestamp) -> Counted {
        self.count(Limit::Refresh, &session.to_string(), self.config.refresh_per_minute, MINUTE, now).await
    }

    /// Counts another request of that user, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn api(&self, user: &UserSlot, now: Timestamp) -> Counted {
        self.told(Limit::Api, user.api_requests.count(self.quota(self.config.api_per_minute, MINUTE), now))
    }

    /// Counts another request of that user that a gateway asks about, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn verify(&self, user: UserId, now: Timestamp) -> Counted {
        self.count_here(Limit::Verify, user, self.config.verify_per_minute, now)
    }

    /// Counts another request with that API key, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn admin(&self, key: &str, now: Timestamp) -> Counted {
        self.count_here(Limit::Admin, key, self.config.admin_per_minute, now)
    }

    fn count_here(&self, limit: Limit, key: impl Display, most: u32, now: Timestamp) -> Counted {
        let quota = self.quota(most, MINUTE);
        if quota.count == 0 {
            return Ok(None);
        }
        self.told(limit, self.counters.count(&format!("{}:{key}", limit.as_str()), quota, now))
    }

    /// Counts a request that mails something, from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn mail_request(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        let most = self.config.mail_requests_per_hour;
        self.count(Limit::MailRequests, &address_key(address), most, HOUR, now).await
    }

    /// Counts a mail to an address, asked for from another; whether it may be sent. The answer must not depend on it.
    pub async fn mail(&self, to: &str, address: Option<IpAddr>, now: Timestamp) -> bool {
        let most = self.config.mail_per_hour;
        let (pair, all) = (account_key(to, address), account_key(to, None));
        let by_pair = self.count(Limit::Mail, &pair, most, HOUR, now).await;
        let anywhere = most.saturating_mul(MAILS_FROM_ANYWHERE);
        by_pair.is_ok() && self.count(Limit::Mail, &all, anywhere, HOUR, now).await.is_ok()
    }

    /// Whether another code may be tried by whom `key` names.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn check_code_failures(&self, key: &str, now: Timestamp) -> Result<(), Exceeded> {
        let quota = self.quota(self.config.code_failures_per_hour, HOUR);
        if quota.count == 0 {
            return Ok(());
        }
        let key = format!("{}:{key}", Limit::CodeFailures.as_str());
        let checked = self.bus.check(&key, quota).await;
        let checked = checked.unwrap_or_else(|| self.counters.check(&key, quota, now));
        self.told(Limit::CodeFailures, checked).map(drop)
    }

    /// Counts a wrong code of whom `key` names.
    ///
    /// # Errors
    /// [`Exceeded`] where others have used the quota up meanwhile.
    pub async fn code_failed(&self, key: &str, now: Timestamp) -> Result<(), Exceeded> {
        let most = self.config.code_failures_per_hour;
        self.count(Limit::CodeFailures, key, most, HOUR, now).await.map(drop)
    }

    async fn count(&self, limit: Limit, key: &str, most: u32, window: Duration, now: Timestamp) -> Counted {
        let key = format!("{}:{key}", limit.as_str());
        self.told(limit, self.try_count(&key, self.quota(most, window), now).await)
    }

    async fn try_count(&self, key: &str, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        match self.bus.count(key, quota).await {
            Some(counted) if !self.bus.may_forget() => counted,
            // A Redis that evicts may have forgotten tries: what this node has counted holds too.
            Some(counted) => {
                let (over_all, here) = (counted?, self.counters.count(key, quota, now)?);
                Ok(over_all.into_iter().chain(here).min_by_key(|usage| usage.remaining))
            }
            None => self.counters.count(key, quota, now),
        }
    }

    fn failure_quotas(&self, key: &str) -> impl Iterator<Item = (String, Quota)> {
        FAILURE_WINDOWS.into_iter().map(move |(times, window)| {
            let most = self.config.login_failures_per_minute.saturating_mul(times);
            let limit = Limit::LoginFailures.as_str();
            (format!("{limit}:{}:{key}", window.as_secs()), self.quota(most, window))
        })
    }

    fn told_longest(&self, results: Vec<Counted>) -> Result<(), Exceeded> {
        let refusals = results.into_iter().filter_map(Result::err);
        let longest = refusals.max_by_key(Exceeded::retry_after);
        self.told(Limit::LoginFailures, longest.map_or(Ok(None), Err)).map(drop)
    }

    fn told(&self, limit: Limit, result: Counted) -> Counted {
        if result.is_err() {
            self.metrics.rate_limited.with_label_values(&[limit.as_str()]).inc();
            AuditEvent::LimitHit(limit.as_str()).record(&self.metrics);
        }
        result
    }

    fn quota(&self, most: u32, window: Duration) -> Quota {
        Quota { count: if self.config.enabled { most } else { 0 }, window }
    }
}

/// `RateLimit-*` as most clients know them (draft-ietf-httpapi-ratelimit-headers-06), in whole seconds.
pub fn usage_headers(usage: &Usage) -> [(HeaderName, HeaderValue); 4] {
    let Usage { quota, remaining, reset } = usage;
    let policy = format!("{};w={}", quota.count, quota.window.as_secs());
    [
        (HeaderName::from_static("ratelimit-limit"), HeaderValue::from(quota.count)),
        (HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(*remaining)),
        (HeaderName::from_static("ratelimit-reset"), HeaderValue::from(whole_seconds(*reset))),
        (
            HeaderName::from_static("ratelimit-policy"),
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
        ),
    ]
}

/// Never less than there are, and at least one.
pub fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// Notes what the answer to this request is to tell of a quota.
pub fn note_usage(request: &HttpRequest, usage: Option<Usage>) {
    if let Some(usage) = usage {
        request.extensions_mut().insert(usage);
    }
}

/// Whom wrong codes of mails are counted for: the client, since anybody may ask for codes of any address.
pub fn client_key(address: Option<IpAddr>) -> String {
    format!("client {}", address_key(address))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The longer somebody goes on, the longer the wait; from another address it is the account's owner who may come.
    #[tokio::test]
    async fn whoever_goes_on_guessing_waits_longer() {
        let config = RateLimitConfig {
            enabled: true,
            login_per_minute: 0,
            login_failures_per_minute: 2,
            signup_per_hour: 0,
            refresh_per_minute: 0,
            api_per_minute: 0,
            verify_per_minute: 0,
            admin_per_minute: 0,
            mail_per_hour: 0,
            mail_requests_per_hour: 0,
            code_failures_per_hour: 0,
        };
        let limits = RateLimits::new(config, Bus::in_process(), Metrics::new().unwrap());
        let (guesser, owner) = (Some([203, 0, 113, 1].into()), Some([203, 0, 113, 2].into()));
        let mut now = Timestamp::from_millis(1_700_000_000_000);
        let mut waits = Vec::new();
        for _ in 0..20 {
            match limits.check_login_failures("ada@example.com", guesser, now).await {
                Ok(()) => limits.login_failed("ada@example.com", guesser, now).await.unwrap(),
                Err(exceeded) => {
                    waits.push(exceeded.retry_after().as_secs());
                    now = now.plus(exceeded.retry_after());
                }
            }
        }
        assert_eq!(waits, [60, 60, 13 * 60, 60, 60, 43 * 60]);
        assert_eq!(limits.check_login_failures("ada@example.com", owner, now).await, Ok(()));
    }
}
