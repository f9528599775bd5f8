//! What a response says about a quota.

use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};

use crate::security::rate_limit::Usage;

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

/// Rounded up, and at least one.
pub fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

/// Notes what the response to this request is to say about a quota.
pub fn note_usage(request: &HttpRequest, usage: Option<Usage>) {
    if let Some(usage) = usage {
        request.extensions_mut().insert(usage);
    }
}
