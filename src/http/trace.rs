//! The span of a request, if traces are collected: it begins before all layers and ends with the response's
//! head.
//!
//! The path is recorded only if the route is known and its parameter is an id: otherwise it may contain
//! anything.

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use opentelemetry::propagation::Extractor;
use uuid::Uuid;

use super::route::{Route, known_method};
use super::state::AppState;
use crate::telemetry::traces::{Answered, Span};

/// Begins the span; `None` if traces are not collected.
pub(super) fn begin(state: &AppState, request: &ServiceRequest) -> Option<Span> {
    let traces = state.traces.as_ref()?;
    Some(traces.request(method(request.method()), &Headers(request.headers())))
}

pub(super) fn end(span: &Span, request: &HttpRequest, method: Option<&'static str>, status: u16) {
    let route = request.app_data().map(|route: &Route| route.pattern);
    span.answered(&Answered {
        method,
        route,
        path: route.and_then(|route| tellable(route, request.path())),
        status,
    });
}

/// The method's name; `None` for a method that metrics do not name either.
pub(super) fn method(method: &Method) -> Option<&'static str> {
    Some(known_method(method)).filter(|name| *name == method.as_str())
}

fn tellable<'a>(route: &str, path: &'a str) -> Option<&'a str> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_told = !route.contains('{') || Uuid::try_parse(last).is_ok();
    is_told.then_some(path)
}

/// The headers in which the caller's trace context is found.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_what_a_caller_could_put_in() {
        let id = "/api/auth/sessions/018f3f2e-5b7a-7c1d-8000-00155d012345";
        assert_eq!(tellable("/sessions/{id}", id), Some(id));
        assert_eq!(tellable("/sessions/{id}", "/sessions/ada@example.com"), None);
        assert_eq!(tellable("/login", "/api/auth/login"), Some("/api/auth/login"));
    }

    #[test]
    fn a_method_is_one_of_a_few() {
        assert_eq!(method(&Method::DELETE), Some("DELETE"));
        assert_eq!(method(&Method::from_bytes(b"OTHER").unwrap()), Some("OTHER"));
        assert_eq!(method(&Method::PUT), None);
    }
}
