//! `POST /refresh`: a new access token, and the next refresh token, delivered as the old one was.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use serde::{Deserialize, Serialize};

use super::cookie::{self, RefreshCookies};
use super::extract::client::Client;
use super::extract::json::OptionalJsonObject;
use super::extract::session::present;
use super::limits::note_usage;
use super::notice::theft_notice;
use super::problem::{Code, Problem};
use super::resource;
use super::shown::valid_tokens;
use super::state::AppState;
use crate::domain::command::{RefreshRefusal, Refreshed, RotateRefresh, SessionOver, WithTheftNotice};
use crate::domain::ids::UserId;
use crate::domain::session::Delivery;
use crate::events::session_view::SessionView;
use crate::security::access_token::AccessToken;
use crate::security::refresh_token::{RefreshClaims, RefreshToken};
use crate::security::tokens::TokenError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    refresh_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    access_token: &'a AccessToken,
    token_type: &'static str,
    expires_in: i64,
    session: SessionView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a RefreshToken>,
    /// How many other sessions ended, if the request may end some.
    #[serde(skip_serializing_if = "Option::is_none")]
    terminated: Option<usize>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/refresh", "POST").route(web::post().to(refresh)));
}

async fn refresh(
    state: web::Data<AppState>,
    request: HttpRequest,
    client: Client,
    body: Result<OptionalJsonObject<Body>, Problem>,
) -> Result<HttpResponse, Problem> {
    let token = match body {
        Ok(body) => body.0.and_then(|body| body.refresh_token),
        Err(problem) if client.origin_allowed => return Err(problem),
        Err(_) => None,
    };
    // A foreign page can make the browser send the cookie, and could thereby sign its visitor out. So this is
    // checked before anything else.
    if token.is_none() && !client.origin_allowed {
        return Err(Problem::new(Code::OriginNotAllowed));
    }
    let refreshed = match token {
        Some(token) => by_token(&state, &request, &client, &token).await,
        None => by_cookies(&state, &request, &client).await,
    };
    refreshed.map_err(|problem| problem.clearing(cookie::cleared(&state.config.cookie)))
}

/// Refreshes by the token in the body, whatever cookies were sent along.
async fn by_token(
    state: &AppState,
    request: &HttpRequest,
    client: &Client,
    token: &str,
) -> Result<HttpResponse, Problem> {
    let claims = state.refresh_tokens.verify(token, state.now()).map_err(|error| {
        Problem::new(match error {
            TokenError::Invalid => Code::RefreshTokenInvalid,
            TokenError::Expired => Code::RefreshTokenExpired,
        })
    })?;
    let (user, refreshed) = rotate(state, request, client, claims).await?;
    answer(state, user, &refreshed, Delivery::Body, None)
}

/// Tries one cookie after the other, until one is accepted.
async fn by_cookies(
    state: &AppState,
    request: &HttpRequest,
    client: &Client,
) -> Result<HttpResponse, Problem> {
    let mut first_refusal = None;
    for claims in valid_tokens(state, &RefreshCookies::of(request.headers(), &state.config.cookie))? {
        match rotate(state, request, client, claims).await {
            Ok((user, refreshed)) => return answer(state, user, &refreshed, Delivery::Cookie, None),
            Err(problem) if problem.status_code() == StatusCode::UNAUTHORIZED => {
                first_refusal.get_or_insert(problem);
            }
            Err(problem) => return Err(problem),
        }
    }
    Err(first_refusal.unwrap_or_else(|| Problem::new(Code::RefreshTokenMissing)))
}

async fn rotate(
    state: &AppState,
    request: &HttpRequest,
    client: &Client,
    claims: RefreshClaims,
) -> Result<(UserId, Refreshed), Problem> {
    state.shed_load()?;
    note_usage(request, state.limits.refresh(claims.session, state.now()).await?);
    let RefreshClaims { user, session, generation, .. } = claims;
    // A session after its deadline must not be refreshed; whether that is so may have to be settled between
    // nodes first.
    let found = present(state.registry.status(user, session, None).await?)?;
    let command = RotateRefresh { session, generation };
    let command = WithTheftNotice { command, notice: theft_notice(state, client, user) };
    let rotated = state.registry.ask(user, command).await;
    if rotated.is_err() {
        // The token has been seen, although it was not rotated.
        state.registry.note_sighting(&found.session, generation, state.now());
    }
    match rotated? {
        Ok(refreshed) => Ok((user, refreshed)),
        Err(refused) => Err(refusal(state, user, refused).await?),
    }
}

/// Why a validly signed token is refused.
pub(super) async fn refusal(
    state: &AppState,
    user: UserId,
    refused: RefreshRefusal,
) -> Result<Problem, Problem> {
    match refused {
        RefreshRefusal::Reused => Ok(Problem::new(Code::RefreshTokenReused)),
        RefreshRefusal::Unknown => Ok(Problem::new(Code::RefreshTokenInvalid)),
        RefreshRefusal::Over(over) => session_over(state, user, over).await,
    }
}

/// Why the session is over; read from the database if the actor has forgotten.
pub(super) async fn session_over(
    state: &AppState,
    user: UserId,
    over: SessionOver,
) -> Result<Problem, Problem> {
    let reason = match over.reason {
        Some(reason) => Some(reason),
        None => state.store().lookup_ending(user, over.session).await?,
    };
    Ok(Problem::session_over(reason))
}

/// Signs tokens for a session that continues, and responds with them.
pub(super) fn answer(
    state: &AppState,
    user: UserId,
    refreshed: &Refreshed,
    delivery: Delivery,
    terminated: Option<usize>,
) -> Result<HttpResponse, Problem> {
    let session = &refreshed.session;
    let (access_token, refresh_token) = state.sign_tokens(user, refreshed.role, session)?;
    let body = Answer {
        access_token: &access_token,
        token_type: "Bearer",
        expires_in: state.access_tokens.expiry_seconds(),
        session: SessionView::new(&session.profile, session.times, session.last_activity, session.id()),
        refresh_token: (delivery == Delivery::Body).then_some(&refresh_token),
        terminated,
    };
    let mut answer = HttpResponse::Ok();
    if delivery == Delivery::Cookie {
        // A token that is issued again was first issued earlier than now.
        let ends = session.refresh.issued_at.plus(state.refresh_tokens.expiry());
        let good_for = state.now().until(ends);
        cookie::set(&mut answer, &state.config.cookie, &session.profile, &refresh_token, good_for);
    }
    Ok(answer.json(body))
}
