//! What kind of server answers at the address, as it reports itself.

use redis::{RedisResult, aio::ConnectionLike};

use crate::config::RedisMode;

/// The server behind the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerInfo {
    /// `standalone`, `cluster` or `sentinel`; empty if it does not say.
    mode: String,
    /// The first number of its version; 0 if it does not say.
    version: u32,
    /// `maxmemory-policy`; `None` if this user may not query it.
    policy: Option<String>,
}

/// The first version with sharded Pub/Sub, which the nodes use in a Cluster.
const OLDEST_CLUSTER: u32 = 7;

/// What happens to keys when the server's memory is full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Eviction {
    /// Not known yet, or cannot be known.
    #[default]
    Unknown,
    /// It refuses writes rather than evict keys.
    Never,
    /// It may evict keys at any moment, by this policy.
    By(String),
}

impl Eviction {
    /// Of several servers together.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::By(policy), _) | (_, Self::By(policy)) => Self::By(policy),
            (Self::Never, Self::Never) => Self::Never,
            _ => Self::Unknown,
        }
    }
}

impl ServerInfo {
    /// # Errors
    /// When it does not answer. A query that it refuses leaves its field empty.
    pub(super) async fn ask(connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Self> {
        let info = match redis::cmd("INFO").query_async::<String>(connection).await {
            Ok(info) => Self::read(&info),
            Err(error) if error.code().is_some() => Self::default(),
            Err(error) => return Err(error),
        };
        if info.policy.is_some() || info.mode == "sentinel" {
            return Ok(info);
        }
        let mut config = redis::cmd("CONFIG");
        config.arg("GET").arg("maxmemory-policy");
        match config.query_async::<std::collections::HashMap<String, String>>(connection).await {
            Ok(mut config) => Ok(Self { policy: config.remove("maxmemory-policy"), ..info }),
            Err(error) if error.code().is_some() => Ok(info),
            Err(error) => Err(error),
        }
    }

    /// From the text of `INFO`.
    pub(super) fn read(info: &str) -> Self {
        let value = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let mode = value("redis_mode").or_else(|| value("server_mode")).unwrap_or_default();
        let version = value("redis_version").unwrap_or_default();
        let version = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        Self { mode, version, policy: value("maxmemory_policy") }
    }

    /// Why it cannot be used as configured, if it cannot, in words for an operator.
    pub(super) fn mismatch(&self, configured: &RedisMode) -> Option<&'static str> {
        match (configured, self.mode.as_str()) {
            (RedisMode::Standalone, "cluster") => {
                Some("the server is a node of a Redis Cluster; set REDIS_MODE=cluster")
            }
            (RedisMode::Standalone | RedisMode::Cluster, "sentinel") => {
                Some("the server is a Redis Sentinel; set REDIS_MODE=sentinel and REDIS_SENTINEL_MASTER")
            }
            (RedisMode::Cluster, "standalone") => {
                Some("the server is not a node of a Redis Cluster; set REDIS_MODE=standalone")
            }
            (RedisMode::Sentinel { .. }, "standalone" | "cluster") => Some(
                "the server is not a Sentinel; REDIS_MODE=sentinel needs the addresses of the Sentinels in REDIS_URL",
            ),
            (RedisMode::Cluster, _) if (1..OLDEST_CLUSTER).contains(&self.version) => Some(
                "the server is older than version 7; REDIS_MODE=cluster needs sharded Pub/Sub, which began there",
            ),
            _ => None,
        }
    }

    pub(super) fn eviction(self) -> Eviction {
        match self.policy {
            None => Eviction::Unknown,
            Some(policy) if policy == "noeviction" => Eviction::Never,
            Some(policy) => Eviction::By(policy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_what_it_is() {
        let info = ServerInfo::read(
            "# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\n\r\nmaxmemory_policy:allkeys-lru\r\n",
        );
        assert!(info.mismatch(&RedisMode::Cluster).is_none());
        assert!(info.mismatch(&RedisMode::Standalone).unwrap().contains("set REDIS_MODE=cluster"));
        assert_eq!(info.eviction(), Eviction::By("allkeys-lru".to_owned()));
        assert_eq!(ServerInfo::read("maxmemory_policy:noeviction\r\n").eviction(), Eviction::Never);
        assert_eq!(ServerInfo::read("").eviction(), Eviction::Unknown);
    }

    #[test]
    fn a_cluster_needs_sharded_channels() {
        let old = ServerInfo::read("redis_version:6.2.14\r\nredis_mode:cluster\r\n");
        assert!(old.mismatch(&RedisMode::Cluster).unwrap().contains("version 7"));
        assert!(ServerInfo::default().mismatch(&RedisMode::Cluster).is_none(), "it may not say");
    }

    #[test]
    fn one_server_that_evicts_is_enough() {
        let by = Eviction::By("allkeys-lru".to_owned());
        assert_eq!(Eviction::Never.and(by.clone()), by);
        assert_eq!(Eviction::Never.and(Eviction::Unknown), Eviction::Unknown);
        assert_eq!(Eviction::Never.and(Eviction::Never), Eviction::Never);
    }
}
