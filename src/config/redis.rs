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
        Form::Other("URL, secret", "`redis://[:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS"),
        Preset::Told("none; the bus is in this process"),
        "Redis: events to other services, quick notices between nodes, rate limits over all nodes. A single server, not a \
         Cluster or a Sentinel.",
    )
    .secret(),
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

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// The whole address; `rediss://` is TLS.
    pub url: Secret,
    /// PEM file of the certificate authorities to trust for the server, in place of the public ones.
    pub ca_file: Option<PathBuf>,
    /// The prefix of the names of channels, of the stream and of keys.
    pub prefix: String,
}

impl RedisConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Option<Self> {
        let url = url(source);
        source.list_secret("REDIS_URL", url.as_ref());
        let (ca_file, prefix) = (source.path("REDIS_CA_FILE"), prefix(source));
        let url = url?;
        let is_tls = url.expose().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("rediss:"));
        if let Some(ca_file) = ca_file.as_ref().filter(|_| !is_tls) {
            let path = ca_file.display().to_string();
            source.refuse(
                "REDIS_CA_FILE",
                &path,
                "a REDIS_URL that begins with rediss:// beside it, or nothing",
            );
        }
        Some(RedisConfig { url, ca_file, prefix })
    }
}

fn url(source: &mut Source<'_>) -> Option<Secret> {
    let url = source.text("REDIS_URL")?;
    let host = match url.split_once("://") {
        Some((scheme, host)) if ["redis", "rediss"].contains(&scheme.to_ascii_lowercase().as_str()) => host,
        _ => "",
    };
    if host.is_empty() || host.starts_with('/') || url.into_connection_info().is_err() {
        source.refuse_secret(
            "REDIS_URL",
            url.len(),
            "redis://[:PASSWORD@]HOST[:PORT][/DB] or rediss://… for TLS",
        );
    }
    Some(Secret::new(url))
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

    #[test]
    fn addresses() {
        assert!(parse(&[("REDIS_URL", "")]).redis.is_none());
        let redis = parse(&[("REDIS_URL", "rediss://:pw@cache:6380/1")]).redis;
        assert_eq!(redis.unwrap().url.expose(), "rediss://:pw@cache:6380/1");
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
