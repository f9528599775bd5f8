//! Addresses of PostgreSQL as its own client library accepts them: several servers, IPv6 literals, sockets,
//! `target_session_attrs`.
//!
//! It must never show one: it contains a password.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;

use super::Secret;

/// Most servers in one address.
const MOST: usize = 16;

/// One of the servers of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresServer {
    /// An address for this server alone. `host` and `port` below take precedence over those in it.
    pub url: Secret,
    /// Host name, address without brackets, or the folder of its socket.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl PostgresServer {
    /// How to connect to it. Without the startup parameter that sqlx adds and poolers refuse: the server's
    /// own default also returns numbers in full precision.
    #[must_use]
    pub fn at(&self, options: PgConnectOptions) -> PgConnectOptions {
        options.host(&self.host).port(self.port).extra_float_digits(None)
    }
}

/// The servers of an address, in order; `None` if it cannot be used.
#[must_use]
pub fn postgres_servers(url: &str) -> Option<Vec<PostgresServer>> {
    let address = Address::parse(url)?;
    let servers = address.servers()?;
    servers.into_iter().map(|(host, port)| address.server(host, port)).collect()
}

/// A parsed address.
struct Address<'a> {
    scheme: &'a str,
    /// `user:password@`, or nothing.
    user: &'a str,
    /// The hosts before the path, with their ports, if any.
    authority: Vec<(String, Option<u16>)>,
    /// The path: `/database`.
    path: &'a str,
    /// Hosts of the parameter `host` or `hostaddr`.
    hosts: Vec<String>,
    /// Ports of the parameter `port`.
    ports: Vec<u16>,
    /// All other parameters, unchanged.
    parameters: Vec<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !["postgres", "postgresql"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let mut address = Address {
            scheme,
            user,
            authority: Vec::new(),
            path,
            hosts: Vec::new(),
            ports: Vec::new(),
            parameters: Vec::new(),
        };
        if !hosts.is_empty() {
            address.authority = hosts.split(',').map(host_and_port).collect::<Option<_>>()?;
        }
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            address.add_parameter(parameter)?;
        }
        Some(address)
    }

    fn add_parameter(&mut self, parameter: &'a str) -> Option<()> {
        let (name, value) = parameter.split_once('=')?;
        let value = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
        match name {
            "host" | "hostaddr" => self.hosts = value.split(',').map(bare_host).collect::<Option<_>>()?,
            "port" => self.ports = value.split(',').map(|port| port.parse().ok()).collect::<Option<_>>()?,
            // A read-only server is useless, so a writable one is searched for in any case.
            "target_session_attrs" if ["any", "read-write", "primary"].contains(&&*value) => {}
            "target_session_attrs" => return None,
            _ => self.parameters.push(parameter),
        }
        Some(())
    }

    /// Hosts and ports: those of the parameters take precedence over those of the authority.
    fn servers(&self) -> Option<Vec<(String, u16)>> {
        let default = PgConnectOptions::new_without_pgpass();
        let port_of = |index: usize, own: Option<u16>| match self.ports.len() {
            0 => Some(own.unwrap_or(default.get_port())),
            1 => Some(self.ports[0]),
            _ => self.ports.get(index).copied(),
        };
        let named = self.hosts.iter().map(|host| (host.clone(), None));
        let mut hosts: Vec<_> = if self.hosts.is_empty() { self.authority.clone() } else { named.collect() };
        if hosts.is_empty() {
            hosts.push((default.get_host().to_owned(), None));
        }
        let fits = hosts.len() <= MOST && (self.ports.len() <= 1 || self.ports.len() == hosts.len());
        let servers = hosts.into_iter().enumerate();
        fits.then(|| servers.map(|(index, (host, own))| Some((host, port_of(index, own)?))).collect())?
    }

    /// The address for a single server. The host is stored separately from the URL, in which the brackets of
    /// an IPv6 address would remain.
    fn server(&self, host: String, port: u16) -> Option<PostgresServer> {
        let in_url = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ if host.starts_with('/') || host.contains('%') => "localhost".to_owned(),
            _ => host.clone(),
        };
        let (scheme, user, path, parameters) = (self.scheme, self.user, self.path, self.parameters.join("&"));
        let url = format!("{scheme}://{user}{in_url}:{port}{path}?{parameters}");
        PgConnectOptions::from_str(&url).ok()?;
        Some(PostgresServer { url: Secret::new(url), host, port })
    }
}

/// `host`, `host:port`, `[::1]:port`, or the folder of a socket with `%2F` for its slashes.
fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, Some(port.parse().ok().filter(|port| *port > 0)?))
        }
        _ => (text, None),
    };
    let host = percent_encoding::percent_decode_str(host).decode_utf8().ok()?;
    Some((bare_host(&host)?, port))
}

/// The host without the brackets of an IPv6 address, which may have a zone such as `%eth0`.
fn bare_host(host: &str) -> Option<String> {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_ipv6 = |text: &str| text.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok());
    let is_plain =
        |host: &str| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "[]:@?#".contains(c));
    match inner {
        Some(inner) => is_ipv6(inner).then(|| inner.to_owned()),
        None => (host.starts_with('/') || is_plain(host) || is_ipv6(host)).then(|| host.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Option<Vec<String>> {
        let servers = postgres_servers(url)?;
        Some(servers.iter().map(|server| format!("{} {}", server.host, server.port)).collect())
    }

    #[test]
    fn each_server_of_an_address_is_found() {
        for (url, expected) in [
            ("postgres://u:p@db/x", vec!["db 5432"]),
            ("postgresql://u:p@db:5433/x?sslmode=require", vec!["db 5433"]),
            ("postgres://u:p@[::1]/x", vec!["::1 5432"]),
            ("postgres://u:p@[2001:db8::1]:6000/x", vec!["2001:db8::1 6000"]),
            ("postgres://u:p@a,b:6000,[::1]:7000/x", vec!["a 5432", "b 6000", "::1 7000"]),
            ("postgres://u:p@a,b/x?target_session_attrs=read-write", vec!["a 5432", "b 5432"]),
            ("postgres://u:p@/x?host=/run/postgresql", vec!["/run/postgresql 5432"]),
            ("postgres:///x?host=/run/postgresql&port=6000", vec!["/run/postgresql 6000"]),
            ("postgres://u:p@%2Frun%2Fpostgresql/x", vec!["/run/postgresql 5432"]),
            ("postgres://u:p@%2Frun%2Fpostgresql:6000/x", vec!["/run/postgresql 6000"]),
            ("postgres://u:p@/x?host=a,b&port=1,2", vec!["a 1", "b 2"]),
            ("postgres://u:p@/x?host=a,b&port=7", vec!["a 7", "b 7"]),
            ("postgres://u:p@/x?hostaddr=192.0.2.1", vec!["192.0.2.1 5432"]),
        ] {
            assert_eq!(servers(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn the_rest_of_an_address_is_the_same_for_each() {
        for server in postgres_servers("postgres://ada:p%40w@a,[::1]:6000/x?sslmode=require").unwrap() {
            let options = server.at(server.url.expose().parse().unwrap());
            assert_eq!((options.get_username(), options.get_database()), ("ada", Some("x")));
            assert_eq!((options.get_host(), options.get_port()), (server.host.as_str(), server.port));
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        for url in [
            "postgres://u:p@a,/x",
            "postgres://u:p@a:0/x",
            "postgres://u:p@a:b/x",
            "postgres://u:p@[::1/x",
            "postgres://u:p@[a]/x",
            "postgres://u:p@::1/x",
            "postgres://u:p@a,b/x?port=1,2,3",
            "postgres://u:p@a/x?target_session_attrs=standby",
            "postgres://u:p@a/x?target_session_attrs=read-only",
            "postgres://u:p@a/x?sslmode=bogus",
            "postgres:u:p@a/x",
            "mysql://u:p@a/x",
        ] {
            assert!(postgres_servers(url).is_none(), "{url}");
        }
    }
}
