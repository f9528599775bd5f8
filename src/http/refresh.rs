//! `POST /refresh`: a new access token, and the next refresh token, the way the old one came.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::extract::client::Client;
use super::extract::json::OptionalJsonObject;
use super::limits::note_usage;
use super::problem::{Code, Problem};
use super::state::AppState;
use super::{cookie, resource};
use crate::actors::session_status::SessionStatus;
use crate::domain::command::{RefreshRefusal, RotateRefresh, SessionOver};
use crate::domain::ids::UserId;
use crate::domain::session::{Delivery, Session};
use crate::domain::user::Role;
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
struct Refreshed<'a> {
    access_token: &'a AccessToken,
    token_type: &'static str,
    expires_in: i64,
    session: SessionView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a RefreshToken>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/refresh", "POST").route(web::post().to(refresh)));
}

async fn refresh(
    state: web::Data<AppState>,
    request: HttpRequest,
    client: Client,
    body: OptionalJsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let clearing = |problem: Problem| problem.clearing(cookie::cleared(&state.config.cookie));
    let shown = presented_token(&request, &client, body.0).map_err(clearing)?;
    let (user, role, session) = rotate(&state, &request, &shown.token).await.map_err(clearing)?;
    answer(&state, user, role, &session, shown.delivery)
}

struct PresentedToken {
    token: String,
    delivery: Delivery,
}

/// The token from the body, or else from the cookie; a browser may send the cookie only from an allowed origin.
fn presented_token(
    request: &HttpRequest,
    client: &Client,
    body: Option<Body>,
) -> Result<PresentedToken, Problem> {
    if let Some(token) = body.and_then(|body| body.refresh_token) {
        return Ok(PresentedToken { token, delivery: Delivery::Body });
    }
    match request.cookie(cookie::NAME) {
        Some(_) if !client.origin_allowed => Err(Problem::new(Code::OriginNotAllowed)),
        Some(cookie) if !cookie.value().is_empty() => {
            Ok(PresentedToken { token: cookie.value().to_owned(), delivery: Delivery::Cookie })
        }
        _ => Err(Problem::new(Code::RefreshTokenMissing)),
    }
}

async fn rotate(
    state: &AppState,
    request: &HttpRequest,
    token: &str,
) -> Result<(UserId, Role, Session), Problem> {
    let now = state.now();
    let claims = state.refresh_tokens.verify(token, now).map_err(|error| {
        Problem::new(match error {
            TokenError::Invalid => Code::RefreshTokenInvalid,
            TokenError::Expired => Code::RefreshTokenExpired,
        })
    })?;
    state.shed_load()?;
    note_usage(request, state.limits.refresh(claims.session, now).await?);
    let RefreshClaims { user, session, generation, .. } = claims;
    // A session past its deadline must not be refreshed; whether it is may have to be settled between nodes first.
    if let SessionStatus::Over(reason) = state.registry.status(user, session, None).await? {
        return Err(Problem::session_over(reason));
    }
    match state.registry.ask(user, RotateRefresh { session, generation }).await? {
        Ok(refreshed) => Ok((user, refreshed.role, refreshed.session)),
        Err(RefreshRefusal::Reused) => Err(Problem::new(Code::RefreshTokenReused)),
        Err(RefreshRefusal::Unknown) => Err(Problem::new(Code::RefreshTokenInvalid)),
        Err(RefreshRefusal::Over(over)) => Err(session_over(state, user, over).await?),
    }
}

/// Tells why, from the database where the actor has forgotten.
pub(super) async fn session_over(
    state: &AppState,
    user: UserId,
    over: SessionOver,
) -> Result<Problem, Problem> {
    let reason = match over.reason {
        Some(reason) => Some(reason),
        None => state.registry.store().lookup_ending(user, over.session).await?,
    };
    Ok(Problem::session_over(reason))
}

fn answer(
    state: &AppState,
    user: UserId,
    role: Role,
    session: &Session,
    delivery: Delivery,
) -> Result<HttpResponse, Problem> {
    let (access_token, refresh_token) = state.sign_tokens(user, role, session)?;
    let body = Refreshed {
        access_token: &access_token,
        token_type: "Bearer",
        expires_in: state.access_tokens.expiry_seconds(),
        session: SessionView::new(&session.profile, session.times, session.last_activity, session.id()),
        refresh_token: (delivery == Delivery::Body).then_some(&refresh_token),
    };
    let mut answer = HttpResponse::Ok();
    if delivery == Delivery::Cookie {
        // Within the grace the token given out again is a little older than now.
        let ends = session.refresh.issued_at.plus(state.refresh_tokens.expiry());
        answer.cookie(cookie::carrying(&state.config.cookie, &refresh_token, state.now().until(ends)));
    }
    Ok(answer.json(body))
}
