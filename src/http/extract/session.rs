//! The proof that the caller's session is live. A handler that takes an [`Authenticated`] cannot be reached
//! without.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};

use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::ids::{SessionId, UserId};
use crate::http::problem::{Code, Problem};
use crate::http::state::AppState;
use crate::security::access_token::AccessClaims;
use crate::security::tokens::TokenError;

/// A live session of a user, shown by an access token.
#[derive(Debug)]
pub struct Authenticated(pub ActiveSession);

impl Authenticated {
    /// Whose.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.0.session.user
    }

    /// Which.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.session.id()
    }
}

impl Authenticated {
    /// The proof that the request's access token gives.
    ///
    /// # Errors
    /// The 401 or 503 to answer with.
    pub async fn by_token(request: &HttpRequest) -> Result<Self, Problem> {
        match at_once(request) {
            Ok(Known::SessionStatus(authenticated)) => Ok(authenticated),
            Ok(Known::Claims(state, claims)) => ask(state.clone(), claims).await,
            Err(problem) => Err(problem),
        }
    }

    /// The proof that a token gives which was good until a while ago: enough to sign out with, and for
    /// nothing else.
    ///
    /// # Errors
    /// As above.
    pub async fn by_expired_token(request: &HttpRequest) -> Result<Self, Problem> {
        let state = request.app_data::<web::Data<AppState>>().ok_or_else(|| Problem::unavailable(NoState))?;
        let claims = state.access_tokens.verify_at_any_time(bearer_token(request)?)?;
        ask(state.clone(), claims).await
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    /// Nearly always there is nothing to wait for, and then no future is made.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        match at_once(request) {
            Ok(Known::SessionStatus(authenticated)) => Either::Left(ready(Ok(authenticated))),
            Ok(Known::Claims(state, claims)) => Either::Right(Box::pin(ask(state.clone(), claims))),
            Err(problem) => Either::Left(ready(Err(problem))),
        }
    }
}

/// What can be told of a request without waiting.
enum Known<'a> {
    /// All.
    SessionStatus(Authenticated),
    /// Only what its token says.
    Claims(&'a web::Data<AppState>, AccessClaims),
}

/// Signature, then snapshot.
fn at_once(request: &HttpRequest) -> Result<Known<'_>, Problem> {
    let state = request.app_data::<web::Data<AppState>>().ok_or_else(|| Problem::unavailable(NoState))?;
    let now = state.now();
    let claims = state.access_tokens.verify(bearer_token(request)?, now)?;
    match state.registry.cached_status(claims.user, claims.session, Some(claims.token), now) {
        Some(status) => authorize(state, status, claims.generation).map(Known::SessionStatus),
        None => Ok(Known::Claims(state, claims)),
    }
}

async fn ask(state: web::Data<AppState>, claims: AccessClaims) -> Result<Authenticated, Problem> {
    let status = state.registry.status(claims.user, claims.session, Some(claims.token)).await;
    status.map_err(Problem::from).and_then(|status| authorize(&state, status, claims.generation))
}

/// A live session takes a share of its user's requests; any other gets the reason.
fn authorize(state: &AppState, status: SessionStatus, generation: u32) -> Result<Authenticated, Problem> {
    let present = present(status)?;
    state.registry.note_sighting(&present.session, generation, present.now);
    state.limits.api(present.session.user, &present.slot, present.now)?;
    Ok(Authenticated(present))
}

const SCHEME: &[u8] = b"Bearer ";

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1); any other scheme is no token.
pub(in crate::http) fn bearer_token(request: &HttpRequest) -> Result<&[u8], Problem> {
    let missing = || Problem::new(Code::TokenMissing);
    let value = request.headers().get(AUTHORIZATION).ok_or_else(missing)?.as_bytes();
    let (scheme, token) = value.split_at_checked(SCHEME.len()).ok_or_else(missing)?;
    match token.trim_ascii() {
        token if scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() => Ok(token),
        _ => Err(missing()),
    }
}

/// The session, if it is live, and the token one of its tokens.
pub(in crate::http) fn present(status: SessionStatus) -> Result<ActiveSession, Problem> {
    match status {
        SessionStatus::Active(present) => Ok(present),
        SessionStatus::Over(reason) => Err(Problem::session_over(reason)),
        SessionStatus::TokenMismatch => Err(Problem::new(Code::TokenInvalid)),
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::new(match error {
            TokenError::Invalid => Code::TokenInvalid,
            TokenError::Expired => Code::TokenExpired,
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the application has no state")]
pub(super) struct NoState;
