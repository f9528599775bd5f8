//! `/verify` and `/verify/…`, with any method: a gateway asks whether a request may pass, and who sent it
//! (forward-auth). The same check as for a session: no database, no mailbox. It never rotates a token and is
//! not activity.
//!
//! The identity headers are on every response, empty if there is no identity: so a gateway that copies them
//! overwrites whatever the client sent under these names.

mod filters;
mod sign_in;

use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use uuid::Uuid;

use super::PREFIX;
use super::extract::client::{Client, note_network};
use super::extract::refresh::by_cookie;
use super::extract::session::{bearer_token, present};
use super::problem::{Code, Problem};
use super::route::any_method;
use super::state::{AppState, WorkerState};
use crate::actors::session_status::ActiveSession;
use filters::Filters;

const PATH: &str = "/verify";
const PATH_WITH_MORE: &str = "/verify/{more:.*}";

const USER_ID: HeaderName = HeaderName::from_static("x-auth-user-id");
const SESSION_ID: HeaderName = HeaderName::from_static("x-auth-session-id");
const ROLE: HeaderName = HeaderName::from_static("x-auth-role");
const ACR: HeaderName = HeaderName::from_static("x-auth-acr");
/// The headers that identify the caller to the gateway.
pub(super) const IDENTITY: [HeaderName; 4] = [USER_ID, SESSION_ID, ROLE, ACR];

const FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(any_method(PATH).to(verify))
        // Envoy appends the protected path to its prefix.
        .service(any_method(PATH_WITH_MORE).to(verify));
}

/// Whether the pattern is one of these routes.
pub(super) fn is_one(pattern: &str) -> bool {
    pattern == PATH || pattern == PATH_WITH_MORE
}

/// A gateway may call with the method of the protected request. It must not get a preflight's response: that
/// would let the request pass and say nothing about who sent it.
pub(super) fn never_a_preflight(request: &mut ServiceRequest) {
    if request.method() == Method::OPTIONS && is_at(request.path()) {
        request.headers_mut().remove(ACCESS_CONTROL_REQUEST_METHOD);
    }
}

/// Whether the path is one that a gateway calls for other requests.
pub(super) fn is_at(path: &str) -> bool {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn verify(request: HttpRequest, state: WorkerState) -> HttpResponse {
    let (result, mut answer) = match admit(&request, &state).await {
        Ok(found) => ("allowed", allow(&found)),
        Err(problem) => refuse(&request, &state, problem),
    };
    for name in IDENTITY {
        if !answer.headers().contains_key(&name) {
            answer.headers_mut().insert(name, HeaderValue::from_static(""));
        }
    }
    state.metrics().verifications.with_label_values(&[result]).inc();
    answer
}

async fn admit(request: &HttpRequest, state: &AppState) -> Result<ActiveSession, Problem> {
    let filters = Filters::of(request)?;
    let found = match bearer_token(request) {
        Ok(token) => by_token(state, token).await?,
        Err(problem) if problem.code() == Code::TokenMissing => {
            let found = Box::pin(by_cookie(request, state)).await?;
            check_origin(request)?;
            found
        }
        Err(problem) => return Err(problem),
    };
    state.limits.verify(found.session.user, found.now, || note_network(request))?;
    filters.check(&found)?;
    Ok(found)
}

async fn by_token(state: &AppState, token: &[u8]) -> Result<ActiveSession, Problem> {
    let now = state.now();
    let claims = state.access_tokens.verify(token, now)?;
    let (user, session, token) = (claims.user, claims.session, Some(claims.token));
    let found = match state.registry.cached_status(user, session, token, now) {
        Some(status) => present(status),
        // Boxed to keep the common future small.
        None => present(Box::pin(state.registry.status(user, session, token)).await?),
    }?;
    state.registry.note_sighting(&found.session, claims.generation, now);
    Ok(found)
}

/// Any page can make a browser send the cookie. Safe methods do no harm; anything else must come from an
/// allowed page.
fn check_origin(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    if !is_unsafe(headers, request.method()) {
        return Ok(());
    }
    let allowed = match headers.contains_key(ORIGIN) {
        true => Client::extract(request).into_inner().is_ok_and(|client| client.origin_allowed),
        false => headers.get(FETCH_SITE).is_some_and(|site| site.as_bytes() == b"same-origin"),
    };
    if allowed { Ok(()) } else { Err(Problem::new(Code::OriginNotAllowed)) }
}

/// Method names are case-sensitive (RFC 9110, section 9.1). One unsafe method among several values is enough.
fn is_unsafe(headers: &HeaderMap, own: &Method) -> bool {
    let is_safe = |method: &[u8]| [&b"GET"[..], b"HEAD", b"OPTIONS", b"TRACE"].contains(&method);
    let mut forwarded = headers.get_all(FORWARDED_METHOD).peekable();
    match forwarded.peek() {
        Some(_) => !forwarded.all(|method| is_safe(method.as_bytes())),
        None => !is_safe(own.as_str().as_bytes()),
    }
}

fn allow(found: &ActiveSession) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((USER_ID, id_value(found.session.user.uuid())))
        .insert_header((SESSION_ID, id_value(found.session.id().uuid())))
        .insert_header((ROLE, HeaderValue::from_static(found.snapshot.role.as_str())))
        .insert_header((ACR, HeaderValue::from_static(filters::acr_of(found))))
        .finish()
}

fn id_value(id: Uuid) -> HeaderValue {
    let mut buffer = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).unwrap_or(HeaderValue::from_static(""))
}

/// The response, and what it is counted as.
fn refuse(request: &HttpRequest, state: &AppState, problem: Problem) -> (&'static str, HttpResponse) {
    let result = match problem.code().status().as_u16() {
        401 => "unauthenticated",
        403 => "forbidden",
        429 => "limited",
        400 => "invalid",
        _ => "unavailable",
    };
    match sign_in::page(request, state).filter(|_| result == "unauthenticated") {
        Some(page) => ("redirected", page),
        None => (result, HttpResponse::from_error(problem)),
    }
}
