//! The bus between nodes and to other services.
//!
//! It must never be needed for correctness, nor may its address be shown: it may contain a password.

use std::path::PathBuf;

use redis::IntoConnectionInfo;

use super::Secret;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "REDIS_URL",
        Form::Other(
            "URL, secret",
            "`redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS; of a Cluster or of Sentinels also \
             several, `HOST[:PORT],HOST[:PORT]`",
        ),
        Preset::Told("none; the bus is in this process"),
        "Redis: events to other services, quick notices between nodes, rate limits over all nodes.",
    )
    .secret(),
    Setting::new(
        "REDIS_MODE",
        Form::Word(RedisMode::NAMES),
        Preset::Value("standalone"),
        "What `REDIS_URL` leads to: one server (or a proxy that follows the master), nodes of a Redis Cluster (version 7 \
         or newer), or Sentinels, which name the master.",
    ),
    Setting::new(
        "REDIS_SENTINEL_MASTER",
        Form::Text,
        Preset::Value("mymaster"),
        "The name by which the Sentinels know the master.",
    )
    .note("used only with `REDIS_MODE=sentinel`"),
    Setting::new(
        "REDIS_SENTINEL_PASSWORD",
        Form::Other("text, secret", "any text"),
        Preset::Unset,
        "The password of the Sentinels themselves; user and password in `REDIS_URL` are those of the servers they name.",
    )
    .secret()
    .note("only with `REDIS_MODE=sentinel`"),
    Setting::new(
        "REDIS_MIN_REPLICAS",
        Form::Number(0, 10),
        Preset::Value("0"),
        "How many replicas of a master must have an event before it leaves the outbox, so that the one that takes over has \
         it. While there are fewer, events wait.",
    ),
    Setting::new(
        "REDIS_CA_FILE",
        Form::Other("file", "a file that can be read"),
        Preset::Unset,
        "Authorities (PEM) trusted for the Redis server in place of the public ones.",
    )
    .note("only with `rediss://`"),
    Setting::new(
        "REDIS_PREFIX",
        Form::Other("text", "at most 64 letters, digits and `:._-/`"),
        Preset::Value("auth:"),
        "What the names of channels, of the stream and of keys begin with. Deployments that share a Redis need different \
         ones, also in different databases of it: channels are the same in all.",
    ),
];

const PREFIX_MAX_BYTES: usize = 64;
const ADDRESS_FORM: &str = "redis://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DB] or rediss://… for TLS";

/// Redis: one server, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// The addresses, each a whole URL; `rediss://` is TLS. At least one; in standalone mode exactly one.
    pub urls: Vec<Secret>,
    /// What the addresses lead to.
    pub mode: RedisMode,
    /// How many replicas must have an event before it counts as published.
    pub min_replicas: u32,
    /// PEM file of the certificate authorities to trust for the server, in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The prefix of the names of channels, of the stream and of keys.
    pub prefix: String,
}

/// What the addresses lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisMode {
    /// One server, or a proxy that leads to the current master.
    Standalone,
    /// Nodes of a Redis Cluster.
    Cluster,
    /// Sentinels.
    Sentinel {
        /// The name by which they know the master.
        master: String,
        /// Their own password.
        password: Option<Secret>,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Standalone,
    Cluster,
    Sentinel,
}

impl RedisMode {
    const NAMES: &[&str] = &["standalone", "cluster", "sentinel"];

    fn parse(source: &mut Source<'_>) -> Self {
        let kinds = [Kind::Standalone, Kind::Cluster, Kind::Sentinel];
        let choices: Vec<_> = Self::NAMES.iter().copied().zip(kinds).collect();
        let kind = source.choice("REDIS_MODE", &choices);
        let master = source.short_text("REDIS_SENTINEL_MASTER");
        let password = source.secret("REDIS_SENTINEL_PASSWORD");
        source.list_secret("REDIS_SENTINEL_PASSWORD", password.as_ref());
        if let Some(password) = password.as_ref().filter(|_| kind != Kind::Sentinel) {
            let length = password.expose().len();
            source.refuse_secret(
                "REDIS_SENTINEL_PASSWORD",
                length,
                "REDIS_MODE=sentinel beside it, or nothing",
            );
        }
        match kind {
            Kind::Standalone => Self::Standalone,
            Kind::Cluster => Self::Cluster,
            Kind::Sentinel => Self::Sentinel { master, password },
        }
    }
}

impl RedisConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Option<Self> {
        let (urls, mode) = (urls(source), RedisMode::parse(source));
        source.list_secret("REDIS_URL", source.text("REDIS_URL").map(Secret::new).as_ref());
        let min_replicas = source.integer("REDIS_MIN_REPLICAS");
        let (ca_file, prefix) = (source.path("REDIS_CA_FILE"), prefix(source));
        let urls = urls?;
        let length = source.text("REDIS_URL").map_or(0, str::len);
        if mode == RedisMode::Standalone && urls.len() > 1 {
            source.refuse_secret(
                "REDIS_URL",
                length,
                "one address, or REDIS_MODE=cluster or sentinel beside it",
            );
        }
        let has_database = |url: &Secret| {
            let info = url.expose().into_connection_info();
            info.is_ok_and(|info| info.redis_settings().db() != 0)
        };
        if mode == RedisMode::Cluster && urls.iter().any(has_database) {
            source.refuse_secret(
                "REDIS_URL",
                length,
                "no database number with REDIS_MODE=cluster: a Cluster has only 0",
            );
        }
        let is_tls = urls.iter().all(|url| is_tls(url.expose()));
        if let Some(ca_file) = ca_file.as_ref().filter(|_| !is_tls) {
            let path = ca_file.display().to_string();
            source.refuse(
                "REDIS_CA_FILE",
                &path,
                "a REDIS_URL that begins with rediss:// beside it, or nothing",
            );
        }
        Some(RedisConfig { urls, mode, min_replicas, ca_file, prefix })
    }
}

fn is_tls(url: &str) -> bool {
    url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rediss:"))
}

/// One URL for each address.
fn urls(source: &mut Source<'_>) -> Option<Vec<Secret>> {
    let url = source.text("REDIS_URL")?;
    let urls = addresses(url);
    let is_sound = |url: &String| url.as_str().into_connection_info().is_ok();
    if urls.is_empty() || !urls.iter().all(is_sound) {
        source.refuse_secret("REDIS_URL", url.len(), ADDRESS_FORM);
    }
    Some(urls.into_iter().map(Secret::new).collect())
}

/// `redis://user:password@a,b:6380/0` is `redis://user:password@a/0` and `redis://user:password@b:6380/0`.
/// Empty if it has not that form.
fn addresses(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let (user, hosts) = authority
        .rsplit_once('@')
        .map_or(("", authority), |(_, hosts)| (&authority[..authority.len() - hosts.len()], hosts));
    let is_redis = ["redis", "rediss"].contains(&scheme.to_ascii_lowercase().as_str());
    if !is_redis || hosts.split(',').any(|host| host.trim().is_empty()) {
        return Vec::new();
    }
    hosts.split(',').map(|host| format!("{scheme}://{user}{}{tail}", host.trim())).collect()
}

fn prefix(source: &mut Source<'_>) -> String {
    let prefix = source.short_text("REDIS_PREFIX");
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-/".contains(&byte);
    if prefix.len() > PREFIX_MAX_BYTES || !prefix.bytes().all(is_plain) {
        source.refuse("REDIS_PREFIX", &prefix, "at most 64 letters, digits and :._-/");
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::super::tests::{errors, parse};
    use super::{RedisMode, Secret};

    #[test]
    fn addresses() {
        assert!(parse(&[("REDIS_URL", "")]).redis.is_none());
        let redis = parse(&[("REDIS_URL", "rediss://:pw@cache:6380/1")]).redis;
        assert_eq!(redis.unwrap().urls[0].expose(), "rediss://:pw@cache:6380/1");
        for url in [
            "http://hunter2",
            "redis://",
            "redis:///0",
            "hunter2:6379",
            "redis://hunter2:99999",
            "redis://:hunter2@h/x",
        ] {
            let told = errors(&[("REDIS_URL", url)]).to_string();
            assert!(told.starts_with("REDIS_URL: got a secret of ") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn several_addresses() {
        let url = ("REDIS_URL", "redis://ada:p@w@a, b:7000/0");
        let redis = parse(&[url, ("REDIS_MODE", "cluster")]).redis.unwrap();
        let urls: Vec<_> = redis.urls.iter().map(|url| url.expose().to_owned()).collect();
        assert_eq!(urls, ["redis://ada:p@w@a/0", "redis://ada:p@w@b:7000/0"]);
        for (mode, url) in [
            ("standalone", "redis://hunter2,b"),
            ("cluster", "redis://hunter2,,b"),
            ("cluster", "redis://hunter2/1"),
        ] {
            let told = errors(&[("REDIS_MODE", mode), ("REDIS_URL", url)]).to_string();
            assert!(told.starts_with("REDIS_URL: got a secret of ") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn sentinels_have_a_password_of_their_own() {
        let given = [
            ("REDIS_URL", "redis://:pw@a/1"),
            ("REDIS_MODE", "sentinel"),
            ("REDIS_SENTINEL_PASSWORD", "hunter2"),
        ];
        let told = errors(&[given[0], given[2]]).to_string();
        assert!(told.starts_with("REDIS_SENTINEL_PASSWORD: got a secret of 7 bytes"), "{told}");
        let expected =
            RedisMode::Sentinel { master: "mymaster".to_owned(), password: Some(Secret::new("hunter2")) };
        assert_eq!(parse(&given).redis.unwrap().mode, expected);
    }

    #[test]
    fn prefixes() {
        let url = ("REDIS_URL", "redis://h");
        assert_eq!(parse(&[url]).redis.unwrap().prefix, "auth:");
        assert_eq!(parse(&[url, ("REDIS_PREFIX", "shop.auth/")]).redis.unwrap().prefix, "shop.auth/");
        for prefix in ["a b:", "{auth}:", "a*", &"a".repeat(65)] {
            let told = errors(&[url, ("REDIS_PREFIX", prefix)]).to_string();
            assert!(told.starts_with("REDIS_PREFIX: got"), "{told}");
        }
    }

    #[test]
    fn an_authority_is_for_tls() {
        let authority = ("REDIS_CA_FILE", "/etc/ca.pem");
        let redis = parse(&[("REDIS_URL", "rediss://h"), authority]).redis.unwrap();
        assert_eq!(redis.ca_file.unwrap().to_str(), Some("/etc/ca.pem"));
        let told = errors(&[("REDIS_URL", "redis://h"), authority]).to_string();
        assert!(told.starts_with("REDIS_CA_FILE: got \"/etc/ca.pem\""), "{told}");
    }
}
