//! `POST /activity`: the person is there. With login, and the same message over a WebSocket, all that moves the idle deadline.

use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::extract::session::Authenticated;
use super::problem::Problem;
use super::resource;
use super::state::AppState;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    last_activity: Timestamp,
    idle_expires_at: Timestamp,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/activity", "POST").route(web::post().to(activity)));
}

async fn activity(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let present = caller.0;
    if let Some(latest) = state.registry.note_activity(&present.session, present.now) {
        return Ok(answer(&present, latest));
    }
    // The session was just being ended for idleness: the actor knows how that came out.
    let session = &present.session;
    match state.registry.status(session.user, session.id(), None).await.map_err(Problem::from)? {
        SessionStatus::Active(present) => {
            let noted = state.registry.note_activity(&present.session, present.now);
            let latest = noted.unwrap_or_else(|| present.session.last_activity());
            Ok(answer(&present, latest))
        }
        SessionStatus::Over(reason) => Err(Problem::session_over(reason)),
        SessionStatus::TokenMismatch => Err(Problem::session_over(None)),
    }
}

fn answer(present: &ActiveSession, last_activity: Timestamp) -> HttpResponse {
    let idle_expires_at = present.session.times().idle_expires_at(last_activity);
    HttpResponse::Ok().json(Body { last_activity, idle_expires_at })
}
