//! Sending messages that may be lost, from a queue.

use std::sync::Arc;

use redis::Cmd;
use tokio::sync::mpsc;

use super::Connection;
use crate::events::Message;
use crate::telemetry::metrics::Metrics;

/// Most messages sent at once.
const BATCH: usize = 500;
/// Publishes unless the key already exists.
const PUBLISH_ONCE: &str = "\
    if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then redis.call('PUBLISH', ARGV[2], ARGV[3]) return 1 end \
    return 0";

/// A message that may be lost.
#[derive(Debug)]
pub(super) struct BestEffort {
    /// The message, for the channel's name on Redis.
    pub(super) message: Message,
    /// The public channel, if it is an event for other services: those are counted.
    pub(super) event: Option<Arc<str>>,
    /// If only one node may publish it: the key that records that it was published, and how long the key
    /// lives, in ms.
    pub(super) once: Option<(String, u64)>,
}

impl BestEffort {
    /// A message to the other nodes.
    pub(super) fn to_nodes(message: Message) -> Self {
        Self { message, event: None, once: None }
    }
}

/// Sends what is queued, up to [`BATCH`] messages at a time. What cannot be sent is dropped.
pub(super) async fn send_best_effort(
    connection: Connection,
    mut queue: mpsc::Receiver<BestEffort>,
    metrics: Metrics,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let in_cluster = connection.servers().cluster().is_some();
        let commands = batch.iter().map(|message| command(message, in_cluster)).collect();
        let results = connection.line().run_all::<i64>(commands).await;
        for (BestEffort { event, once, .. }, result) in batch.drain(..).zip(results) {
            let Some(channel) = event else { continue };
            match result {
                // Of an event that one node publishes, the others' scripts return 0.
                Ok(0) if once.is_some() => {}
                Ok(_) => metrics.events_published.with_label_values(&[&*channel]).inc(),
                Err(_) => metrics.events_failed.inc(),
            }
        }
    }
}

/// In a Cluster a plain message goes to every node of it, and one of the nodes' own to the subscribers of
/// its shard.
fn command(BestEffort { message, event, once }: &BestEffort, in_cluster: bool) -> Cmd {
    let Message { channel, payload } = message;
    let mut command = match once {
        None if in_cluster && event.is_none() => redis::cmd("SPUBLISH"),
        None => redis::cmd("PUBLISH"),
        Some((key, remembered_for)) => {
            let mut script = redis::cmd("EVAL");
            script.arg(PUBLISH_ONCE).arg(1).arg(key).arg(*remembered_for);
            script
        }
    };
    command.arg(&**channel).arg(&**payload);
    command
}
