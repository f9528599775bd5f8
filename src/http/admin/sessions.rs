//! `/admin/sessions` and `/admin/users/{id}/sessions`: who is signed in where, and ending sessions.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::view::SessionView;
use super::{cursor, invalid, limit, operators, user_id};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::http::extract::form::Parameters;
use crate::http::extract::json::OptionalJsonObject;
use crate::http::extract::operator::{Operator, SessionsEnd, SessionsRead};
use crate::http::problem::{Code, Problem};
use crate::http::state::AppState;
use crate::http::{completing, resource};
use crate::storage::session_pages::{Place, SessionPage, SessionRows};

/// The reasons an operator may give; the service itself sets those for timeouts, limits and deletion.
const REASONS: [EndReason; 3] = [EndReason::Terminated, EndReason::Logout, EndReason::RefreshTokenReused];

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let of_user = completing("/admin/users/{id}/sessions", "GET, DELETE");
    scope
        .service(resource("/admin/sessions", "GET").route(web::get().to(list)))
        .service(of_user.route(web::get().to(list_of_user)).route(web::delete().to(end_all)))
        .service(
            completing("/admin/users/{id}/sessions/{session}", "DELETE").route(web::delete().to(end_one)),
        );
}

async fn list(
    _: Operator<SessionsRead>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    page(&request, &state, None).await
}

async fn list_of_user(
    caller: Operator<SessionsRead>,
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = operators(&state, &caller).find(user_id(&path)?).await?;
    page(&request, &state, Some(user.id)).await
}

async fn page(
    request: &HttpRequest,
    state: &AppState,
    user: Option<UserId>,
) -> Result<HttpResponse, Problem> {
    let query = Parameters::parse(request.query_string())?;
    let limit = limit(&query)?;
    let list = user.map_or_else(|| "sessions".to_owned(), |user| format!("sessions of {user}"));
    let after = read_place(&list, user.is_none(), &query)?;
    let idle_timeout = state.config.sessions.timeout;
    let page = SessionPage { user, after, limit, idle_timeout };
    let SessionRows { sessions, next } = state.store().page_sessions(page).await?;
    let next = next.map(|place| write_place(&list, place));
    let now = state.now();
    // A session after its deadline is about to be ended.
    let live = sessions.iter().filter(|(_, session)| session.idle_expires_at() > now);
    let sessions: Vec<_> = live.map(|(user, session)| SessionView::new(*user, session)).collect();
    Ok(HttpResponse::Ok().json(json!({"sessions": sessions, "nextCursor": next})))
}

/// The list's name in the cursor of a page that ended within a period.
fn of_period(list: &str) -> String {
    format!("{list} of a period")
}

/// Only a page of all sessions may end within a period.
fn read_place(list: &str, is_of_all: bool, query: &Parameters) -> Result<Option<Place>, Problem> {
    let after = cursor::read(list, query);
    if after.is_ok() || !is_of_all {
        return Ok(after?.map(|(time, id)| Place::Activity(time, SessionId::new(id))));
    }
    let after = cursor::read(&of_period(list), query)?;
    Ok(after.map(|(number, id)| Place::Period(number.millis(), SessionId::new(id))))
}

fn write_place(list: &str, place: Place) -> String {
    match place {
        Place::Activity(time, id) => cursor::write(list, time, id.uuid()),
        Place::Period(number, id) => {
            cursor::write(&of_period(list), Timestamp::from_millis(number), id.uuid())
        }
    }
}

#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
}

/// The reason from the query or from the body.
fn reason(request: &HttpRequest, body: OptionalJsonObject<Body>) -> Result<EndReason, Problem> {
    let query = Parameters::parse(request.query_string())?;
    let given = query.one("reason")?.map(str::to_owned).or(body.0.and_then(|body| body.reason));
    let Some(given) = given else { return Ok(EndReason::Terminated) };
    let known = EndReason::parse(&given).filter(|reason| REASONS.contains(reason));
    known.ok_or_else(|| invalid("reason"))
}

async fn end_all(
    caller: Operator<SessionsEnd>,
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: OptionalJsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let (user, reason) = (user_id(&path)?, reason(&request, body)?);
    let terminated = operators(&state, &caller).end_sessions(user, reason).await?;
    Ok(HttpResponse::Ok().json(json!({"terminated": terminated})))
}

async fn end_one(
    caller: Operator<SessionsEnd>,
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
    body: OptionalJsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let (user, session) = path.into_inner();
    let (user, reason) = (user_id(&user)?, reason(&request, body)?);
    let session = Uuid::parse_str(&session).map_err(|_| Problem::new(Code::SessionNotFound))?;
    operators(&state, &caller).end_session(user, SessionId::new(session), reason).await?;
    Ok(HttpResponse::Ok().json(json!({"terminated": 1})))
}
