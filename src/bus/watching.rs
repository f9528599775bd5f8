//! Subscriptions to published events, for operators who watch them.
//!
//! Bound: [`QUEUE`] messages for each watcher; a slow one loses the rest.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Bus;
use crate::events::Message;

const QUEUE: usize = 1_000;
/// How long to wait before re-opening a broken connection.
const RETRY: Duration = Duration::from_secs(1);

impl Bus {
    /// Receives what is published on the public channels from now on, until the receiver is dropped.
    /// Must be called on an arbiter.
    #[must_use]
    pub fn watch(&self) -> mpsc::Receiver<Message> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        match self {
            Self::InProcess(bus) => {
                let mut messages = bus.subscribe();
                actix_web::rt::spawn(async move {
                    loop {
                        match messages.recv().await {
                            // If the queue is full, the message is dropped.
                            Ok(message) => drop(sender.try_send(message)),
                            Err(RecvError::Lagged(_)) => {}
                            Err(RecvError::Closed) => return,
                        }
                        if sender.is_closed() {
                            return;
                        }
                    }
                });
            }
            Self::Redis(bus) => {
                let (client, pattern) = (bus.client().clone(), bus.pattern());
                bus.io().detach(async move {
                    while !sender.is_closed() {
                        tokio::select! {
                            () = sender.closed() => return,
                            _ = hear(&client, &pattern, &sender) => {}
                        }
                        tokio::time::sleep(RETRY).await;
                    }
                });
            }
        }
        receiver
    }
}

async fn hear(
    client: &redis::Client,
    pattern: &str,
    sender: &mpsc::Sender<Message>,
) -> redis::RedisResult<()> {
    let mut line = client.get_async_pubsub().await?;
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
