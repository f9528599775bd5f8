//! Prints each event of the auth service once, as one line of JSON, and a user's events in the order in
//! which they happened. Nothing here uses the auth service's own code.
//!
//!     GROUP=reports cargo run --example event_consumer
//!
//! An event is acknowledged after it was printed, so none is lost, whenever this program is killed. If it
//! is killed between the two, it prints that one event again after a restart: a consumer that cannot
//! tolerate this writes its result and the event's id in one transaction of its own database. Only one
//! process at a time reads for a group: two would share the events, and a user's events could overtake
//! each other.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamReadOptions, StreamReadReply,
};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

const STREAM: &str = "auth:events";
const BATCH: usize = 100;
const WAIT: Duration = Duration::from_secs(1);
/// Longer than the auth service might take to send an event again, which it does if it could not see that
/// Redis has it.
const REMEMBER_SECONDS: u64 = 24 * 3600;

/// Identifies the reader: a group gets each event once. A consumer that returns under the same name
/// continues with what it had.
struct Reader {
    group: String,
    consumer: String,
    /// How long another consumer may leave a message unacknowledged before this one claims it.
    claim_idle_ms: usize,
    stopping: Arc<AtomicBool>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::open(setting("REDIS_URL", "redis://localhost:6379"))?;
    let reader = Reader {
        group: setting("GROUP", "example"),
        consumer: setting("CONSUMER", "one"),
        claim_idle_ms: setting("CLAIM_IDLE_MS", "30000").parse()?,
        stopping: stopped_by_signal()?,
    };
    while !reader.stopping() {
        // A broken connection is replaced and no command is repeated: what it requested may have been
        // delivered already, and is among what is read first on the next connection.
        if let Err(error) = reader.run(&client).await {
            eprintln!("starting over: {error}");
            tokio::time::sleep(WAIT / 2).await;
        }
    }
    Ok(())
}

fn stopped_by_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stopping = Arc::new(AtomicBool::new(false));
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, stopping) = (signal(kind)?, Arc::clone(&stopping));
        tokio::spawn(async move {
            signals.recv().await;
            stopping.store(true, Ordering::Relaxed);
        });
    }
    Ok(stopping)
}

impl Reader {
    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Runs until it is time to stop, or the connection to Redis breaks.
    async fn run(&self, client: &Client) -> RedisResult<()> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(WAIT * 3));
        let mut line = client.get_multiplexed_async_connection_with_config(&config).await?;
        self.make_group(&mut line).await?;
        self.take_over(&mut line).await?;
        // What was delivered to this name and not acknowledged comes before anything new.
        while self.read(&mut line, "0").await? && !self.stopping() {}
        while !self.stopping() {
            self.take_over(&mut line).await?;
            self.read(&mut line, ">").await?;
        }
        Ok(())
    }

    /// Begins at the start of the stream, so that a new group gets everything that is still there.
    async fn make_group(&self, line: &mut MultiplexedConnection) -> RedisResult<()> {
        match line.xgroup_create_mkstream(STREAM, &self.group, "0").await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns whether there was anything.
    async fn read(&self, line: &mut MultiplexedConnection, from: &str) -> RedisResult<bool> {
        let wait_ms = WAIT.as_secs() as usize * 1000;
        let options =
            StreamReadOptions::default().group(&self.group, &self.consumer).count(BATCH).block(wait_ms);
        let found: Option<StreamReadReply> = line.xread_options(&[STREAM], &[from], &options).await?;
        let keys = found.map(|found| found.keys).unwrap_or_default();
        let entries: Vec<_> = keys.into_iter().flat_map(|key| key.ids).collect();
        for entry in &entries {
            self.handle(line, entry).await?;
        }
        Ok(!entries.is_empty())
    }

    async fn take_over(&self, line: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut start = "0-0".to_owned();
        loop {
            let options = StreamAutoClaimOptions::default().count(BATCH);
            let found: StreamAutoClaimReply = line
                .xautoclaim_options(STREAM, &self.group, &self.consumer, self.claim_idle_ms, &start, options)
                .await?;
            // Delivered, never acknowledged, and meanwhile trimmed. What they reported has to be queried
            // instead.
            found.deleted_ids.iter().for_each(|id| eprintln!("lost: {id}"));
            for entry in &found.claimed {
                self.handle(line, entry).await?;
            }
            start = found.next_stream_id;
            if start == "0-0" {
                return Ok(());
            }
        }
    }

    async fn handle(&self, line: &mut MultiplexedConnection, entry: &StreamId) -> RedisResult<()> {
        // What is left of a batch when it is time to stop will be delivered to this name again.
        if self.stopping() {
            return Ok(());
        }
        let data: String = entry.get("data").unwrap_or_default();
        let event: Value = serde_json::from_str(&data).unwrap_or_default();
        let handled = format!("{}:handled:{}", self.group, event["eventId"].as_str().unwrap_or(&entry.id));
        if !line.exists::<_, bool>(&handled).await? {
            say(&data);
        }
        redis::pipe()
            .atomic()
            .set_ex(&handled, "", REMEMBER_SECONDS)
            .xack(STREAM, &self.group, &[&entry.id])
            .exec_async(line)
            .await
    }
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or(default.to_owned())
}

#[expect(clippy::print_stdout, reason = "the events go to standard output")]
fn say(text: &str) {
    println!("{text}");
}
