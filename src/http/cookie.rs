//! The refresh cookie: no script can read it, and it is sent to this host alone.
//!
//! Browsers may send several of its name (the one with the longer path first), and beside it whatever other
//! programs on the host have set. So the header is read byte by byte (RFC 6265, section 5.4), and every
//! cookie of the name counts.

use std::time::Duration;

use actix_web::HttpResponseBuilder;
use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite as CookieSameSite};
use actix_web::http::header::{COOKIE, HeaderMap};

use crate::config::{CookieConfig, SameSite};
use crate::domain::session::SessionProfile;
use crate::security::refresh_token::RefreshToken;

/// Sets the cookie that carries a session's refresh token for as long as the token is valid, and clears those
/// under its other names. It is a session cookie (gone when the browser closes) if the person asked not to be
/// remembered.
pub fn set(
    answer: &mut HttpResponseBuilder,
    config: &CookieConfig,
    profile: &SessionProfile,
    token: &RefreshToken,
    good_for: Duration,
) {
    let seconds = i64::try_from(good_for.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    let token = token.expose().to_owned();
    let max_age = (profile.remember != Some(false)).then_some(CookieDuration::seconds(seconds));
    answer.cookie(build(config, &config.name, token, max_age));
    for name in config.names().skip(1) {
        answer.cookie(build(config, name, String::new(), Some(CookieDuration::ZERO)));
    }
}

/// The expired cookies that make the browser remove it.
#[must_use]
pub fn cleared(config: &CookieConfig) -> Vec<Cookie<'static>> {
    config.names().map(|name| build(config, name, String::new(), Some(CookieDuration::ZERO))).collect()
}

/// Makes the browser remove it.
pub fn clear(answer: &mut HttpResponseBuilder, config: &CookieConfig) {
    for cookie in cleared(config) {
        answer.cookie(cookie);
    }
}

/// The refresh cookies of a request: none, or the text of each. None of it is verified.
#[derive(Debug)]
pub struct RefreshCookies {
    tokens: Vec<String>,
    were_sent: bool,
}

impl RefreshCookies {
    /// Those of the request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap, config: &CookieConfig) -> Self {
        let values: Vec<&[u8]> = config.names().flat_map(|name| values(headers, name.as_bytes())).collect();
        let texts = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
        let tokens = texts.filter(|text| !text.is_empty()).map(str::to_owned).collect();
        Self { tokens, were_sent: !values.is_empty() }
    }

    /// Whether a refresh cookie was sent, whatever is in it.
    #[must_use]
    pub fn were_sent(&self) -> bool {
        self.were_sent
    }

    /// The values that may be refresh tokens, ordered by the names they are read under, then as received.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.tokens
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let pairs = headers.get_all(COOKIE).flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (given, value) = pair.split_at(equals);
        (given.trim_ascii() == name).then(|| unquoted(value.get(1..).unwrap_or_default().trim_ascii()))
    })
}

/// A value may be enclosed in quotation marks (RFC 6265, section 4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

fn build(
    config: &CookieConfig,
    name: &str,
    value: String,
    max_age: Option<CookieDuration>,
) -> Cookie<'static> {
    let same_site = match config.same_site {
        SameSite::Lax => CookieSameSite::Lax,
        SameSite::Strict => CookieSameSite::Strict,
        SameSite::None => CookieSameSite::None,
    };
    let mut cookie = Cookie::build(name.to_owned(), value)
        .path("/")
        .http_only(true)
        .secure(config.secure)
        .same_site(same_site)
        .finish();
    cookie.set_max_age(max_age);
    cookie
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn shown(lines: &[&[u8]], name: &str) -> (Vec<String>, bool) {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap()));
        let config = CookieConfig { name: name.to_owned(), secure: true, same_site: SameSite::Lax };
        let shown = RefreshCookies::of(&headers, &config);
        (shown.tokens().to_vec(), shown.were_sent())
    }

    #[test]
    fn neighbours_change_nothing_whatever_they_are() {
        for line in [
            &b"refreshToken=a"[..],
            b"lang=caf\xe9; refreshToken=a",
            b"refreshToken=a; \xff\xfe=\x80",
            b"; ;=;==; refreshToken=a;",
            b"xrefreshToken=b; refreshTokenx=c; refreshtoken=d;refreshToken=\"a\"",
            b"  refreshToken = a ",
        ] {
            assert_eq!(shown(&[line], "refreshToken"), (vec!["a".to_owned()], true), "{line:?}");
        }
    }

    #[test]
    fn all_of_the_name_are_shown_and_those_of_the_plain_name_last() {
        let lines = [&b"refreshToken=old; __Host-refreshToken=new"[..], b"__Host-refreshToken=other"];
        let (tokens, _) = shown(&lines, "__Host-refreshToken");
        assert_eq!(tokens, ["new", "other", "old"]);
        assert_eq!(shown(&lines, "refreshToken").0, ["old"]);
    }

    #[test]
    fn what_was_sent_counts_even_where_it_holds_no_text() {
        assert_eq!(shown(&[b"refreshToken=\xe9; refreshToken="], "refreshToken"), (vec![], true));
        assert_eq!(shown(&[b"refreshToken; other=refreshToken=a"], "refreshToken"), (vec![], false));
    }
}
