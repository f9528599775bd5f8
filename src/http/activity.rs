//! `POST /activity`: reports that the person is present. Only this, the same message over a WebSocket, and
//! login move the idle deadline.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::extract::session::Authenticated;
use super::problem::Problem;
use super::route::{on, resource};
use super::state::WorkerState;
use crate::actors::messages::ActorError;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::time::Timestamp;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    last_activity: Timestamp,
    idle_expires_at: Timestamp,
}

/// How often a report is tried when the session was about to be ended but turns out to be live.
const MAX_ATTEMPTS: usize = 3;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/activity", "POST").route(on(Method::POST).to(activity)));
}

async fn activity(caller: Authenticated, state: WorkerState) -> Result<HttpResponse, Problem> {
    let mut active = caller.0;
    for _ in 0..MAX_ATTEMPTS {
        let reported = state.registry.report_activity(&active, active.now).await;
        if let Some(latest) = reported.map_err(Problem::from)? {
            return Ok(answer(&active, latest));
        }
        // The session was being ended for idleness at that moment, here or on another node: the actor knows
        // the outcome.
        let (user, session) = (active.session.user, active.session.id());
        // Boxed to keep the common future small: otherwise each report would allocate room for it.
        let asked = Box::pin(state.registry.status(user, session, None));
        active = match asked.await.map_err(Problem::from)? {
            SessionStatus::Active(active) => active,
            SessionStatus::Over(reason) => return Err(Problem::session_over(reason)),
            SessionStatus::TokenMismatch => return Err(Problem::session_over(None)),
        };
    }
    Err(Problem::from(ActorError::NoAnswer))
}

fn answer(present: &ActiveSession, last_activity: Timestamp) -> HttpResponse {
    let idle_expires_at = present.session.times().idle_expires_at(last_activity);
    HttpResponse::Ok().json(Body { last_activity, idle_expires_at })
}
