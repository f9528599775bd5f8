//! `/sessions`: lists the caller's devices, ends one, ends all others.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::extract::session::Authenticated;
use super::problem::{Code, Problem};
use super::refresh::session_over;
use super::state::AppState;
use super::view::{session_view, sessions_answer};
use super::{cookie, resource};
use crate::actors::live_session::LiveSession;
use crate::domain::command::{Terminate, TerminateOthers, TerminateRefusal, Terminated};
use crate::domain::ids::SessionId;
use crate::events::session_view::SessionView;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    sessions: Vec<SessionView<'a>>,
    total: usize,
    max_sessions: usize,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(resource("/sessions", "GET").route(web::get().to(list)))
        .service(resource("/sessions/all", "DELETE").route(web::delete().to(terminate_others)))
        .service(resource("/sessions/{id}", "DELETE").route(web::delete().to(terminate)));
}

async fn list(caller: Authenticated, state: web::Data<AppState>) -> HttpResponse {
    let max_sessions = state.registry.max_sessions(&caller.0.snapshot);
    let is_live = |session: &&Arc<LiveSession>| {
        session.times().idle_expires_at(session.shown_activity()) > caller.0.now
    };
    let live = caller.0.snapshot.live().filter(is_live);
    let mut sessions: Vec<_> = live.map(|session| session_view(session, caller.session())).collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_activity));
    let total = sessions.len();
    sessions_answer(&List { sessions, total, max_sessions }, total)
}

async fn terminate(
    caller: Authenticated,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let target = Uuid::parse_str(&path).map_err(|_| Problem::new(Code::SessionNotFound))?;
    let command = Terminate { target: SessionId::new(target), by: caller.session() };
    match state.registry.ask(caller.user(), command).await.map_err(Problem::from)? {
        Ok(Terminated::Other) => Ok(HttpResponse::NoContent().finish()),
        Ok(Terminated::Itself) => {
            let mut answer = HttpResponse::NoContent();
            cookie::clear(&mut answer, &state.config.cookie);
            Ok(answer.finish())
        }
        Err(TerminateRefusal::NoSuchSession) => Err(Problem::new(Code::SessionNotFound)),
        Err(TerminateRefusal::AskerOver(over)) => Err(session_over(&state, caller.user(), over).await?),
    }
}

async fn terminate_others(
    caller: Authenticated,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    match state
        .registry
        .ask(caller.user(), TerminateOthers { keep: caller.session() })
        .await
        .map_err(Problem::from)?
    {
        Ok(terminated) => Ok(HttpResponse::Ok().json(json!({"terminated": terminated}))),
        Err(over) => Err(session_over(&state, caller.user(), over).await?),
    }
}
