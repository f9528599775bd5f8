//! Web origins, normalised to the form that browsers send, so that comparing text is enough.
//!
//! It must never accept what no browser sends: a path, a wildcard, credentials.

use std::net::Ipv6Addr;

/// `scheme://host[:port]` in lower case, without the scheme's default port; `None` if it is not an origin.
pub(super) fn normalise(text: &str) -> Option<String> {
    let lower = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let (host, port) = split_port(authority)?;
    if !is_scheme(scheme) || !is_host(host) {
        return None;
    }
    match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => Some(format!("{scheme}://{host}")),
        (_, Some(port)) => Some(format!("{scheme}://{host}:{port}")),
    }
}

/// Labels of letters, digits, `-` and `_` between dots; other scripts in their `xn--` form.
pub(super) fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    host.len() <= 253 && host.split('.').all(label)
}

pub(super) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0)?;
            Some((host, Some(port)))
        }
        _ => Some((authority, None)),
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

pub(super) fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    }
}

#[cfg(test)]
mod tests {
    use super::normalise;

    #[test]
    fn origins_take_the_form_browsers_send() {
        for (text, origin) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTP://LOCALHOST:80", "http://localhost"),
            ("https://a.example:443/", "https://a.example"),
            ("https://a.example:80", "https://a.example:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(normalise(text).as_deref(), Some(origin), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "*",
            "null",
            "a.example",
            "https://",
            "https://a.example/path",
            "https://a.example?x",
            "https://u@a.example",
            "https://*.example",
            "https://a.example:",
            "https://a.example:0",
            "https://a.example:65536",
            "https://a b",
            "https://a..b",
            "://a",
            "https://a.example//",
            "https://a.example:+80",
        ] {
            assert_eq!(normalise(text), None, "{text}");
        }
    }
}
