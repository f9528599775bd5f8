//! Sending messages that may be lost, from a queue.

use redis::{Pipeline, pipe};
use tokio::sync::mpsc;

use super::Connection;
use crate::events::Message;
use crate::telemetry::metrics::Metrics;

/// Most messages sent at once.
const BATCH: usize = 500;
/// Publishes unless the key already exists.
const PUBLISH_ONCE: &str = "\
    if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then redis.call('PUBLISH', ARGV[2], ARGV[3]) end";

/// A message that may be lost.
#[derive(Debug)]
pub(super) enum BestEffort {
    /// It is published.
    Always(Message),
    /// It is published if no other node has published one of the same kind.
    Once {
        /// The key that records that it was published.
        key: String,
        /// How long the key lives, in ms.
        remembered_for: u64,
        /// The message.
        message: Message,
    },
}

/// Sends what is queued, up to [`BATCH`] messages at a time. What cannot be sent is dropped.
pub(super) async fn send_best_effort(
    connection: Connection,
    mut queue: mpsc::Receiver<BestEffort>,
    metrics: Metrics,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut pipeline = pipe();
        for message in batch.drain(..) {
            add(&mut pipeline, &message);
        }
        let mut connection = connection.manager();
        if pipeline.query_async::<()>(&mut connection).await.is_err() {
            metrics.events_failed.inc();
        }
    }
}

fn add(pipeline: &mut Pipeline, message: &BestEffort) {
    match message {
        BestEffort::Always(Message { channel, payload }) => {
            pipeline.cmd("PUBLISH").arg(&**channel).arg(&**payload).ignore();
        }
        BestEffort::Once { key, remembered_for, message: Message { channel, payload } } => {
            pipeline.cmd("EVAL").arg(PUBLISH_ONCE).arg(1).arg(key).arg(*remembered_for);
            pipeline.arg(&**channel).arg(&**payload).ignore();
        }
    }
}
