//! Sending messages that may be lost, from a queue.

use std::sync::Arc;

use redis::{Pipeline, pipe};
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

/// Sends what is queued, up to [`BATCH`] messages at a time. What cannot be sent is dropped.
pub(super) async fn send_best_effort(
    connection: Connection,
    mut queue: mpsc::Receiver<BestEffort>,
    metrics: Metrics,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut pipeline = pipe();
        batch.iter().for_each(|message| add(&mut pipeline, message));
        let mut connection = connection.manager();
        let results = pipeline.query_async::<Vec<i64>>(&mut connection).await;
        let events = batch.drain(..).map(|message| (message.event, message.once.is_some()));
        match results {
            Ok(results) => {
                for ((event, is_once), result) in events.zip(results) {
                    // Of an event that one node publishes, the others' scripts return 0.
                    if let Some(channel) = event.filter(|_| !is_once || result == 1) {
                        metrics.events_published.with_label_values(&[&*channel]).inc();
                    }
                }
            }
            Err(_) => {
                metrics.events_failed.inc_by(events.filter(|(event, _)| event.is_some()).count() as u64)
            }
        }
    }
}

fn add(pipeline: &mut Pipeline, BestEffort { message, once, .. }: &BestEffort) {
    let Message { channel, payload } = message;
    match once {
        None => pipeline.cmd("PUBLISH"),
        Some((key, remembered_for)) => {
            pipeline.cmd("EVAL").arg(PUBLISH_ONCE).arg(1).arg(key).arg(*remembered_for)
        }
    };
    pipeline.arg(&**channel).arg(&**payload);
}
