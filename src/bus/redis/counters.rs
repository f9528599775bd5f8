//! Rate limits over all nodes: one atomic script a try. The window begins with the first try, as in the local counters.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{COUNTER_PATIENCE, RedisBus};
use crate::security::rate_limit::{Exceeded, Quota};

/// Answers -1 if the try is allowed, else how many ms the window still lasts. A refused try is not counted.
static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local used = tonumber(redis.call('GET', KEYS[1]) or '0')
         if used >= tonumber(ARGV[1]) then return math.max(redis.call('PTTL', KEYS[1]), 0) end
         if ARGV[3] == '1' and redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         return -1",
    )
});

impl RedisBus {
    pub(in crate::bus) async fn count(&self, key: &str, quota: Quota) -> Option<Result<(), Exceeded>> {
        self.run_counter(key, quota, true).await
    }

    pub(in crate::bus) async fn check(&self, key: &str, quota: Quota) -> Option<Result<(), Exceeded>> {
        self.run_counter(key, quota, false).await
    }

    /// Nothing when Redis gave no answer: then the caller counts for itself.
    async fn run_counter(&self, key: &str, quota: Quota, counts: bool) -> Option<Result<(), Exceeded>> {
        if !self.health.may_try() {
            return None;
        }
        let mut script = COUNT.key(format!("auth:rate:{key}"));
        let window = u64::try_from(quota.window.as_millis()).unwrap_or(u64::MAX);
        script.arg(quota.count).arg(window).arg(u8::from(counts));
        let mut connection = self.connection.manager();
        let asking = async move {
            tokio::time::timeout(COUNTER_PATIENCE, script.invoke_async::<i64>(&mut connection)).await
        };
        match self.io.run(asking).await {
            Ok(Ok(Ok(left))) => Some(match u64::try_from(left) {
                Ok(millis) => Err(Exceeded { retry_after: Duration::from_millis(millis) }),
                Err(_) => Ok(()),
            }),
            Ok(Ok(Err(_)) | Err(_)) | Err(_) => {
                self.health.note(false);
                None
            }
        }
    }
}
