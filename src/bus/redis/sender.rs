//! Sending: pipelines for messages that are kept, a queue for those that may be lost.

use redis::{Pipeline, pipe};
use tokio::sync::mpsc;

use super::{Connection, STREAM};
use crate::events::Message;
use crate::telemetry::metrics::Metrics;

/// Most messages sent in one go.
const BATCH: usize = 500;

/// Each message to its channel and to the stream, in order, in one round trip. A transaction: a Redis that takes no
/// writes refuses the whole of it, where else it would tell the channels the same messages again at every try.
pub(super) fn kept_pipeline(messages: &[Message], stream_max_len: u64) -> Pipeline {
    let mut pipeline = pipe();
    pipeline.atomic();
    for Message { channel, payload } in messages {
        pipeline.cmd("XADD").arg(STREAM).arg("MAXLEN").arg("~").arg(stream_max_len).arg("*");
        pipeline.arg("channel").arg(&**channel).arg("data").arg(&**payload).ignore();
        pipeline.cmd("PUBLISH").arg(&**channel).arg(&**payload).ignore();
    }
    pipeline
}

/// Sends what is queued, as much at a time as there is. What cannot be sent is gone.
pub(super) async fn send_unkept(
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
