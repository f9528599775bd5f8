//! The limits on failed logins, over time.

use super::*;

/// The longer somebody goes on, the longer the wait; from another address the account's owner can still
/// sign in.
#[tokio::test]
async fn an_attacker_who_goes_on_waits_longer() {
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
    let pseudonyms = Pseudonyms::new(&crate::config::Secret::new("a secret"));
    let limits = RateLimits::new(config, pseudonyms, Bus::in_process(), Metrics::new().unwrap());
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
