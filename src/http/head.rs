//! Checks of a request's head, before a handler sees the request.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING,
};

use super::host::names_a_host;
use super::problem::{Code, Problem};
use super::verify;

/// Largest head, in bytes: request line and header lines.
const HEAD_MAX: usize = 16 * 1024;
/// `: ` and the line's end; method, version and spaces of the request line take about as much.
const PER_LINE: usize = 4;

/// Checks `Host`, the size, that headers which may occur only once do so, and that a body can be read as it
/// is: also where nobody reads it.
///
/// # Errors
/// 400, 415 or 431.
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
    // A gateway passes on the head of another request, whose body it keeps.
    if has_coding(headers) && has_body(headers) && !verify::is_at(request.path()) {
        return Err(Problem::content_coding());
    }
    Ok(())
}

/// Whether a body would have to be decoded before it is read.
fn has_coding(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING);
    let mut codings = codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

fn has_body(headers: &HeaderMap) -> bool {
    let is_announced = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    is_announced || headers.contains_key(TRANSFER_ENCODING)
}
