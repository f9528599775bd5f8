//! How often a client gets, without a pause, refusals and what needs no credentials.
//!
//! Each costs little, but a client can ask for them without end. A gateway takes pipelined requests apart and
//! sends the next one after the response, so a pause slows it down too.

use std::net::IpAddr;
use std::time::Duration;

use super::{RateLimits, Whom};
use crate::domain::time::Timestamp;
use crate::security::rate_limit::Quota;

/// Of one address, 400 a second: more than pages, probes and a client that asks one by one need. The window
/// is short, because what is free is asked for at its beginning.
const FREE: Quota = Quota { count: 40, window: Duration::from_millis(100) };
/// The pause before each further response.
pub(in crate::http) const PAUSE: Duration = Duration::from_millis(100);

impl RateLimits {
    /// Counts such a response. The pause that must precede it, if any.
    pub(in crate::http) fn pause_before(&self, address: Option<IpAddr>, now: Timestamp) -> Option<Duration> {
        if !self.config.enabled {
            return None;
        }
        let key = self.pseudonyms.counter("pace", &Whom::Address(address).name());
        self.counters.count(key, FREE, now).is_err().then_some(PAUSE)
    }
}
