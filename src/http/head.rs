//! Checks of a request's head, before a handler sees the request.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::AUTHORIZATION;

use super::host::names_a_host;
use super::problem::{Code, Problem};

/// Largest head, in bytes: request line and header lines.
const HEAD_MAX: usize = 16 * 1024;
/// `: ` and the line's end; method, version and spaces of the request line take about as much.
const PER_LINE: usize = 4;

/// Checks `Host`, the size, and that headers which may occur only once do so.
///
/// # Errors
/// 400 or 431.
pub(super) fn check(request: &ServiceRequest) -> Result<(), Problem> {
    let headers = request.headers();
    if !names_a_host(headers) {
        return Err(Problem::new(Code::BadRequest));
    }
    let mut size = request.uri().path_and_query().map_or(0, |target| target.as_str().len()) + PER_LINE;
    let mut authorizations = 0;
    for (name, value) in headers {
        size += name.as_str().len() + value.len() + PER_LINE;
        authorizations += usize::from(name == AUTHORIZATION);
    }
    if size > HEAD_MAX {
        return Err(Problem::new(Code::HeaderFieldsTooLarge));
    }
    // Whichever counted here, an intermediary could have used the other.
    if authorizations > 1 {
        let detail = "The request has more than one Authorization header.";
        return Err(Problem::new(Code::InvalidRequest).with_detail(detail));
    }
    Ok(())
}
