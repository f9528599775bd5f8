//! May the page that a request comes from use the cookie? The `Origin` header names the page's origin: the
//! browser itself sets it, and a page cannot forge it.

use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Whether the request has no `Origin`, or only one that is allowed or the service's own. `by_proxy` says
/// whether the request comes through a trusted proxy.
pub(super) fn is_allowed(headers: &HeaderMap, by_proxy: bool, allowed: &[String]) -> bool {
    headers.get_all(ORIGIN).all(|origin| {
        let Ok(origin) = origin.to_str() else { return false };
        allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
            || is_own(headers, by_proxy, origin)
    })
}

/// Whether it is the origin at which browsers reach the service, according to `Host` and the proxy.
fn is_own(headers: &HeaderMap, by_proxy: bool, origin: &str) -> bool {
    let Some(origin) = Authority::of_origin(origin) else { return false };
    let forwarded = |name: &HeaderName| if by_proxy { first_value(headers, name) } else { None };
    let over_tls = forwarded(&FORWARDED_PROTO).map(|proto| proto.eq_ignore_ascii_case("https"));
    // A page without TLS on a host that is served with TLS could come from anybody on the network path.
    if over_tls == Some(true) && origin.default_port == 80 {
        return false;
    }
    let hosts = [first_value(headers, &HOST), forwarded(&FORWARDED_HOST)];
    hosts.into_iter().flatten().any(|host| origin.is_at(host, over_tls.is_some()))
}

/// The first value of a list: that of the proxy nearest to the client.
fn first_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let first = headers.get(name)?.to_str().ok()?.split(',').next()?;
    Some(first.trim()).filter(|value| !value.is_empty())
}

/// Host and port of an origin.
struct Authority<'a> {
    host: &'a str,
    port: u16,
    /// The default port of its scheme.
    default_port: u16,
}

impl<'a> Authority<'a> {
    fn of_origin(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let default_port = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => 443,
            scheme if scheme.eq_ignore_ascii_case("http") => 80,
            _ => return None,
        };
        let (host, port) = split(authority)?;
        Some(Self { host, port: port.unwrap_or(default_port), default_port })
    }

    /// Whether a `Host` names the same authority. A proxy may write out its default port; and if it
    /// terminates TLS, that of its inner side.
    fn is_at(&self, host: &str, through_proxy: bool) -> bool {
        let Some((host, port)) = split(host) else { return false };
        let has_same_port = match port {
            None => self.port == self.default_port,
            Some(80 | 443) if through_proxy && self.port == self.default_port => true,
            Some(port) => port == self.port,
        };
        has_same_port && host.eq_ignore_ascii_case(self.host)
    }
}

/// Host, and port if there is one.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests;
