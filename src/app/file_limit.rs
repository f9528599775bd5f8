//! How many files, and so connections, the system lets this process have open.

use crate::config::Config;

/// Files beside connections: log, database, Redis, threads and what the runtimes need.
const OTHERS: u64 = 200;

/// Raises the limit as far as may be without more rights, and tells where it is lower than the connections
/// that are allowed.
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
