//! How often a client gets, without a pause, what no quota counts: refusals, and what needs no credentials.
//!
//! Each costs little, but a client can ask for them without end. A gateway takes pipelined requests apart and
//! sends the next one after the response, so a pause slows it down too.

use std::net::IpAddr;
use std::time::Duration;

use super::{RateLimits, Whom};
use crate::domain::time::Timestamp;
use crate::security::rate_limit::Quota;

/// Of one address in one second: far more than its pages, probes and tools need.
const FREE: Quota = Quota { count: 100, window: Duration::from_secs(1) };
/// The pause before each further response.
pub(in crate::http) const PAUSE: Duration = Duration::from_millis(50);

impl RateLimits {
    /// Counts a response that no quota counts. The pause that must precede it, if any.
    pub(in crate::http) fn pause_before(&self, address: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        if !self.config.enabled {
            return None;
        }
        let key = self.pseudonyms.counter("pace", &Whom::Address(address).name());
        self.counters.count(key, FREE, now).is_err().then_some(PAUSE)
    }
}
