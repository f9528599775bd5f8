//! `GET /session`: the caller's own session. The request is not activity. No database, no mailbox.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::extract::session::Authenticated;
use super::route::{on, resource};
use super::view::{session_view, sessions_answer};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::events::session_view::SessionView;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    session: SessionView<'a>,
    user_id: UserId,
    idle_expires_at: Timestamp,
    remaining_seconds: u64,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/session", "GET").route(on(Method::GET).to(session)));
}

async fn session(caller: Authenticated) -> HttpResponse {
    let live = &caller.0.session;
    let idle_expires_at = live.times().idle_expires_at(live.shown_activity());
    let body = Body {
        session: session_view(live, live.id()),
        user_id: live.user,
        idle_expires_at,
        remaining_seconds: caller.0.now.until(idle_expires_at).as_secs(),
    };
    sessions_answer(&body, 1)
}
