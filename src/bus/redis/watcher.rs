//! Receives what is published on the public channels, for operators who watch them.

use std::time::Duration;

use futures_util::StreamExt;
use redis::RedisResult;
use tokio::sync::mpsc;

use super::RedisBus;
use super::servers::Servers;
use crate::events::Message;

/// How long to wait before re-opening a broken connection.
const RETRY: Duration = Duration::from_secs(1);

impl RedisBus {
    /// Sends them there until the receiver is dropped.
    pub(in crate::bus) fn watch(&self, sender: mpsc::Sender<Message>) {
        let (servers, pattern) = (self.connection.servers().clone(), self.names.pattern());
        self.io.detach(async move {
            while !sender.is_closed() {
                tokio::select! {
                    () = sender.closed() => return,
                    _ = hear(&servers, &pattern, &sender) => {}
                }
                tokio::time::sleep(RETRY).await;
            }
        });
    }
}

async fn hear(servers: &Servers, pattern: &str, sender: &mpsc::Sender<Message>) -> RedisResult<()> {
    let mut line = servers.pubsub().await?;
    line.psubscribe(pattern).await?;
    let mut messages = line.on_message();
    while let Some(message) = messages.next().await {
        if let Ok(payload) = std::str::from_utf8(message.get_payload_bytes()) {
            let channel = message.get_channel_name().into();
            // If the queue is full, the message is dropped.
            drop(sender.try_send(Message { channel, payload: payload.into() }));
        }
    }
    Ok(())
}
