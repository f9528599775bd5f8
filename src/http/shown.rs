//! The sessions that a request's cookies name: those of the valid refresh tokens among them.

use std::cmp::Reverse;

use actix_web::HttpRequest;

use super::cookie::RefreshCookies;
use super::extract::client::Client;
use super::problem::{Code, Problem};
use super::state::AppState;
use crate::domain::ids::SessionId;
use crate::security::refresh_token::RefreshClaims;
use crate::security::tokens::TokenError;

/// Most sessions tried for one request's cookies. A browser holds one, or a few that were left over.
const SESSIONS_MAX: usize = 8;

/// The refresh tokens of this request's cookies, if it comes from an origin that may use them: the sessions
/// that a new login in the same browser replaces. Whether they are live is not checked.
#[must_use]
pub fn sessions_of_cookies(state: &AppState, request: &HttpRequest, client: &Client) -> Vec<RefreshClaims> {
    if !client.origin_allowed {
        return Vec::new();
    }
    valid_tokens(state, &RefreshCookies::of(request.headers(), &state.config.cookie)).unwrap_or_default()
}

/// The valid tokens, the newest first, since leftovers from earlier are older. Of each session only the
/// newest generation: an older one beside it was not stolen, the browser just failed to replace its cookie.
///
/// # Errors
/// Why no token is valid.
pub(super) fn valid_tokens(
    state: &AppState,
    cookies: &RefreshCookies,
) -> Result<Vec<RefreshClaims>, Problem> {
    let now = state.now();
    let mut problem = Code::RefreshTokenMissing;
    let mut good: Vec<RefreshClaims> = Vec::new();
    for token in cookies.tokens() {
        match state.refresh_tokens.verify(token, now) {
            Ok(claims) => good.push(claims),
            Err(TokenError::Expired) => problem = Code::RefreshTokenExpired,
            Err(TokenError::Invalid) if problem == Code::RefreshTokenExpired => {}
            Err(TokenError::Invalid) => problem = Code::RefreshTokenInvalid,
        }
    }
    if good.is_empty() {
        return Err(Problem::new(problem));
    }
    good.sort_by_key(|claims| Reverse((claims.issued_at_seconds(), claims.generation)));
    let mut seen: Vec<SessionId> = Vec::new();
    good.retain(|claims| {
        let is_first = !seen.contains(&claims.session);
        seen.push(claims.session);
        is_first
    });
    good.truncate(SESSIONS_MAX);
    Ok(good)
}
