//! `POST /logout`: ends the caller's session and clears the cookie. A caller without a usable access token is
//! signed out by the cookie.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};

use super::cookie::{self, RefreshCookies};
use super::extract::client::Client;
use super::extract::session::Authenticated;
use super::notice::theft_notice;
use super::open_resource;
use super::problem::{Code, Problem};
use super::refresh::{refusal, session_over};
use super::shown::valid_tokens;
use super::state::AppState;
use crate::actors::session_status::SessionStatus;
use crate::domain::command::{Logout, LogoutByRefresh, WithTheftNotice};
use crate::security::refresh_token::RefreshClaims;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(open_resource("/logout", "POST").route(web::post().to(log_out)));
}

async fn log_out(
    request: HttpRequest,
    client: Client,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let unusable = match by_token(&request, &state).await {
        Ok(()) => return Ok(signed_out(&state)),
        Err(problem) if problem.status_code() == StatusCode::UNAUTHORIZED => problem,
        Err(problem) => return Err(problem),
    };
    // From here on the cookie is used, and a foreign page could have made the browser send it.
    if !client.origin_allowed {
        return Err(Problem::new(Code::OriginNotAllowed));
    }
    let cookies = RefreshCookies::of(request.headers(), &state.config.cookie);
    if !cookies.were_sent() {
        return Err(unusable);
    }
    match by_cookies(&state, &client, &cookies).await {
        Ok(()) => Ok(signed_out(&state)),
        Err(problem) if problem.status_code() != StatusCode::UNAUTHORIZED => Err(problem),
        Err(problem) => {
            let told = if unusable.code() == Code::TokenMissing { problem } else { unusable };
            Err(told.clearing(cookie::cleared(&state.config.cookie)))
        }
    }
}

fn signed_out(state: &AppState) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    cookie::clear(&mut answer, &state.config.cookie);
    answer.finish()
}

/// Logs out by the access token, even an expired one: its session may still be live.
async fn by_token(request: &HttpRequest, state: &AppState) -> Result<(), Problem> {
    let caller = match Authenticated::by_token(request).await {
        Err(expired) if expired.code() == Code::TokenExpired => {
            Authenticated::by_expired_token(request).await.map_err(|problem| match problem.code() {
                Code::Unavailable | Code::Overloaded | Code::RateLimited => problem,
                _ => expired,
            })?
        }
        caller => caller?,
    };
    let ended = state.registry.ask(caller.user(), Logout { session: caller.session() }).await;
    match ended.map_err(Problem::from)? {
        Ok(()) => Ok(()),
        Err(over) => Err(session_over(state, caller.user(), over).await?),
    }
}

/// Ends every session that the cookies name: a person who signs out wants none of them to continue. It
/// succeeds if at least one was ended.
async fn by_cookies(state: &AppState, client: &Client, cookies: &RefreshCookies) -> Result<(), Problem> {
    let mut outcome = None;
    for claims in valid_tokens(state, cookies)? {
        match by_refresh_token(state, client, claims).await {
            Ok(()) => outcome = Some(Ok(())),
            Err(problem) if problem.status_code() != StatusCode::UNAUTHORIZED => return Err(problem),
            Err(problem) => outcome = outcome.or(Some(Err(problem))),
        }
    }
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(problem)) => Err(problem),
        None => Err(Problem::new(Code::RefreshTokenMissing)),
    }
}

async fn by_refresh_token(state: &AppState, client: &Client, claims: RefreshClaims) -> Result<(), Problem> {
    state.shed_load()?;
    let RefreshClaims { user, session, generation, .. } = claims;
    // Whether a session after its deadline is over may have to be settled between nodes first.
    if let SessionStatus::Over(reason) = state.registry.status(user, session, None).await? {
        return Err(Problem::session_over(reason));
    }
    let command = LogoutByRefresh { session, generation };
    let command = WithTheftNotice { command, notice: theft_notice(state, client, user) };
    match state.registry.ask(user, command).await? {
        Ok(()) => Ok(()),
        Err(refused) => Err(refusal(state, user, refused).await?),
    }
}
