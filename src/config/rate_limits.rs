//! How often one caller may ask.
//!
//! It must never turn a mistyped limit into none: only a plain 0 means that.

use super::source::{Listing, Source};

/// No limit is set higher than this: it would be none.
const HIGHEST: u32 = 1_000_000;

/// The limits; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Whether any limit holds.
    pub enabled: bool,
    /// Logins per minute and address.
    pub login_per_minute: u32,
    /// Failed logins per minute, account and address.
    pub login_failures_per_minute: u32,
    /// Sign-ups per hour and address.
    pub signup_per_hour: u32,
    /// Refreshes per minute and session.
    pub refresh_per_minute: u32,
    /// Other requests per minute and user, counted on each node alone.
    pub api_per_minute: u32,
}

impl RateLimitConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        let mut limit = |name, default| source.integer(name, default, 0..=HIGHEST);
        RateLimitConfig {
            login_per_minute: limit("RATE_LIMIT_LOGIN_PER_MINUTE", 20),
            login_failures_per_minute: limit("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 10),
            signup_per_hour: limit("RATE_LIMIT_SIGNUP_PER_HOUR", 30),
            refresh_per_minute: limit("RATE_LIMIT_REFRESH_PER_MINUTE", 60),
            api_per_minute: limit("RATE_LIMIT_API_PER_MINUTE", 600),
            enabled: source.boolean("RATE_LIMIT_ENABLED", true),
        }
    }

    pub(super) fn list(&self, listing: &mut Listing) {
        listing.extend([
            ("RATE_LIMIT_ENABLED", self.enabled.to_string()),
            ("RATE_LIMIT_LOGIN_PER_MINUTE", self.login_per_minute.to_string()),
            ("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", self.login_failures_per_minute.to_string()),
            ("RATE_LIMIT_SIGNUP_PER_HOUR", self.signup_per_hour.to_string()),
            ("RATE_LIMIT_REFRESH_PER_MINUTE", self.refresh_per_minute.to_string()),
            ("RATE_LIMIT_API_PER_MINUTE", self.api_per_minute.to_string()),
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};

    #[test]
    fn zero_is_no_limit_and_nonsense_is_refused() {
        let limits =
            parse(&[("RATE_LIMIT_LOGIN_PER_MINUTE", "0"), ("RATE_LIMIT_ENABLED", "off")]).rate_limits;
        assert_eq!((limits.enabled, limits.login_per_minute, limits.signup_per_hour), (false, 0, 30));
        assert_eq!(refused(&[("RATE_LIMIT_API_PER_MINUTE", "-1")]), ["RATE_LIMIT_API_PER_MINUTE"]);
        assert_eq!(refused(&[("RATE_LIMIT_ENABLED", "maybe")]), ["RATE_LIMIT_ENABLED"]);
    }
}
