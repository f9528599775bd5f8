//! What kind of server answers at the address, as it reports itself.

use redis::{RedisResult, aio::ConnectionLike};

/// The server behind the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerInfo {
    /// `standalone`, `cluster` or `sentinel`; empty if it does not say.
    mode: String,
    /// `maxmemory-policy`; `None` if this user may not query it.
    policy: Option<String>,
}

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

impl ServerInfo {
    /// # Errors
    /// When it does not answer. A query that it refuses leaves its field empty.
    pub(super) async fn ask(connection: &mut (impl ConnectionLike + Send)) -> RedisResult<Self> {
        let info = match redis::cmd("INFO").query_async::<String>(connection).await {
            Ok(info) => Self::read(&info),
            Err(error) if error.code().is_some() => Self::default(),
            Err(error) => return Err(error),
        };
        if info.policy.is_some() || info.is_sentinel() {
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

    fn read(info: &str) -> Self {
        let value = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let mode = value("redis_mode").or_else(|| value("server_mode")).unwrap_or_default();
        Self { mode, policy: value("maxmemory_policy") }
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.mode == "cluster"
    }

    pub(super) fn is_sentinel(&self) -> bool {
        self.mode == "sentinel"
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
        assert!(info.is_cluster() && !info.is_sentinel());
        assert_eq!(info.eviction(), Eviction::By("allkeys-lru".to_owned()));
        assert_eq!(ServerInfo::read("maxmemory_policy:noeviction\r\n").eviction(), Eviction::Never);
        assert_eq!(ServerInfo::read("").eviction(), Eviction::Unknown);
    }
}
