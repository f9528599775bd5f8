//! What a verifier is given, refused where it cannot be meant: an address that no request can go to, a
//! secret that anybody knows.
//!
//! It must not repeat an address, which may have a password.

use redis::IntoConnectionInfo as _;
use reqwest::Url;

use crate::verifier::{Options, OptionsError};

/// Refuses addresses and secrets.
pub(crate) fn check(options: &Options) -> Result<(), OptionsError> {
    for (option, url) in [
        ("service_url", &options.service_url),
        ("revocations_url", &options.revocations_url),
        ("jwks_url", &options.jwks_url),
    ] {
        if url.as_ref().is_some_and(|url| !is_http(url)) {
            return Err(OptionsError::Address(option));
        }
    }
    if options.redis_url.as_ref().is_some_and(|url| url.as_str().into_connection_info().is_err()) {
        return Err(OptionsError::RedisUrl);
    }
    options.secrets.iter().try_for_each(|secret| check_secret(secret))
}

fn is_http(text: &str) -> bool {
    // The parser would add what is missing.
    let authority = text.split_once("://").map(|(_, rest)| rest);
    let begins_with_host = authority.is_some_and(|rest| !rest.starts_with('/'));
    begins_with_host
        && Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Anybody can sign with a text that is known.
fn check_secret(secret: &str) -> Result<(), OptionsError> {
    if is_placeholder(secret) {
        return Err(OptionsError::Placeholder);
    }
    Ok(())
}

/// Whether it is what is left where a shell, Compose or a template was to put a variable in, and did not:
/// `${NAME}`, `$NAME` or `%NAME%`.
fn is_placeholder(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    let braced = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let percent = text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
    braced.is_some_and(|name| !name.contains('}'))
        || text.strip_prefix('$').is_some_and(is_name)
        || percent.is_some_and(is_name)
}
