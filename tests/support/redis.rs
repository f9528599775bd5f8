//! `RedisServer`: a Redis of one test, so that it can be frozen, killed and started again.
//!
//! It writes what it acknowledges to its own folder: after a kill it comes back with its stream.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tempfile::TempDir;

use super::child::{Process, free_port};
use super::time::eventually;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Attempts to get a port that nobody takes between choosing and binding it.
const TRIES: usize = 5;

pub(crate) struct RedisServer {
    // Fields are dropped in this order: the server before its folder.
    process: Process,
    port: u16,
    /// Passed to the server at each start.
    settings: Vec<String>,
    folder: TempDir,
}

/// An entry of the stream `auth:events`.
#[derive(Clone, Debug)]
pub(crate) struct StreamEvent {
    /// When Redis accepted it, in ms since 1970.
    pub(crate) taken_at: i64,
    pub(crate) channel: String,
    /// The message.
    pub(crate) data: Value,
}

impl StreamEvent {
    /// A text member of the message; empty if it is missing.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.data[member].as_str().unwrap_or_default()
    }
}

impl RedisServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with additional arguments, such as `--maxmemory 4mb`.
    pub(crate) async fn start_with(settings: &[&str]) -> Self {
        let settings: Vec<_> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut folder = tempfile::tempdir().unwrap();
        for _ in 0..TRIES {
            let port = free_port();
            let process = spawn(port, &settings, &folder);
            let mut server = Self { process, port, settings: settings.clone(), folder };
            if server.is_ready().await {
                return server;
            }
            folder = server.folder;
        }
        panic!("no port for redis-server in {TRIES} tries")
    }

    /// Starts one that also offers TLS on another port, with that certificate and its key. Returns that
    /// port's address too.
    pub(crate) async fn start_with_tls(authority: &str, certificate: &str, key: &str) -> (Self, String) {
        let port = free_port();
        let settings = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no"];
        let files = ["--tls-ca-cert-file", authority, "--tls-cert-file", certificate, "--tls-key-file", key];
        (Self::start_with(&[&settings[..], &files].concat()).await, format!("127.0.0.1:{port}"))
    }

    /// Starts a Sentinel with additional lines in its settings.
    pub(crate) async fn start_sentinel(lines: &[String]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{}\n", lines.join("\n"))).unwrap();
        let mut command = Command::new("redis-server");
        command.current_dir(folder.path()).arg(&file).arg("--sentinel");
        let mut sentinel = Self { process: Process::spawn(command), port, settings: Vec::new(), folder };
        assert!(sentinel.is_ready().await, "no Sentinel:\n{}", sentinel.process.logs());
        sentinel
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Waits until it answers; returns `false` if the process ended instead.
    async fn is_ready(&mut self) -> bool {
        eventually("Redis answers", TIMEOUT, async || {
            if self.process.has_ended() {
                return Ok(false);
            }
            let mut connection = self.connect().await.map_err(|cause| cause.to_string())?;
            let pong: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
            pong.map(|_| true).map_err(|cause| cause.to_string())
        })
        .await
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with its data.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = spawn(self.port, &self.settings, &self.folder);
        assert!(self.is_ready().await, "Redis did not come back:\n{}", self.process.logs());
    }

    /// Keeps its connections open and answers no one.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.process.signal("CONT");
    }

    async fn connect(&self) -> redis::RedisResult<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(format!("redis://{}", self.address()))?;
        client.get_multiplexed_async_connection().await
    }

    /// Publishes on a channel, as anybody can who reaches Redis.
    pub(crate) async fn publish(&self, channel: &str, message: &str) {
        let mut connection = self.connect().await.unwrap();
        let publish = redis::cmd("PUBLISH").arg(channel).arg(message).to_owned();
        publish.query_async::<()>(&mut connection).await.unwrap();
    }

    /// Runs a command, as an operator would.
    pub(crate) async fn command(&self, words: &[&str]) {
        let mut connection = self.connect().await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query_async::<redis::Value>(&mut connection).await.unwrap();
    }

    /// Runs a command, and returns the reply as text.
    pub(crate) async fn ask(&self, words: &[&str]) -> String {
        let mut connection = self.connect().await.unwrap();
        let (name, arguments) = words.split_first().unwrap();
        let answer =
            redis::cmd(name).arg(arguments).query_async::<redis::Value>(&mut connection).await.unwrap();
        redis::from_redis_value::<String>(answer.clone()).unwrap_or_else(|_| format!("{answer:?}"))
    }

    /// The keys of one of its databases.
    pub(crate) async fn keys(&self, database: usize) -> Vec<String> {
        let client = redis::Client::open(format!("redis://{}/{database}", self.address())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    }

    /// The messages on a channel from now on.
    pub(crate) async fn listen(&self, channel: &str) -> BoxStream<'static, String> {
        let client = redis::Client::open(format!("redis://{}", self.address())).unwrap();
        let mut connection = client.get_async_pubsub().await.unwrap();
        connection.subscribe(channel).await.unwrap();
        connection.into_on_message().map(|message| message.get_payload().unwrap()).boxed()
    }

    /// The stream of events, oldest first, each as often as it was sent.
    pub(crate) async fn stream(&self) -> Vec<StreamEvent> {
        let mut connection = self.connect().await.unwrap();
        read_stream(&mut connection, "auth:events").await
    }

    /// The same, each event once, at the position where it was first sent.
    pub(crate) async fn events(&self) -> Vec<StreamEvent> {
        each_once(self.stream().await)
    }
}

/// Each event once, at the position where it was first sent.
pub(crate) fn each_once(mut events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let mut seen = HashSet::new();
    events.retain(|event| seen.insert(event.text("eventId").to_owned()));
    events
}

/// All entries of a stream, oldest first.
pub(crate) async fn read_stream(
    connection: &mut (impl redis::aio::ConnectionLike + Send),
    name: &str,
) -> Vec<StreamEvent> {
    let mut range = redis::cmd("XRANGE");
    range.arg(name).arg("-").arg("+");
    let entries: Vec<(String, Vec<String>)> = range.query_async(connection).await.unwrap();
    entries.into_iter().map(|(id, fields)| event_of(&id, &fields)).collect()
}

fn spawn(port: u16, settings: &[String], folder: &TempDir) -> Process {
    let mut command = Command::new("redis-server");
    command.current_dir(folder.path()).args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        // Written before the reply, so that a kill loses nothing acknowledged: with the default, a busy disk
        // may delay the write.
        "--appendfsync",
        "no",
    ]);
    // Later settings override earlier ones.
    command.args(settings);
    Process::spawn(command)
}

fn event_of(id: &str, fields: &[String]) -> StreamEvent {
    let field = |name: &str| {
        let at = fields.iter().step_by(2).position(|field| field == name);
        at.map(|at| fields[2 * at + 1].clone()).unwrap_or_else(|| panic!("no {name} in {fields:?}"))
    };
    let (taken_at, _) = id.split_once('-').unwrap();
    StreamEvent {
        taken_at: taken_at.parse().unwrap(),
        channel: field("channel"),
        data: serde_json::from_str(&field("data")).unwrap(),
    }
}
