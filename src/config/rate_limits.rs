//! How many requests one caller may make.
//!
//! It must never turn a mistyped limit into no limit: only a plain 0 means that.

use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("RATE_LIMIT_ENABLED", Form::Boolean, Preset::Value("true"), "Whether any limit applies."),
    limit("RATE_LIMIT_LOGIN_PER_MINUTE", "20", "Logins per minute and address."),
    limit("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", "10", "Failed logins per minute, account and address."),
    limit("RATE_LIMIT_SIGNUP_PER_HOUR", "30", "Sign-ups per hour and address."),
    limit("RATE_LIMIT_REFRESH_PER_MINUTE", "60", "Refreshes per minute and session."),
    limit(
        "RATE_LIMIT_API_PER_MINUTE",
        "600",
        "Requests with an access token per minute and user, on each node.",
    ),
    limit(
        "RATE_LIMIT_ADMIN_PER_MINUTE",
        "600",
        "Requests under `/admin` per minute and API key, on each node.",
    ),
    limit("RATE_LIMIT_VERIFY_PER_MINUTE", "0", "Requests at `/verify` per minute and user, on each node."),
    limit(
        "RATE_LIMIT_MAIL_PER_HOUR",
        "5",
        "Mails per hour, address written to and address of the client; four times as many per address written to. What is \
         over it is answered alike and not sent.",
    ),
    limit(
        "RATE_LIMIT_MAIL_REQUESTS_PER_HOUR",
        "30",
        "Requests that mail something, per hour and address of the client.",
    ),
    limit(
        "RATE_LIMIT_CODE_FAILURES_PER_HOUR",
        "10",
        "Wrong codes per hour: of second factors by account, of mails by address of the client.",
    ),
];

/// A million is as good as no limit, so more is a mistake.
const fn limit(name: &'static str, preset: &'static str, help: &'static str) -> Setting {
    Setting::new(name, Form::Number(0, 1_000_000), Preset::Value(preset), help).note("0 is no limit")
}

/// The limits; 0 means no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Whether any limit applies.
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
    /// Requests at `/verify` per minute and user, counted on each node alone.
    pub verify_per_minute: u32,
    /// Requests under `/admin` per minute and API key, counted on each node alone.
    pub admin_per_minute: u32,
    /// Mails per hour, recipient address and client address.
    pub mail_per_hour: u32,
    /// Requests that mail something, per hour and client address.
    pub mail_requests_per_hour: u32,
    /// Wrong codes per hour.
    pub code_failures_per_hour: u32,
}

impl RateLimitConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        RateLimitConfig {
            login_per_minute: source.integer("RATE_LIMIT_LOGIN_PER_MINUTE"),
            login_failures_per_minute: source.integer("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE"),
            signup_per_hour: source.integer("RATE_LIMIT_SIGNUP_PER_HOUR"),
            refresh_per_minute: source.integer("RATE_LIMIT_REFRESH_PER_MINUTE"),
            api_per_minute: source.integer("RATE_LIMIT_API_PER_MINUTE"),
            admin_per_minute: source.integer("RATE_LIMIT_ADMIN_PER_MINUTE"),
            verify_per_minute: source.integer("RATE_LIMIT_VERIFY_PER_MINUTE"),
            mail_per_hour: source.integer("RATE_LIMIT_MAIL_PER_HOUR"),
            mail_requests_per_hour: source.integer("RATE_LIMIT_MAIL_REQUESTS_PER_HOUR"),
            code_failures_per_hour: source.integer("RATE_LIMIT_CODE_FAILURES_PER_HOUR"),
            enabled: source.boolean("RATE_LIMIT_ENABLED"),
        }
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
