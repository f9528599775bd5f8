//! What every request gets: an id that its log lines carry, a log line of its own, metrics by route pattern,
//! and the headers that every response has.

use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::body::{self, BoxBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest};
use uuid::Uuid;

use super::connection::ConnectionState;
use super::extract::client::{address_of, note_network};
use super::limits::usage_headers;
use super::problem::{Code, Problem};
use super::route::{self, Route, known_method};
use super::state::{AppState, WorkerState};
use super::{cross_origin, head, introspect, trace, verify};
use crate::security::api_key::Scope;
use crate::security::rate_limit::Usage;
use crate::telemetry::serving::serve_request;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is accepted from the caller.
const REQUEST_ID_MAX: usize = 128;
/// The label of requests that match no route.
const UNMATCHED: &str = "unmatched";

/// The id of the request.
#[derive(Clone, Debug)]
struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's id if it is well-formed, else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).filter(|value| is_sane(value.as_bytes())).cloned();
        Self(given.unwrap_or_else(|| {
            let mut buffer = Uuid::encode_buffer();
            let made = Uuid::new_v4().hyphenated().encode_lower(&mut buffer);
            HeaderValue::from_str(made).unwrap_or(HeaderValue::from_static("-"))
        }))
    }

    /// The id as text.
    fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }
}

fn is_sane(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.iter().all(plain)
}

/// The outermost layer.
///
/// # Errors
/// Those of the inner layers, which have none: whatever goes wrong there has become a response.
pub async fn around_request(
    state: WorkerState,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    verify::never_a_preflight(&mut request);
    let id = RequestId::of(request.headers());
    let name = id.0.clone();
    let span = trace::begin(&state, &request);
    let served = span.clone();
    let serving = async move {
        let connection = request.conn_data::<Rc<ConnectionState>>().cloned();
        let _serving = connection.as_ref().map(ConnectionState::begin);
        if let Some(connection) = &connection {
            if connection.is_closing() {
                // It arrived after a request that was to be the last. Dropped with the connection.
                connection.end();
                return std::future::pending().await;
            }
            connection.take_turn().await;
        }
        let asked = Asked::of(&state, &mut request);
        // No clone of the request may be kept here: the router requires the only reference to it.
        let answer = match head::check(&request) {
            Err(problem) => request.error_response(problem),
            Ok(()) if asked.is_preflight => match cross_origin::preflight(asked.origin.as_ref()) {
                Ok(answer) => request.into_response(answer),
                Err(problem) => request.error_response(problem),
            },
            Ok(()) => {
                if may_be_audited(asked.method, request.path()) {
                    note_network(request.request());
                }
                next.call(request).await?
            }
        };
        let answer = finish(&state, answer, id, asked.clone());
        if let Some(connection) = &connection
            && answer.response().head().connection_type() == ConnectionType::Close
        {
            connection.close_after_answer();
        }
        let (request, answer) = answer.into_parts();
        if let Some(pause) = pause_before(&state, &request, answer.status(), asked.is_preflight) {
            Box::pin(tokio::time::sleep(pause)).await;
        }
        record(&state, &request, asked.method, answer.status().as_u16(), started);
        if let Some(span) = served {
            trace::end(&span, &request, asked.told_method, answer.status().as_u16());
        }
        Ok(ServiceResponse::new(request, answer))
    };
    serve_request(name, span, serving).await
}

/// What is remembered about a request until it is answered. (The framework keeps some of this only for the
/// latest request it has read, which with pipelining is another one.)
#[derive(Clone, Debug)]
struct Asked {
    /// For metrics and the log.
    method: &'static str,
    /// For traces.
    told_method: Option<&'static str>,
    /// Whether the response has no body.
    to_head: bool,
    /// Whether the client wants no further response on this connection.
    is_last: bool,
    is_preflight: bool,
    /// Whether pages of other origins are allowed at all.
    is_cross_origin: bool,
    /// The request's origin, if it is an allowed one.
    origin: Option<HeaderValue>,
}

impl Asked {
    /// Every GET route answers HEAD: the request is handled as GET, and the body is left out.
    fn of(state: &AppState, request: &mut ServiceRequest) -> Self {
        let origins = state.config.http.cors_origins.as_slice();
        let asked = Self {
            method: known_method(request.method()),
            told_method: trace::method(request.method()),
            to_head: request.method() == Method::HEAD,
            is_last: request.head().connection_type() == ConnectionType::Close,
            is_preflight: !origins.is_empty() && cross_origin::is_preflight(request),
            is_cross_origin: !origins.is_empty(),
            origin: cross_origin::allowed_origin(request.headers(), origins),
        };
        if asked.to_head {
            request.head_mut().method = Method::GET;
            // The handshake of a WebSocket is a GET (RFC 6455, section 4.1).
            request.headers_mut().remove(header::UPGRADE);
        }
        asked
    }
}

/// Writes a problem's response with the request's id, and sets the headers every response has.
fn finish(
    state: &AppState,
    answer: ServiceResponse<BoxBody>,
    id: RequestId,
    asked: Asked,
) -> ServiceResponse<BoxBody> {
    let mut answer = match problem_of(&answer) {
        None => answer,
        Some(problem) => {
            if let Some(cause) = problem.cause() {
                tracing::error!(error = cause as &dyn std::error::Error, code = %problem, "request.failed");
            }
            let kept = identity_headers(answer.headers());
            let mut answer = answer.into_response(problem.answer(id.as_str()));
            kept.into_iter().for_each(|(name, value)| answer.headers_mut().append(name, value));
            answer
        }
    };
    if asked.to_head {
        answer = answer.map_body(|_, _| BoxBody::new(body::None::new()));
    }
    // While the service drains, this makes the client open its next connection to another node before this
    // one is gone.
    if (asked.is_last || state.is_shutting_down()) && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        answer.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    let usage = answer.request().extensions().get::<Usage>().copied();
    let headers = answer.headers_mut();
    for (name, value) in usage.iter().flat_map(usage_headers) {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if asked.is_cross_origin {
        cross_origin::mark(headers, asked.origin);
    }
    if asked.is_preflight {
        cross_origin::mark_preflight(headers);
    }
    headers.insert(REQUEST_ID, id.0);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    answer
}

/// The problem behind a response; also for the few errors that the framework itself produces.
fn problem_of(answer: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let error = answer.response().error();
    if let Some(problem) = error.and_then(|error| error.as_error::<Problem>()) {
        return Some(problem.clone());
    }
    let status = answer.status();
    match (error, status.as_u16()) {
        (None, _) => None,
        (Some(_), 404) => Some(Problem::not_found()),
        (Some(_), 413) => Some(Problem::new(Code::BodyTooLarge)),
        (Some(_), 400..=499) => Some(Problem::new(Code::InvalidJson)),
        (Some(error), _) => Some(Problem::unavailable(Unexpected(error.to_string()))),
    }
}

/// An error of the framework that no request should cause.
#[derive(Debug, thiserror::Error)]
#[error("unexpected: {0}")]
struct Unexpected(String);

/// Headers to keep when a response is rewritten: those that inner layers have set (the identity of
/// forward-auth).
fn identity_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let kept = headers.iter().filter(|(name, _)| verify::IDENTITY.contains(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether it is a route that other services call for each request they receive, with any method.
fn is_called_per_request(route: &str) -> bool {
    verify::is_one(route) || route == introspect::PATH
}

fn record(state: &AppState, request: &HttpRequest, method: &'static str, status: u16, started: Instant) {
    let (metrics, elapsed) = (state.metrics(), started.elapsed());
    let route = match request.app_data::<Route>() {
        Some(route) => {
            route.count(metrics, method, status, elapsed);
            if let Some(scope) = request.extensions().get::<Scope>() {
                metrics
                    .admin_requests
                    .with_label_values(&[scope.as_str(), status.to_string().as_str()])
                    .inc();
            }
            route.pattern
        }
        None => {
            route::count(metrics, method, UNMATCHED, status, elapsed);
            UNMATCHED
        }
    };
    // Whole microseconds: more digits would be noise.
    let duration_ms = elapsed.as_micros() as f64 / 1e3;
    if status < 400 && (is_read(method) || route == "/activity" || is_called_per_request(route)) {
        // Reads and heartbeats are nearly all of the requests; metrics count them.
        tracing::debug!(method, route, status, duration_ms, "request.finished");
    } else if status < 400 || may_log(state, request, method, route, status) {
        tracing::info!(method, route, status, duration_ms, "request.finished");
    }
}

/// The pause before a refusal, or a response that needs no credentials, if its client has had too many of
/// these. Not where a gateway asks about the requests of many clients.
fn pause_before(
    state: &AppState,
    request: &HttpRequest,
    status: StatusCode,
    is_preflight: bool,
) -> Option<Duration> {
    let route = request.app_data::<Route>();
    let is_open = || is_preflight || route.is_some_and(|route| route.is_open);
    if (status.as_u16() < 400 && !is_open())
        || route.is_some_and(|route| is_called_per_request(route.pattern))
    {
        return None;
    }
    state.limits.pause_before(address_of(request), state.now())
}

/// Whether it may write an audit line, apart from a refusal. Heartbeats are as frequent as reads.
fn may_be_audited(method: &str, path: &str) -> bool {
    !is_read(method) && !path.ends_with("/activity")
}

fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// A client that is refused repeatedly causes one log line a minute for each kind of refusal.
fn may_log(state: &AppState, request: &HttpRequest, method: &str, route: &str, status: u16) -> bool {
    state.limits.may_log(address_of(request), &format!("{method} {route} {status}"), state.now())
}
