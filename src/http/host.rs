//! Is this `Host` valid? RFC 9112, section 3.2: a request with an invalid one is answered 400. The framework
//! makes sure that there is exactly one.

use actix_web::http::header::{HOST, HeaderMap};
use actix_web::http::uri::Authority;

/// Whether the request names a valid host, or has no `Host`, which HTTP/1.0 allows.
pub(super) fn names_a_host(headers: &HeaderMap) -> bool {
    headers
        .get(HOST)
        .map(|host| host.as_bytes())
        .is_none_or(|host| host.is_empty() || is_plain(host) || is_authority(host))
}

/// The form of nearly every `Host`: a name or an IPv4 address, and perhaps a port.
fn is_plain(host: &[u8]) -> bool {
    let (name, port) = match host.iter().position(|byte| *byte == b':') {
        Some(colon) => host.split_at(colon),
        None => (host, &b":0"[..]),
    };
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let digits = port.get(1..).unwrap_or_default();
    !name.is_empty()
        && name.iter().all(is_of_name)
        && digits.iter().all(u8::is_ascii_digit)
        // Anything longer is parsed in full.
        && std::str::from_utf8(digits).is_ok_and(|digits| digits.parse::<u16>().is_ok())
}

/// The rest: IPv6 addresses, long ports, and what is odd but allowed.
fn is_authority(host: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(host) else { return false };
    let has_good_port = authority.as_str() == authority.host() || authority.port_u16().is_some();
    has_good_port && !authority.host().is_empty() && !host.contains(&b'@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_what_is_none() {
        let is_one = |host: &str| is_plain(host.as_bytes()) || is_authority(host.as_bytes());
        for host in ["example.com", "example.com:8080", "127.0.0.1:65535", "[::1]", "[::1]:80", "a_b", "x"] {
            assert!(is_one(host), "{host}");
        }
        for host in ["a b", "user@example.com", "example.com:port", "example.com:65536", "[::1", "a/b", ":80"]
        {
            assert!(!is_one(host), "{host}");
        }
    }
}
