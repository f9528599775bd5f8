//! Responses for pages of other origins (the Fetch standard's CORS protocol): those of `CORS_ORIGIN`, each by
//! name, with credentials, because the refresh token is a cookie.
//!
//! A preflight from such an origin is answered with all that is allowed, whatever it asked for: the browser
//! itself refuses what is not in the list, and says so in its console.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};

use super::problem::{Code, Problem};

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
const HEADERS: &str =
    "authorization, content-type, x-request-id, x-requested-with, traceparent, tracestate, baggage";
const EXPOSED: &str = "Retry-After, x-request-id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, \
                       RateLimit-Policy";
/// How long a browser may cache a preflight's response, in seconds.
const MAX_AGE: &str = "600";

/// The origin of a request, if it is an allowed one.
pub(super) fn allowed_origin(headers: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let is_allowed = |allowed: &String| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    allowed.iter().any(is_allowed).then(|| origin.clone())
}

/// Whether a request is a browser's CORS preflight.
pub(super) fn is_preflight(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight, without what [`mark`] adds.
///
/// # Errors
/// 403 if the origin is not allowed.
pub(super) fn preflight(origin: Option<&HeaderValue>) -> Result<HttpResponse, Problem> {
    origin.ok_or_else(|| Problem::new(Code::OriginNotAllowed))?;
    Ok(HttpResponse::Ok()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE))
        .finish())
}

/// Lets a page of that origin read the response; caches keep the responses for other origins apart.
pub(super) fn mark(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Declares which request headers a preflight's response depends on.
pub(super) fn mark_preflight(headers: &mut HeaderMap) {
    let asked = "Access-Control-Request-Method, Access-Control-Request-Headers";
    headers.append(VARY, HeaderValue::from_static(asked));
}
