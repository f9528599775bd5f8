//! `POST /revoke` (RFC 7009): the holder of a token may end its session. An invalid token gets the same
//! response.

use actix_web::{HttpResponse, web};

use super::extract::form::Form;
use super::extract::refresh::look_up;
use super::open_resource;
use super::problem::{Code, Problem};
use super::state::AppState;
use crate::actors::messages::ActorError;
use crate::actors::session_status::SessionStatus;
use crate::domain::command::Logout;
use crate::domain::ids::{SessionId, UserId};

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(open_resource("/revoke", "POST").route(web::post().to(revoke)));
}

async fn revoke(state: web::Data<AppState>, form: Form) -> Result<HttpResponse, Problem> {
    let token = form.0.one("token")?.ok_or_else(|| Problem::new(Code::InvalidRequest))?;
    if let Some((user, session)) = session_of(&state, token).await? {
        // If the session has ended meanwhile, the purpose is achieved.
        match state.registry.ask(user, Logout { session }).await {
            Ok(_) | Err(ActorError::NoSuchUser) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(HttpResponse::Ok().finish())
}

/// The live session of a token of any kind, whatever `token_type_hint` says.
async fn session_of(state: &AppState, token: &str) -> Result<Option<(UserId, SessionId)>, Problem> {
    let now = state.now();
    if let Ok(claims) = state.access_tokens.verify(token, now) {
        let status = state.registry.status(claims.user, claims.session, Some(claims.token)).await?;
        return Ok(matches!(status, SessionStatus::Active(_)).then_some((claims.user, claims.session)));
    }
    let Ok(claims) = state.refresh_tokens.verify(token, now) else { return Ok(None) };
    match look_up(state, &claims, now).await {
        Ok(_) => Ok(Some((claims.user, claims.session))),
        Err(problem) if problem.code().status().is_server_error() => Err(problem),
        Err(_) => Ok(None),
    }
}
