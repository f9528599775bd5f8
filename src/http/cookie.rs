//! The refresh cookie: no script can read it, and it goes to this host alone.

use std::time::Duration;

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite as CookieSameSite};

use crate::config::{CookieConfig, SameSite};
use crate::security::refresh_token::RefreshToken;

/// The cookie's name.
pub const NAME: &str = "refreshToken";

/// The cookie that carries a refresh token for as long as the token is good.
#[must_use]
pub fn carrying(config: &CookieConfig, token: &RefreshToken, good_for: Duration) -> Cookie<'static> {
    let seconds = i64::try_from(good_for.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
    build(config, token.expose().to_owned(), CookieDuration::seconds(seconds))
}

/// The cookie that takes it away.
#[must_use]
pub fn cleared(config: &CookieConfig) -> Cookie<'static> {
    build(config, String::new(), CookieDuration::ZERO)
}

fn build(config: &CookieConfig, value: String, max_age: CookieDuration) -> Cookie<'static> {
    let same_site = match config.same_site {
        SameSite::Lax => CookieSameSite::Lax,
        SameSite::Strict => CookieSameSite::Strict,
        SameSite::None => CookieSameSite::None,
    };
    Cookie::build(NAME, value)
        .path("/")
        .http_only(true)
        .secure(config.secure)
        .same_site(same_site)
        .max_age(max_age)
        .finish()
}
