//! Rate limits across all nodes: one atomic script per attempt. The window begins with the first
//! attempt, as in the local counters.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{COUNTER_TIMEOUT, RedisBus};
use crate::bus::BusError;
use crate::security::rate_limit::{Counted, Exceeded, Quota, Usage};

/// Answers whether the attempt is refused, how many there were including it, and how many ms the window
/// still lasts. A refused attempt is not counted.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local used = tonumber(redis.call('GET', KEYS[1]) or '0')
         local refused = used >= tonumber(ARGV[1])
         if not refused and ARGV[3] == '1' then
             used = redis.call('INCR', KEYS[1])
             if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         end
         return {refused and 1 or 0, used, math.max(redis.call('PTTL', KEYS[1]), 0)}",
    )
});

impl RedisBus {
    pub(in crate::bus) async fn count(&self, key: &str, quota: Quota) -> Option<Counted> {
        self.run_counter(key, quota, true).await
    }

    pub(in crate::bus) async fn check(&self, key: &str, quota: Quota) -> Option<Counted> {
        self.run_counter(key, quota, false).await
    }

    /// `None` if Redis gave no answer; then the caller counts locally.
    async fn run_counter(&self, key: &str, quota: Quota, counts: bool) -> Option<Counted> {
        if !self.health.may_try() {
            return None;
        }
        let mut script = COUNT.key(self.names.counter(key));
        let window = u64::try_from(quota.window.as_millis()).unwrap_or(u64::MAX);
        script.arg(quota.count).arg(window).arg(u8::from(counts));
        let mut connection = self.connection.line();
        let asking = async move {
            let answer = script.invoke_async::<(bool, u32, u64)>(&mut connection);
            tokio::time::timeout(COUNTER_TIMEOUT, answer).await
        };
        match self.io.run(asking).await {
            Ok(Ok(Ok((refused, used, reset)))) => {
                let reset = Duration::from_millis(reset);
                let remaining = quota.count.saturating_sub(used);
                Some(match refused {
                    true => Err(Exceeded::until(quota, reset)),
                    false => Ok(Some(Usage { quota, remaining, reset })),
                })
            }
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => {
                self.health.note(Some(&BusError::TimedOut));
                None
            }
        }
    }
}
