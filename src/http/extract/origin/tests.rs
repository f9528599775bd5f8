//! Origins of requests: own pages, allowed ones, and strangers.

use actix_web::http::header::HeaderValue;

use super::*;

fn own(origin: &str, by_proxy: bool, rest: &[(&HeaderName, &str)]) -> bool {
    let mut headers = HeaderMap::new();
    headers.append(ORIGIN, HeaderValue::from_str(origin).unwrap());
    for (name, value) in rest {
        headers.append((*name).clone(), HeaderValue::from_str(value).unwrap());
    }
    is_allowed(&headers, by_proxy, &[])
}

#[test]
fn the_own_origin_in_every_form_of_host() {
    for (origin, host) in [
        ("https://a.example", "a.example"),
        ("https://a.example", "a.example:443"),
        ("https://a.example", "A.Example:443"),
        ("http://a.example", "a.example:80"),
        ("http://localhost:4001", "localhost:4001"),
        ("http://[::1]:4001", "[::1]:4001"),
        ("https://[::1]", "[::1]:443"),
    ] {
        assert!(own(origin, false, &[(&HOST, host)]), "{origin} at {host}");
    }
}

#[test]
fn others_are_not() {
    for (origin, host) in [
        ("https://a.example", "b.example"),
        ("https://a.example:8443", "a.example"),
        ("https://a.example", "a.example:8443"),
        ("https://a.example", "a.example:80"),
        ("http://a.example", "a.example:443"),
        ("https://a.example.evil.example", "a.example"),
        ("https://", ""),
        ("null", "null"),
        ("file://a.example", "a.example"),
        ("https://a.example:x", "a.example:x"),
    ] {
        assert!(!own(origin, false, &[(&HOST, host)]), "{origin} at {host}");
    }
}

#[test]
fn a_trusted_proxy_says_how_it_was_asked() {
    let inner = [(&HOST, "a.example:80"), (&FORWARDED_PROTO, "https")];
    assert!(own("https://a.example", true, &inner));
    assert!(!own("https://a.example", false, &inner), "not from a stranger");
    assert!(!own("http://a.example", true, &inner), "without TLS it is another origin");
    let chain = [(&HOST, "a.example"), (&FORWARDED_PROTO, "https, http")];
    assert!(own("https://a.example", true, &chain));
    let outer_tls = [(&HOST, "a.example"), (&FORWARDED_PROTO, "http")];
    assert!(own("https://a.example", true, &outer_tls), "TLS ended further out");
}

#[test]
fn a_trusted_proxy_may_tell_the_host_beside() {
    let renamed = [(&HOST, "auth-service:4001"), (&FORWARDED_HOST, "a.example")];
    assert!(own("https://a.example", true, &renamed));
    assert!(!own("https://a.example", false, &renamed), "not from a stranger");
}

#[test]
fn of_two_origins_both_must_be_allowed() {
    let second = HeaderName::from_static("origin");
    assert!(!own("https://a.example", false, &[(&HOST, "a.example"), (&second, "https://evil.example")]));
}
