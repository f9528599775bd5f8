//! The bus between nodes and to other services.
//!
//! It must never be needed for correctness, nor its address be shown: a password may be in it.

use redis::IntoConnectionInfo;

use super::Secret;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[Setting::new(
    "REDIS_URL",
    Form::Other("URL, secret", "`redis://[:PASSWORD@]HOST[:PORT][/DB]`, or `rediss://` for TLS"),
    Preset::Told("none; the bus is in this process"),
    "Redis: events to other services, quick notices between nodes, rate limits over all nodes.",
)
.secret()];

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// The whole address; `rediss://` is TLS.
    pub url: Secret,
}

impl RedisConfig {
    pub(super) fn parse(source: &mut Source<'_>) -> Option<Self> {
        let redis = Self::given(source);
        source.list_secret("REDIS_URL", redis.as_ref().map(|redis| &redis.url));
        redis
    }

    fn given(source: &mut Source<'_>) -> Option<Self> {
        let url = source.text("REDIS_URL")?;
        let host = match url.split_once("://") {
            Some((scheme, host)) if ["redis", "rediss"].contains(&scheme.to_ascii_lowercase().as_str()) => {
                host
            }
            _ => "",
        };
        if host.is_empty() || host.starts_with('/') || url.into_connection_info().is_err() {
            source.refuse_secret(
                "REDIS_URL",
                url.len(),
                "redis://[:PASSWORD@]HOST[:PORT][/DB] or rediss://… for TLS",
            );
        }
        Some(RedisConfig { url: Secret::new(url) })
    }
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
}
