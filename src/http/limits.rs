//! Rate limits, with the numbers of the configuration. A refusal is counted in `auth_rate_limited_total`.

mod pace;
mod usage;
mod whom;

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use crate::actors::user_slot::UserSlot;
use crate::bus::Bus;
use crate::config::RateLimitConfig;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::security::rate_limit::{Counted, Exceeded, Limit, LocalCounters, Quota};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::pseudonyms::{CounterKey, Pseudonyms};

pub use usage::{note_usage, usage_headers, whole_seconds};
pub use whom::Guesser;
use whom::Whom;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Failure windows: the limit per minute times this factor, in this time. So an attacker who goes on waits
/// longer and longer; and because an account's failures are counted for each address separately, nobody can
/// lock out the owner of another account.
const FAILURE_WINDOWS: [(u32, Duration); 3] = [(1, MINUTE), (3, Duration::from_secs(15 * 60)), (6, HOUR)];

/// All clients together may have this many times as many mails sent to one address as a single client may.
const MAILS_FROM_ANYWHERE: u32 = 4;

/// The service's rate limits.
#[derive(Debug)]
pub struct RateLimits {
    config: RateLimitConfig,
    counters: LocalCounters,
    /// Limits how many log lines report refusals.
    lines: LocalCounters,
    pseudonyms: Pseudonyms,
    bus: Bus,
    metrics: Metrics,
}

impl RateLimits {
    /// Limits with these numbers, counted over all nodes if the bus reaches them, else on this node.
    #[must_use]
    pub fn new(config: RateLimitConfig, pseudonyms: Pseudonyms, bus: Bus, metrics: Metrics) -> Self {
        let (counters, lines) = (LocalCounters::default(), LocalCounters::default());
        Self { config, counters, lines, pseudonyms, bus, metrics }
    }

    /// Counts a login from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn login(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        self.count(Limit::Login, Whom::Address(address), self.config.login_per_minute, MINUTE, now).await
    }

    /// Checks whether a login to that account may be tried from that address.
    ///
    /// # Errors
    /// [`Exceeded`], for the exhausted window that lasts longest.
    pub async fn check_login_failures(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let whom = Whom::Account(email, address);
        let checks = self
            .failure_quotas(whom)
            .map(async |(name, key, quota)| self.try_check(&name, key, quota, now).await);
        self.record_longest_refusal(whom, join_all(checks).await, now)
    }

    /// Counts a failed login to that account from that address.
    ///
    /// # Errors
    /// [`Exceeded`] if concurrent attempts have used the quota up meanwhile: then this one is refused too,
    /// otherwise many concurrent guesses would learn more than the quota allows.
    pub async fn login_failed(
        &self,
        email: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let whom = Whom::Account(email, address);
        let counts = self
            .failure_quotas(whom)
            .map(async |(name, key, quota)| self.try_count(&name, key, quota, now).await);
        self.record_longest_refusal(whom, join_all(counts).await, now)
    }

    /// Counts a sign-up from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn signup(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        self.count(Limit::Signup, Whom::Address(address), self.config.signup_per_hour, HOUR, now).await
    }

    /// Counts a refresh of that session.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn refresh(&self, session: SessionId, now: Timestamp) -> Counted {
        self.count(Limit::Refresh, Whom::Session(session), self.config.refresh_per_minute, MINUTE, now).await
    }

    /// Counts another request of that user, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn api(&self, user: UserId, slot: &UserSlot, now: Timestamp, on_refusal: impl FnOnce()) -> Counted {
        let counted = slot.api_requests.count(self.quota(self.config.api_per_minute, MINUTE), now);
        if counted.is_err() {
            on_refusal();
        }
        self.told(Limit::Api, Whom::User(user), counted, now)
    }

    /// Counts another request of that user that a gateway has asked to verify, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn verify(&self, user: UserId, now: Timestamp, on_refusal: impl FnOnce()) -> Counted {
        self.count_here(Limit::Verify, Whom::User(user), self.config.verify_per_minute, now, on_refusal)
    }

    /// Counts another request with that API key, on this node alone.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub fn admin(&self, key: &str, now: Timestamp) -> Counted {
        self.count_here(Limit::Admin, Whom::ApiKey(key), self.config.admin_per_minute, now, || ())
    }

    /// Reports that a client sent more messages than it may.
    pub fn too_many_messages(&self, session: SessionId, now: Timestamp) {
        let quota = Quota { count: 1, window: MINUTE };
        let refused = Err(Exceeded::until(quota, quota.window));
        // There is nothing to answer: the connection is closed.
        let _ = self.told(Limit::Messages, Whom::Session(session), refused, now);
    }

    /// Whether a log line about this kind of refusal may be written: one per minute for each client and
    /// kind, so that refused requests cannot fill the disk.
    #[must_use]
    pub fn may_log(&self, address: Option<IpAddr>, kind: &str, now: Timestamp) -> bool {
        let whom = format!("{kind} {}", Whom::Address(address).name());
        let once = Quota { count: 1, window: MINUTE };
        self.lines.count(self.pseudonyms.counter("line", &whom), once, now).is_ok()
    }

    /// The pseudonyms of accounts and networks in the log.
    #[must_use]
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// Forgets expired counters, every half minute.
    pub async fn forget_expired(&self, now: impl Fn() -> Timestamp) {
        let mut tick = tokio::time::interval(MINUTE / 2);
        loop {
            tick.tick().await;
            self.counters.forget_expired(now());
            self.lines.forget_expired(now());
        }
    }

    fn count_here(
        &self,
        limit: Limit,
        whom: Whom<'_>,
        most: u32,
        now: Timestamp,
        on_refusal: impl FnOnce(),
    ) -> Counted {
        let quota = self.quota(most, MINUTE);
        if quota.count == 0 {
            return Ok(None);
        }
        let key = self.pseudonyms.counter(limit.as_str(), &whom.name());
        let counted = self.counters.count(key, quota, now);
        if counted.is_err() {
            on_refusal();
        }
        self.told(limit, whom, counted, now)
    }

    /// Counts a request that mails something, from that address.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn mail_request(&self, address: Option<IpAddr>, now: Timestamp) -> Counted {
        let most = self.config.mail_requests_per_hour;
        self.count(Limit::MailRequests, Whom::Address(address), most, HOUR, now).await
    }

    /// Counts a mail to an address, requested from that client address; returns whether it may be sent. The
    /// response must not depend on the result.
    pub async fn mail(&self, to: &str, address: Option<IpAddr>, now: Timestamp) -> bool {
        let most = self.config.mail_per_hour;
        let (pair, all) = (Whom::Account(to, address), Whom::Account(to, None));
        let by_pair = self.count(Limit::Mail, pair, most, HOUR, now).await;
        let anywhere = most.saturating_mul(MAILS_FROM_ANYWHERE);
        by_pair.is_ok() && self.count(Limit::Mail, all, anywhere, HOUR, now).await.is_ok()
    }

    /// Whether another code may be tried.
    ///
    /// # Errors
    /// [`Exceeded`].
    pub async fn check_code_failures(&self, guesser: Guesser, now: Timestamp) -> Result<(), Exceeded> {
        let (limit, whom) = (Limit::CodeFailures, guesser.whom());
        let quota = self.quota(self.config.code_failures_per_hour, HOUR);
        let key = self.pseudonyms.counter(limit.as_str(), &whom.name());
        let checked = self.try_check(limit.as_str(), key, quota, now).await;
        self.told(limit, whom, checked, now).map(drop)
    }

    /// Counts a wrong code.
    ///
    /// # Errors
    /// [`Exceeded`] where others have used the quota up meanwhile.
    pub async fn code_failed(&self, guesser: Guesser, now: Timestamp) -> Result<(), Exceeded> {
        let most = self.config.code_failures_per_hour;
        self.count(Limit::CodeFailures, guesser.whom(), most, HOUR, now).await.map(drop)
    }

    async fn count(
        &self,
        limit: Limit,
        whom: Whom<'_>,
        most: u32,
        window: Duration,
        now: Timestamp,
    ) -> Counted {
        let key = self.pseudonyms.counter(limit.as_str(), &whom.name());
        let counted = self.try_count(limit.as_str(), key, self.quota(most, window), now).await;
        self.told(limit, whom, counted, now)
    }

    async fn try_count(&self, name: &str, key: CounterKey, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        match self.bus.count(&format!("{name}:{key}"), quota).await {
            Some(counted) if !self.bus.may_forget() => counted,
            // As in `try_check`.
            Some(counted) => {
                let (over_all, here) = (counted?, self.counters.count(key, quota, now)?);
                Ok(over_all.into_iter().chain(here).min_by_key(|usage| usage.remaining))
            }
            None => self.counters.count(key, quota, now),
        }
    }

    async fn try_check(&self, name: &str, key: CounterKey, quota: Quota, now: Timestamp) -> Counted {
        if quota.count == 0 {
            return Ok(None);
        }
        match self.bus.check(&format!("{name}:{key}"), quota).await {
            Some(checked) if !self.bus.may_forget() => checked,
            Some(Err(exceeded)) => Err(exceeded),
            // A Redis that evicts may have forgotten tries: what this node has counted holds too.
            Some(Ok(_)) | None => self.counters.check(key, quota, now),
        }
    }

    fn failure_quotas(&self, whom: Whom<'_>) -> impl Iterator<Item = (String, CounterKey, Quota)> {
        let whom = whom.name();
        FAILURE_WINDOWS.into_iter().map(move |(times, window)| {
            let most = self.config.login_failures_per_minute.saturating_mul(times);
            let name = format!("{}:{}", Limit::LoginFailures.as_str(), window.as_secs());
            let key = self.pseudonyms.counter(&name, &whom);
            (name, key, self.quota(most, window))
        })
    }

    fn record_longest_refusal(
        &self,
        whom: Whom<'_>,
        results: Vec<Counted>,
        now: Timestamp,
    ) -> Result<(), Exceeded> {
        let refusals = results.into_iter().filter_map(Result::err);
        let longest = refusals.max_by_key(Exceeded::retry_after);
        self.told(Limit::LoginFailures, whom, longest.map_or(Ok(None), Err), now).map(drop)
    }

    /// Counts every refusal, and logs the first in a window.
    fn told(&self, limit: Limit, whom: Whom<'_>, result: Counted, now: Timestamp) -> Counted {
        let Err(exceeded) = result else { return result };
        self.metrics.rate_limited.with_label_values(&[limit.as_str()]).inc();
        let event = AuditEvent::LimitHit(limit.as_str(), whom.subject(&self.pseudonyms, now));
        event.count(&self.metrics);
        let once = Quota { count: 1, window: exceeded.retry_after() };
        if self.lines.count(self.pseudonyms.counter(limit.as_str(), &whom.name()), once, now).is_ok() {
            event.log();
        }
        result
    }

    fn quota(&self, most: u32, window: Duration) -> Quota {
        Quota { count: if self.config.enabled { most } else { 0 }, window }
    }
}

#[cfg(test)]
mod tests;
