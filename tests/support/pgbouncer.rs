//! `PgBouncer`: a pooler of one test in front of a PostgreSQL, from Debian's unmodified package.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::child::{Process, free_port};
use super::postgres::{folder, run_as_server_user};
use super::time::eventually;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Where Debian installs it, which may not be on an ordinary user's `PATH`.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

pub(crate) struct PgBouncer {
    // Fields are dropped in this order: the pooler before its folder.
    process: Process,
    port: u16,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts it in front of the server at that `host:port`, with additional lines of settings, such as
    /// `pool_mode = session`.
    pub(crate) async fn start(server: &str, settings: &[&str]) -> Self {
        let (host, server_port) = server.rsplit_once(':').unwrap();
        let (folder, port) = (folder(), free_port());
        let mut ini = format!(
            "[databases]\n* = host={host} port={server_port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        );
        settings.iter().for_each(|setting| writeln!(ini, "{setting}").unwrap());
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, ini).unwrap();
        let program = if std::path::Path::new(PROGRAM).exists() { PROGRAM } else { "pgbouncer" };
        let mut command: Command = run_as_server_user(program.as_ref());
        command.arg(&file);
        let pooler = Self { process: Process::spawn(command), port, _folder: folder };
        eventually("PgBouncer answers", TIMEOUT, async || {
            let socket = tokio::net::TcpStream::connect(pooler.address()).await;
            socket.map(drop).map_err(|cause| cause.to_string())
        })
        .await;
        pooler
    }

    /// `host:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Keeps its connections open and forwards nothing.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }
}
