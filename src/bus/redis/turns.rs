//! Turns at publishing a lane, on Redis: a key with the node's name that expires by itself, also when
//! its node has died or is suspended. The script that publishes checks it, so a node that resumes after
//! a while publishes nothing that another has published since.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{RedisBus, TIMEOUT};
use crate::bus::BusError;
use crate::events::Message;
use crate::events::lane::Lane;

/// How long a turn lasts after the last batch: longer than a batch usually takes from the outbox to
/// here. If one takes longer, the turn is lost and must be taken again.
const TURN: Duration = Duration::from_secs(2);

static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local node = redis.call('GET', KEYS[1])
         if node and node ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
         return 1",
    )
});

/// Adds each message to the stream and publishes it on its channel, in order; all or nothing, because a
/// Redis that takes no writes refuses the first of them. The turn is prolonged last: a script that has
/// written is no longer refused for lack of memory.
static PUBLISH: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{ENOUGH_REPLICAS}
         if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         enough_replicas(ARGV[4])
         for i = 5, #ARGV, 2 do
             redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'channel', ARGV[i], 'data', ARGV[i + 1])
             redis.call('PUBLISH', ARGV[i], ARGV[i + 1])
         end
         redis.call('PEXPIRE', KEYS[1], ARGV[2])
         return 1"
    )
});

/// Raises an error before anything is written, if the server has heard from fewer replicas than wanted in
/// the last two seconds. Without it the same events would be published again and again while a replica is
/// missing or stands still.
pub(super) const ENOUGH_REPLICAS: &str = "\
    local function enough_replicas(wanted)
        if wanted == '0' then return end
        local recent = 'state=online,offset=%d+,lag=[012]%D'
        local _, online = string.gsub(redis.call('INFO', 'replication'), recent, '')
        if online < tonumber(wanted) then
            error({err = 'NOREPLICAS replicas: ' .. online .. ', wanted: ' .. wanted})
        end
    end";
/// The code of that error, and of a server that has fewer than its own `min-replicas-to-write`.
const NO_REPLICAS: &str = "NOREPLICAS";
/// How long replicas may take to have a batch, in ms: less than a command may take. One that has just
/// been synchronised says nothing for up to a second.
const REPLICATED_WITHIN: u64 = 1_500;

static END: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});

fn turn_millis() -> u64 {
    u64::try_from(TURN.as_millis()).unwrap_or(u64::MAX)
}

impl RedisBus {
    pub(in crate::bus) async fn take_turn(&self, lane: Lane) -> Result<bool, BusError> {
        let mut take = TAKE.key(self.names.turn(lane));
        take.arg(&*self.node).arg(turn_millis());
        let mut connection = self.connection.line();
        self.ask(async move { take.invoke_async::<bool>(&mut connection).await }).await
    }

    pub(in crate::bus) async fn publish(&self, lane: Lane, messages: Vec<Message>) -> Result<bool, BusError> {
        let wanted = self.connection.servers().min_replicas();
        let mut commands = redis::pipe();
        // The text and not its hash: a server that has just taken over does not know the script.
        commands.cmd("EVAL").arg(&*PUBLISH).arg(2).arg(self.names.turn(lane)).arg(self.names.stream());
        commands.arg(&*self.node).arg(turn_millis()).arg(self.stream_max_len).arg(wanted);
        for Message { channel, payload } in &messages {
            commands.arg(&*self.names.channel(channel)).arg(&**payload);
        }
        if wanted > 0 {
            commands.cmd("WAIT").arg(wanted).arg(REPLICATED_WITHIN);
        }
        let mut line = self.connection.publishing_line();
        let asked = self.in_time(async move { commands.query_async::<Vec<u32>>(&mut line).await }).await;
        let published = match asked {
            Ok(results) => match results[..] {
                [0, ..] => Ok(false),
                [_, replicas] if replicas < wanted => Err(BusError::TooFewReplicas),
                _ => Ok(true),
            },
            Err(BusError::Redis(error)) if error.to_string().contains(NO_REPLICAS) => {
                Err(BusError::TooFewReplicas)
            }
            Err(error) => Err(error),
        };
        match &published {
            // The server works, for everything else.
            Err(BusError::TooFewReplicas) => {}
            Err(BusError::TimedOut) if wanted > 0 => {
                self.health.note(Some(&BusError::TimedOut));
                // Nothing else uses this line, so nothing else finds out that it is dead.
                self.connection.replace();
            }
            other => self.health.note(other.as_ref().err()),
        }
        published
    }

    /// Does not wait: at worst the turn expires.
    pub(in crate::bus) fn end_turn(&self, lane: Lane) {
        let mut end = END.key(self.names.turn(lane));
        end.arg(&*self.node);
        let mut connection = self.connection.line();
        self.io.detach(async move {
            // Lost if Redis is unreachable.
            let _ = tokio::time::timeout(TIMEOUT, end.invoke_async::<()>(&mut connection)).await;
        });
    }

    async fn ask<T: Send + 'static>(
        &self,
        asking: impl Future<Output = redis::RedisResult<T>> + Send + 'static,
    ) -> Result<T, BusError> {
        let asked = self.in_time(asking).await;
        self.health.note(asked.as_ref().err());
        asked
    }

    async fn in_time<T: Send + 'static>(
        &self,
        asking: impl Future<Output = redis::RedisResult<T>> + Send + 'static,
    ) -> Result<T, BusError> {
        match self.io.run(tokio::time::timeout(TIMEOUT, asking)).await? {
            Ok(answer) => answer.map_err(BusError::from),
            Err(_) => Err(BusError::TimedOut),
        }
    }
}
