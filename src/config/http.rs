//! Where the service listens and which peers it trusts.
//!
//! It must never allow every origin: cookies are sent with these requests.

use std::net::{IpAddr, Ipv6Addr};
use std::thread::available_parallelism;

use ipnet::IpNet;

use super::origin;
use super::setting::{Form, Preset, Setting};
use super::source::Source;
use crate::domain::address_form::AddressForm;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "HOST",
        Form::Other("address", "an address or a host name, no port; IPv6 with or without brackets"),
        Preset::Value("0.0.0.0"),
        "Address or host name to bind.",
    ),
    Setting::new(
        "PORT",
        Form::Number(0, 65_535),
        Preset::Value("4001"),
        "Port to listen on; 0 is any free one.",
    ),
    Setting::new(
        "CORS_ORIGIN",
        Form::Other("list", "`scheme://host[:port]` without a path, each by name; `*` is refused"),
        Preset::Unset,
        "Browser origins let in.",
    ),
    Setting::new(
        "TRUSTED_PROXIES",
        Form::Other("list", "addresses or CIDRs such as `10.0.0.0/8`"),
        Preset::Unset,
        "Proxies whose `X-Forwarded-For` is believed.",
    ),
    Setting::new(
        "IP_ADDRESSES",
        Form::Word(AddressForm::NAMES),
        Preset::Value("full"),
        "How much of a client's address is stored, shown and mailed; `truncated` is its /24 or /48. Limits use all of it and forget it.",
    ),
    Setting::new(
        "FORWARD_AUTH_LOGIN_URL",
        Form::Other("URL", "`http://` or `https://`, no fragment"),
        Preset::Unset,
        "Page that `/verify?redirect=1` sends people to who are not signed in.",
    ),
    Setting::new(
        "HTTP_WORKERS",
        Form::Number(1, 1024),
        Preset::Told("one per processor"),
        "Threads that serve requests.",
    ),
];

/// The HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpConfig {
    /// The address or host name to bind, without brackets.
    pub host: String,
    /// The port; 0 means any free one.
    pub port: u16,
    /// Allowed origins, as browsers send them: `scheme://host[:port]` in lower case.
    pub cors_origins: Vec<String>,
    /// Peers whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// How much of a client's address to store.
    pub addresses: AddressForm,
    /// Where `/verify?redirect=1` sends people who are not signed in.
    pub forward_auth_login_url: Option<String>,
    /// Threads that serve requests.
    pub workers: usize,
}

impl HttpConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Self {
        HttpConfig {
            host: host(source),
            port: source.integer("PORT"),
            cors_origins: cors_origins(source),
            trusted_proxies: trusted_proxies(source),
            addresses: source.choice("IP_ADDRESSES", &AddressForm::ALL.map(|form| (form.as_str(), form))),
            forward_auth_login_url: login_url(source),
            workers: source.integer_or("HTTP_WORKERS", cores()),
        }
    }
}

/// The processors this process may use.
pub(super) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

fn host(source: &mut Source<'_>) -> String {
    let value = source.text("HOST").unwrap_or("0.0.0.0");
    let inner = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let fits = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => value.parse::<IpAddr>().is_ok() || origin::is_host_name(value),
    };
    if !fits {
        source.refuse("HOST", value, "an address or a host name, without a port");
    }
    let host = inner.unwrap_or(value).to_owned();
    source.list_value("HOST", host.clone());
    host
}

fn cors_origins(source: &mut Source<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for member in source.list("CORS_ORIGIN") {
        match origin::normalise(member) {
            Some(origin) if !origins.contains(&origin) => origins.push(origin),
            Some(_) => {}
            None if member == "*" => source.refuse(
                "CORS_ORIGIN",
                member,
                "each origin by name: with cookies none may stand for all",
            ),
            None => {
                source.refuse("CORS_ORIGIN", member, "scheme://host[:port] without a path, comma-separated")
            }
        }
    }
    source.list_value("CORS_ORIGIN", origins.join(","));
    origins
}

fn trusted_proxies(source: &mut Source<'_>) -> Vec<IpNet> {
    let mut proxies = Vec::new();
    for member in source.list("TRUSTED_PROXIES") {
        let net = member.parse::<IpNet>().or_else(|_| member.parse::<IpAddr>().map(IpNet::from));
        match net {
            Ok(net) => proxies.push(net.trunc()),
            Err(_) => source.refuse(
                "TRUSTED_PROXIES",
                member,
                "addresses or CIDRs such as 10.0.0.0/8, comma-separated",
            ),
        }
    }
    let shown = proxies.iter().map(IpNet::to_string).collect::<Vec<_>>();
    source.list_value("TRUSTED_PROXIES", shown.join(","));
    proxies
}

fn login_url(source: &mut Source<'_>) -> Option<String> {
    let value = source.text("FORWARD_AUTH_LOGIN_URL")?;
    let is_page = ["http://", "https://"].iter().any(|scheme| {
        let rest = value.strip_prefix(scheme).unwrap_or_default();
        let (authority, _) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        origin::normalise(&format!("{scheme}{authority}")).is_some()
    });
    let is_plain = value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !is_page || !is_plain {
        source.refuse("FORWARD_AUTH_LOGIN_URL", value, "an http:// or https:// address without a fragment");
    }
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};

    #[test]
    fn defaults() {
        let http = parse(&[]).http;
        assert_eq!((http.host.as_str(), http.port), ("0.0.0.0", 4001));
        assert!(http.cors_origins.is_empty() && http.trusted_proxies.is_empty() && http.workers >= 1);
    }

    #[test]
    fn proxies_may_be_addresses_or_networks() {
        let http = parse(&[("TRUSTED_PROXIES", "10.1.2.3/8, 127.0.0.1 ,::1")]).http;
        let told = http.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told, ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]);
    }

    #[test]
    fn hosts() {
        assert_eq!(parse(&[("HOST", "[::1]")]).http.host, "::1");
        assert_eq!(parse(&[("HOST", "auth.internal")]).http.host, "auth.internal");
        for host in ["localhost:80", "http://x", "a b", "[1.2.3.4]"] {
            assert_eq!(refused(&[("HOST", host)]), ["HOST"], "{host}");
        }
    }

    #[test]
    fn origins_are_normalised_once_each_and_never_all() {
        let http = parse(&[("CORS_ORIGIN", "HTTPS://App.Example.com:443/, https://app.example.com,")]).http;
        assert_eq!(http.cors_origins, ["https://app.example.com"]);
        assert_eq!(refused(&[("CORS_ORIGIN", "https://a.example,*")]), ["CORS_ORIGIN"]);
    }

    #[test]
    fn the_login_page_is_an_address() {
        for url in ["https://app.example/login?next=1", "http://localhost:3000"] {
            let http = parse(&[("FORWARD_AUTH_LOGIN_URL", url)]).http;
            assert_eq!(http.forward_auth_login_url.as_deref(), Some(url));
        }
        for url in
            ["/login", "javascript:alert(1)", "https://", "https://u@a.example/", "https://a.example/#x"]
        {
            assert_eq!(refused(&[("FORWARD_AUTH_LOGIN_URL", url)]), ["FORWARD_AUTH_LOGIN_URL"], "{url}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(parse(&[("PORT", "0")]).http.port, 0);
        assert_eq!(parse(&[("PORT", "65535")]).http.port, 65535);
        for port in ["65536", "-1", "http", "4001.5"] {
            assert_eq!(refused(&[("PORT", port)]), ["PORT"], "{port}");
        }
    }
}
