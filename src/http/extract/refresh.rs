//! The session that a refresh token names. The token is never rotated here, and an old one ends no session.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use crate::actors::messages::ActorError;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::time::Timestamp;
use crate::http::cookie::RefreshCookies;
use crate::http::extract::session::present;
use crate::http::problem::{Code, Problem};
use crate::http::shown::valid_tokens;
use crate::http::state::AppState;
use crate::security::refresh_token::RefreshClaims;

/// The session of the request's refresh cookie; if there are several, each is tried.
///
/// # Errors
/// The 401 or 503 to answer with; 401 `token_missing` if there is no such cookie.
pub(in crate::http) async fn by_cookie(
    request: &HttpRequest,
    state: &AppState,
) -> Result<ActiveSession, Problem> {
    let cookies = RefreshCookies::of(request.headers(), &state.config.cookie);
    if cookies.tokens().is_empty() {
        return Err(Problem::new(Code::TokenMissing));
    }
    let now = state.now();
    let mut first_refusal = None;
    for claims in valid_tokens(state, &cookies)? {
        match look_up(state, &claims, now).await {
            Err(problem) if problem.code().status() == StatusCode::UNAUTHORIZED => {
                first_refusal.get_or_insert(problem);
            }
            answer => return answer,
        }
    }
    Err(first_refusal.unwrap_or_else(|| Problem::new(Code::TokenMissing)))
}

/// The session of a refresh token whose signature is valid.
///
/// # Errors
/// The 401 or 503 to answer with.
pub(in crate::http) async fn look_up(
    state: &AppState,
    claims: &RefreshClaims,
    now: Timestamp,
) -> Result<ActiveSession, Problem> {
    if let Some(status) = state.registry.cached_status(claims.user, claims.session, None, now) {
        let found = present(status)?;
        match judge(state, &found, claims.generation) {
            // It was signed, so another node has stored it, and this one does not know of it yet.
            Generation::Ahead => state.registry.invalidate(claims.user),
            judged => return judged.admit(found),
        }
    }
    let found = present(ask(state, claims).await?)?;
    judge(state, &found, claims.generation).admit(found)
}

async fn ask(state: &AppState, claims: &RefreshClaims) -> Result<SessionStatus, ActorError> {
    state.registry.status(claims.user, claims.session, None).await
}

/// How a token's generation compares with the current one.
enum Generation {
    Good,
    Old,
    Ahead,
}

impl Generation {
    fn admit(self, found: ActiveSession) -> Result<ActiveSession, Problem> {
        match self {
            Self::Good => Ok(found),
            Self::Old | Self::Ahead => Err(Problem::new(Code::RefreshTokenInvalid)),
        }
    }
}

fn judge(state: &AppState, found: &ActiveSession, generation: u32) -> Generation {
    let grace = state.config.tokens.refresh_reuse_grace;
    let Some(current) = found.snapshot.refresh(found.session.id()) else { return Generation::Ahead };
    // Other nodes' rotations do not matter to ordinary checks, but this one depends on them.
    if found.slot.is_behind(found.snapshot.version) {
        Generation::Ahead
    } else if current.accepts(generation, found.now, grace) {
        state.registry.note_sighting(&found.session, generation, found.now);
        Generation::Good
    } else if generation > current.generation {
        Generation::Ahead
    } else {
        Generation::Old
    }
}
