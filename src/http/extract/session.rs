//! The proof that the caller's session is live. A handler that takes an [`Authenticated`] cannot be reached
//! without it.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture, Ready, ready};

use super::client::note_network;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::ids::{SessionId, UserId};
use crate::http::problem::{Code, Problem};
use crate::http::state::{AppState, NoState};
use crate::security::access_token::AccessClaims;
use crate::security::tokens::TokenError;

/// A live session of a user, proved by an access token.
#[derive(Debug)]
pub struct Authenticated(pub ActiveSession);

impl Authenticated {
    /// The user the session belongs to.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.0.session.user
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.session.id()
    }
}

impl Authenticated {
    /// Authenticates by the request's access token.
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

    /// Authenticates by a token that expired a short while ago: enough to sign out, and for nothing else.
    ///
    /// # Errors
    /// The 401 or 503 to answer with.
    pub async fn by_expired_token(request: &HttpRequest) -> Result<Self, Problem> {
        let state = request.app_data::<web::Data<AppState>>().ok_or_else(|| Problem::unavailable(NoState))?;
        let claims = state.access_tokens.verify_at_any_time(bearer_token(request)?)?;
        ask(state.clone(), claims).await
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    /// Nearly always there is nothing to wait for, and then no future is boxed.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        match at_once(request) {
            Ok(Known::SessionStatus(authenticated)) => Either::Left(ready(Ok(authenticated))),
            Ok(Known::Claims(state, claims)) => {
                note_network(request);
                Either::Right(Box::pin(ask(state.clone(), claims)))
            }
            Err(problem) => Either::Left(ready(Err(problem))),
        }
    }
}

/// What is known about a request without waiting.
enum Known<'a> {
    /// Everything.
    SessionStatus(Authenticated),
    /// Only its token's claims.
    Claims(&'a web::Data<AppState>, AccessClaims),
}

/// Checks the signature, then the snapshot.
fn at_once(request: &HttpRequest) -> Result<Known<'_>, Problem> {
    let state = request.app_data::<web::Data<AppState>>().ok_or_else(|| Problem::unavailable(NoState))?;
    let now = state.now();
    let claims = state.access_tokens.verify(bearer_token(request)?, now)?;
    match state.registry.cached_status(claims.user, claims.session, Some(claims.token), now) {
        Some(status) => {
            authorize(state, status, claims.generation, || note_network(request)).map(Known::SessionStatus)
        }
        None => Ok(Known::Claims(state, claims)),
    }
}

async fn ask(state: web::Data<AppState>, claims: AccessClaims) -> Result<Authenticated, Problem> {
    let status = state.registry.status(claims.user, claims.session, Some(claims.token)).await;
    status.map_err(Problem::from).and_then(|status| authorize(&state, status, claims.generation, || ()))
}

/// Counts a request of a live session towards its user's limit; any other session gets the reason why not.
fn authorize(
    state: &AppState,
    status: SessionStatus,
    generation: u32,
    on_refusal: impl FnOnce(),
) -> Result<Authenticated, Problem> {
    let present = present(status)?;
    state.registry.note_sighting(&present.session, generation, present.now);
    state.limits.api(present.session.user, &present.slot, present.now, on_refusal)?;
    Ok(Authenticated(present))
}

const SCHEME: &[u8] = b"Bearer ";

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1); any other scheme counts as none.
pub(in crate::http) fn bearer_token(request: &HttpRequest) -> Result<&[u8], Problem> {
    let missing = || Problem::new(Code::TokenMissing);
    let value = request.headers().get(AUTHORIZATION).ok_or_else(missing)?.as_bytes();
    let (scheme, token) = value.split_at_checked(SCHEME.len()).ok_or_else(missing)?;
    match token.trim_ascii() {
        token if scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty() => Ok(token),
        _ => Err(missing()),
    }
}

/// The session, if it is live and the token is one of its tokens.
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
