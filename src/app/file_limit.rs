//! The system's limit on open files, and thus on connections, of this process.

use crate::config::Config;

/// Files besides connections: log, database, Redis, threads and what the runtimes need.
const OTHERS: u64 = 200;

/// Raises the limit as far as possible without more privileges, and warns if it is lower than the configured
/// number of connections.
pub(super) fn raise(config: &Config) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let files = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(_) => limit.current,
        };
        let wanted = config.limits.max_connections_per_node as u64 + OTHERS;
        // None means that there is no limit.
        if let Some(files) = files.filter(|files| *files < wanted) {
            tracing::warn!(
                files,
                wanted,
                "The limit of open files is lower than MAX_CONNECTIONS_PER_NODE needs; raise it (ulimit -n, LimitNOFILE)"
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = config;
}
