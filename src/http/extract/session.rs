//! The proof that the caller's session is live. A handler that takes an [`Authenticated`] cannot be reached without.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use crate::actors::standing::{Present, Standing};
use crate::domain::ids::{SessionId, UserId};
use crate::http::problem::{Code, Problem};
use crate::http::state::AppState;
use crate::security::tokens::TokenError;

/// A live session of a user, shown by an access token.
#[derive(Debug)]
pub struct Authenticated(pub Present);

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
        authenticate(request).await.map_err(Problem::with_challenge)
    }
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Self::by_token(&request).await })
    }
}

/// Signature, then snapshot, then the user's share of requests.
async fn authenticate(request: &HttpRequest) -> Result<Authenticated, Problem> {
    let state = request.app_data::<web::Data<AppState>>().ok_or_else(|| Problem::unavailable(NoState))?;
    let token = bearer_token(request)?;
    let claims = state.access_tokens.verify(token, state.now())?;
    match state.registry.standing(claims.user, claims.session, Some(claims.token)).await? {
        Standing::Present(present) => {
            state.limits.api(&present.shared, present.now)?;
            Ok(Authenticated(present))
        }
        Standing::Over(reason) => Err(Problem::session_over(reason)),
        Standing::Foreign => Err(Problem::new(Code::TokenInvalid)),
    }
}

/// The token of an `Authorization: Bearer` header; any other scheme is no token.
fn bearer_token(request: &HttpRequest) -> Result<&str, Problem> {
    let missing = || Problem::new(Code::TokenMissing);
    let value = request.headers().get(AUTHORIZATION).ok_or_else(missing)?;
    let value = value.to_str().map_err(|_| Problem::new(Code::TokenInvalid))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    match token.trim() {
        token if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => Ok(token),
        _ => Err(missing()),
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
struct NoState;
