//! `POST /logout`: ends the caller's session and takes the cookie away.

use actix_web::{HttpResponse, web};

use super::extract::session::Authenticated;
use super::problem::Problem;
use super::refresh::session_over;
use super::state::AppState;
use super::{cookie, resource};
use crate::domain::command::Logout;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/logout", "POST").route(web::post().to(log_out)));
}

async fn log_out(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    match state
        .registry
        .ask(caller.user(), Logout { session: caller.session() })
        .await
        .map_err(Problem::for_token)?
    {
        Ok(()) => Ok(HttpResponse::NoContent().cookie(cookie::cleared(&state.config.cookie)).finish()),
        Err(over) => Err(session_over(&state, caller.user(), over).await?.with_challenge()),
    }
}
