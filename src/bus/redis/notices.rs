//! Notices of activity to the other nodes, many in one message: nearly every request of a busy service causes
//! one, and a command for each would be most of what Redis does.

use std::time::Duration;

use tokio::sync::mpsc;

use super::names::Names;
use super::sender::BestEffort;
use crate::bus::internal::{Activity, shard_of};
use crate::events::Message;

/// How long a notice waits for others; it is shown to people, and nothing is decided by it.
const GATHERED_FOR: Duration = Duration::from_millis(50);
/// Most notices of one message: about 20 KB.
const PER_MESSAGE: usize = 100;
/// Most notices that are taken from the queue at once.
const AT_ONCE: usize = 10_000;

/// Sends what is queued, every [`GATHERED_FOR`] at most. What cannot be sent is dropped.
pub(super) async fn gather(
    mut queue: mpsc::Receiver<Activity>,
    names: Names,
    best_effort: mpsc::Sender<BestEffort>,
) {
    let mut gathered = Vec::new();
    while let Some(first) = queue.recv().await {
        gathered.push(first);
        tokio::time::sleep(GATHERED_FOR).await;
        while gathered.len() < AT_ONCE
            && let Ok(next) = queue.try_recv()
        {
            gathered.push(next);
        }
        for notices in gathered.chunks(PER_MESSAGE) {
            if let Some(message) = message(notices, &names) {
                let _ = best_effort.try_send(BestEffort::to_nodes(message));
            }
        }
        gathered.clear();
    }
}

/// On the channel of the first one's shard: every node listens to all. A single notice has the form that
/// nodes of an older version understand.
fn message(notices: &[Activity], names: &Names) -> Option<Message> {
    let first = notices.first()?;
    let payload = match notices {
        [one] => serde_json::to_string(one),
        several => serde_json::to_string(several),
    };
    let channel = names.internal(shard_of(first.user));
    Some(Message { channel: channel.into(), payload: payload.ok()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::internal::PeerMessage;
    use crate::clock::new_uuid;
    use crate::domain::ids::{SessionId, UserId};

    fn activity(at: i64) -> Activity {
        let (user, session) = (UserId::new(new_uuid()), SessionId::new(new_uuid()));
        Activity { node: new_uuid(), user, session, active_at: at, told: at % 2 == 0 }
    }

    #[tokio::test]
    async fn many_notices_are_few_messages_and_each_arrives() {
        let (notices, queue) = mpsc::channel(1_000);
        let (best_effort, mut sent) = mpsc::channel(1_000);
        let gathering = tokio::spawn(gather(queue, Names::new("auth:", false), best_effort));
        let all: Vec<_> = (0..250).map(activity).collect();
        for notice in &all {
            notices.send(*notice).await.unwrap();
        }
        tokio::time::sleep(GATHERED_FOR * 2).await;
        let alone = activity(1_000);
        notices.send(alone).await.unwrap();
        drop(notices);
        gathering.await.unwrap();
        let mut messages = Vec::new();
        while let Some(BestEffort { message, .. }) = sent.recv().await {
            messages.push(serde_json::from_str(&message.payload).unwrap());
        }
        let last = messages.pop();
        assert_eq!(last, Some(PeerMessage::Activity(alone)), "as older nodes understand it");
        assert_eq!(messages.len(), 3);
        let arrived = messages.into_iter().flat_map(|message| match message {
            PeerMessage::Activities(notices) => notices,
            other => panic!("{other:?}"),
        });
        assert_eq!(arrived.collect::<Vec<_>>(), all);
    }
}
