//! What of a request's head is refused before a handler sees it.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::AUTHORIZATION;

use super::host::names_a_host;
use super::problem::{Code, Problem};

/// Largest head, in bytes: request line and header lines.
const HEAD_MAX: usize = 16 * 1024;
/// `: ` and the line's end; method, version and blanks of the request line are about as long.
const PER_LINE: usize = 4;

/// Checks `Host`, size, and what may be there once only.
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
    // Whichever counted, somebody on the way could have looked at the other.
    if authorizations > 1 {
        let detail = "The request has more than one Authorization header.";
        return Err(Problem::new(Code::InvalidRequest).with_detail(detail));
    }
    Ok(())
}
