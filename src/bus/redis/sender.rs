//! Sending messages that may be lost, from a queue.

use redis::pipe;
use tokio::sync::mpsc;

use super::Connection;
use crate::events::Message;
use crate::telemetry::metrics::Metrics;

/// Most messages sent in one go.
const BATCH: usize = 500;

/// Sends what is queued, as much at a time as there is. What cannot be sent is gone.
pub(super) async fn send_best_effort(
    connection: Connection,
    mut queue: mpsc::Receiver<Message>,
    metrics: Metrics,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let mut pipeline = pipe();
        for Message { channel, payload } in batch.drain(..) {
            pipeline.cmd("PUBLISH").arg(&*channel).arg(&*payload).ignore();
        }
        let mut connection = connection.manager();
        if pipeline.query_async::<()>(&mut connection).await.is_err() {
            metrics.events_failed.inc();
        }
    }
}
