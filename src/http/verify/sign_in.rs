//! `?redirect=1`: people who are not signed in are redirected to the page where they can sign in, and from
//! there back.
//!
//! Back only to hosts that are named in `CORS_ORIGIN`, or to this one: otherwise it would be an open
//! redirect.

use actix_web::http::header::{ACCEPT, HOST, HeaderMap, HeaderName, LOCATION, VARY};
use actix_web::{HttpRequest, HttpResponse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::extract::form::Parameters;
use crate::http::state::AppState;

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// The redirect to the sign-in page, if one is wanted.
pub(super) fn page(request: &HttpRequest, state: &AppState) -> Option<HttpResponse> {
    let login_url = state.config.http.forward_auth_login_url.as_deref()?;
    let wanted = Parameters::parse(request.query_string()).ok()?;
    let is_wanted = wanted.one("redirect").ok().flatten() == Some("1");
    if !is_wanted || !is_page_load(request.headers()) {
        return None;
    }
    let mut location = login_url.to_owned();
    if let Some(back) = return_to(request.headers(), &state.config.http.cors_origins) {
        location.push(if location.contains('?') { '&' } else { '?' });
        location.push_str("return_to=");
        location.extend(utf8_percent_encode(&back, NON_ALPHANUMERIC));
    }
    Some(HttpResponse::Found().insert_header((LOCATION, location)).insert_header((VARY, "Accept")).finish())
}

fn is_page_load(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    values
        .any(|value| value.split(',').any(|media| media.trim().to_ascii_lowercase().starts_with("text/html")))
}

fn return_to(headers: &HeaderMap, allowed: &[String]) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let host = text(FORWARDED_HOST)?;
    let scheme = text(PROTO).unwrap_or("http");
    let uri = text(URI).unwrap_or("/");
    let is_own = text(HOST).is_some_and(|own| own.eq_ignore_ascii_case(host));
    let is_named = allowed.iter().filter_map(|origin| origin.split_once("://")).any(|(scheme, named)| {
        let port = if scheme == "https" { ":443" } else { ":80" };
        named.eq_ignore_ascii_case(host)
            || host.strip_suffix(port).is_some_and(|host| named.eq_ignore_ascii_case(host))
    });
    let is_sane =
        ["http", "https"].contains(&scheme) && uri.starts_with('/') && !host.contains(['/', '@', '\\']);
    (is_sane && (is_own || is_named)).then(|| format!("{scheme}://{host}{uri}"))
}
