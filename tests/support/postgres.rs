//! `PostgresServer`: a PostgreSQL of one test, so that it can be frozen, killed, followed by a standby and
//! replaced by it.
//!
//! What it has acknowledged survives a kill, though not a power cut. Its programs are those that
//! `./scripts/test` uses. As there, another user runs them if the tests run as root, which PostgreSQL
//! refuses.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement,
};
use tempfile::TempDir;

use super::child::{Process, free_port, send_signal};
use super::database::connect;
use super::time::eventually;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts to get a port that nobody takes between choosing and binding it.
const TRIES: usize = 5;

pub(crate) struct PostgresServer {
    // Fields are dropped in this order: the server before its folder.
    process: Process,
    port: u16,
    /// Passed to the server at each start.
    settings: Vec<String>,
    folder: TempDir,
}

impl PostgresServer {
    /// Starts an empty server, with settings such as `max_connections=10`.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let folder = folder();
        init(&folder);
        Self::serve(folder, settings.iter().map(|setting| (*setting).to_owned()).collect()).await
    }

    /// Starts a server that offers TLS, which the service then uses.
    pub(crate) async fn start_with_tls() -> Self {
        let folder = folder();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut settings = vec!["ssl=on".to_owned()];
        for (setting, pem) in
            [("ssl_cert_file", made.cert.pem()), ("ssl_key_file", made.signing_key.serialize_pem())]
        {
            let file = folder.path().join(setting);
            std::fs::write(&file, pem).unwrap();
            give_to_server(&file, 0o600);
            settings.push(format!("{setting}={}", file.display()));
        }
        init(&folder);
        Self::serve(folder, settings).await
    }

    /// Starts a standby of this server. From now on nothing is acknowledged that the standby does not have.
    pub(crate) async fn standby(&self) -> Self {
        let folder = folder();
        let mut copy = program("pg_basebackup");
        copy.arg("-D").arg(data(&folder)).args(["-d", &self.url(), "-R", "--checkpoint=fast", "--no-sync"]);
        finish(&mut copy);
        let standby = Self::serve(folder, Vec::new()).await;
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.execute("SELECT pg_reload_conf()").await;
        eventually("the standby is waited for", TIMEOUT, async || {
            match self.count("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await {
                1 => Ok(()),
                count => Err(format!("{count} standbys")),
            }
        })
        .await;
        standby
    }

    async fn serve(folder: TempDir, settings: Vec<String>) -> Self {
        let port = free_port();
        let mut server = Self { process: spawn(port, &settings, &folder), port, settings, folder };
        for _ in 0..TRIES {
            if server.is_ready().await {
                return server;
            }
            server.port = free_port();
            server.process = spawn(server.port, &server.settings, &server.folder);
        }
        panic!("no port for PostgreSQL in {TRIES} tries")
    }

    /// Waits until it answers; returns `false` if the process ended instead.
    async fn is_ready(&mut self) -> bool {
        eventually("PostgreSQL answers", TIMEOUT, async || {
            if self.process.has_ended() {
                return Ok(false);
            }
            let connection = self.connect().await.map_err(|cause| cause.to_string())?;
            connection.close().await.map(|()| true).map_err(|cause| cause.to_string())
        })
        .await
    }

    /// The folder of its socket, and its port.
    pub(crate) fn socket(&self) -> (String, u16) {
        (self.folder.path().display().to_string(), self.port)
    }

    /// `host:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        url_at(&self.address())
    }

    /// One connection.
    pub(crate) async fn connect(&self) -> Result<DatabaseConnection, DbErr> {
        connect(&self.url()).await
    }

    pub(crate) async fn execute(&self, sql: &str) {
        super::database::execute(&self.url(), sql).await.unwrap();
    }

    async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let connection = self.connect().await.unwrap();
        let rows = connection.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// The single number that a query returns.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.query(sql).await[0].try_get_by_index(0).unwrap()
    }

    /// Ends the connections of applications with this name, and takes all available connections. They are
    /// free again when the returned ones are closed.
    pub(crate) async fn use_up_connections(&self, application: &str) -> Vec<DatabaseConnection> {
        let mut options = ConnectOptions::new(self.url());
        // A client that is refused for lack of a connection tries again until then.
        options.max_connections(1).acquire_timeout(Duration::from_millis(200)).sqlx_logging(false);
        let mut taken = vec![self.connect().await.unwrap()];
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '{application}'"
        );
        eventually("every connection is taken", TIMEOUT, async || {
            let ended = Statement::from_string(DbBackend::Postgres, &end);
            let ended = taken[0].query_all_raw(ended).await.unwrap().len();
            while let Ok(connection) = sea_orm::Database::connect(options.clone()).await {
                taken.push(connection);
            }
            if ended == 0 { Ok(()) } else { Err(format!("{ended} were not")) }
        })
        .await;
        taken
    }

    /// Keeps its connections open and answers no one.
    pub(crate) async fn freeze(&self) {
        // The main process first: otherwise it could start another one meanwhile, which would continue.
        stop(self.process.id()).await;
        for pid in self.everybody() {
            stop(pid).await;
        }
    }

    pub(crate) fn thaw(&self) {
        self.everybody().iter().for_each(|pid| send_signal(*pid, "CONT"));
    }

    /// Sends SIGKILL to all its processes at once, as if the machine had crashed.
    pub(crate) async fn kill(&mut self) {
        stop(self.process.id()).await;
        let everybody = self.everybody();
        everybody.iter().for_each(|pid| send_signal(*pid, "KILL"));
        self.process.kill();
        // A remaining one would keep the next server from starting.
        eventually("all its processes are gone", TIMEOUT, async || {
            let left: Vec<_> = everybody.iter().filter(|pid| is_running(**pid)).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }

    /// Starts it again on the same port, with its data.
    pub(crate) async fn restart(&mut self) {
        self.process = spawn(self.port, &self.settings, &self.folder);
        assert!(self.is_ready().await, "PostgreSQL did not come back:\n{}", self.process.logs());
    }

    /// Promotes a standby to a primary.
    pub(crate) async fn promote(&self) {
        self.execute("SELECT pg_promote()").await;
    }

    /// The main process, and those that it has started.
    fn everybody(&self) -> Vec<u32> {
        let first = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        std::iter::once(first).chain(children).collect()
    }
}

impl Drop for PostgresServer {
    /// Frozen processes too must receive the signal to end; then the server frees its shared memory.
    fn drop(&mut self) {
        if !self.process.has_ended() {
            self.thaw();
            self.process.signal("QUIT");
            self.process.wait();
        }
    }
}

/// The URL of its only database, at the server's address or at that of a proxy in front of it.
pub(crate) fn url_at(address: &str) -> String {
    format!("postgres://postgres@{address}/postgres")
}

fn spawn(port: u16, settings: &[String], folder: &TempDir) -> Process {
    let mut command = program("postgres");
    command.arg("-D").arg(data(folder)).arg("-p").arg(port.to_string());
    let sockets = format!("unix_socket_directories={}", folder.path().display());
    // Enough to survive the end of its processes, which is all that tests do to it.
    let fixed =
        ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off", "shared_buffers=16MB", &sockets];
    for setting in fixed.into_iter().chain(settings.iter().map(String::as_str)) {
        command.arg("-c").arg(setting);
    }
    Process::spawn(command)
}

/// A folder of the user who runs the server.
pub(super) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    give_to_server(folder.path(), 0o700);
    folder
}

pub(super) fn give_to_server(path: &Path, mode: u32) {
    if let Some((user, group)) = server_user() {
        chown(path, Some(user), Some(group)).unwrap();
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Initialises an empty server in the folder.
fn init(folder: &TempDir) {
    let mut initdb = program("initdb");
    initdb.arg("-D").arg(data(folder)).args(["-U", "postgres", "--auth=trust", "--encoding=UTF8"]);
    finish(initdb.args(["--locale=C", "--no-sync"]));
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

/// A program of PostgreSQL, run as a user that it accepts.
fn program(name: &str) -> Command {
    run_as_server_user(&folder_of_programs().join(name))
}

/// A program that, like PostgreSQL, refuses to be run by root.
pub(super) fn run_as_server_user(path: &Path) -> Command {
    let mut command = match server_user() {
        None => Command::new(path),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={group}"))
                .arg("--clear-groups")
                .arg(path);
            command
        }
    };
    command.current_dir("/").env("LC_ALL", "C");
    command
}

/// Searched for as in `scripts/lib/servers.sh`.
fn folder_of_programs() -> PathBuf {
    let named = Command::new("pg_config").arg("--bindir").output().ok();
    let named = named.map(|named| PathBuf::from(String::from_utf8(named.stdout).unwrap().trim()));
    let mut folders: Vec<_> = named.into_iter().collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    folders.extend(versions.map(|version| version.unwrap().path().join("bin")));
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let found =
        folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    found.expect("this test needs the programs of PostgreSQL: run ./scripts/test")
}

/// The user who runs the server, if that cannot be the user who runs the tests.
fn server_user() -> Option<(u32, u32)> {
    let ask = |arguments: &[&str]| {
        let answer = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(answer.stdout).unwrap().trim().parse::<u32>().ok()
    };
    if ask(&["-u"]) != Some(0) {
        return None;
    }
    let user = if ask(&["-u", "postgres"]).is_some() { "postgres" } else { "nobody" };
    Some((ask(&["-u", user]).unwrap(), ask(&["-g", user]).unwrap()))
}

/// Runs it until it ends.
fn finish(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

fn is_running(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// Stops a process, and waits until it has stopped, since a signal takes effect some time after it is sent.
/// One that has ended counts as stopped.
async fn stop(pid: u32) {
    send_signal(pid, "STOP");
    eventually("the process stands still", TIMEOUT, async || {
        state(pid).filter(|state| !['T', 'Z'].contains(state)).map_or(Ok(()), |state| Err(state.to_string()))
    })
    .await;
}

/// The state that the system reports: `T` is stopped, `Z` has ended.
fn state(pid: u32) -> Option<char> {
    let told = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in parentheses may contain anything.
    told.rsplit_once(") ")?.1.chars().next()
}

/// Adds users who cannot sign in, `bulk0000000@example.com` and so on, as rows to be changed.
pub(crate) async fn add_users(url: &str, count: usize) {
    super::database::execute(
        url,
        &format!(
            "INSERT INTO users (id, name, email, password_hash, role, session_version, change_stamp, \
             last_activity_at, created_at, updated_at) \
             SELECT gen_random_uuid(), 'Bulk', 'bulk' || lpad(n::text, 7, '0') || '@example.com', 'none', \
             'STARTER', 0, 0, 0, 0, 0 FROM generate_series(0, {count} - 1) AS n"
        ),
    )
    .await
    .unwrap();
    super::database::execute(url, "ANALYZE users").await.unwrap();
}
