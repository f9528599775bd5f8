//! Reads the stream of events as a consumer does: from an id on, waiting for more.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncConnectionConfig, Client, ProtocolVersion, RedisResult};

use super::connection::client_of;
use crate::bus::BusError;
use crate::config::RedisConfig;
use crate::io::Io;

/// How long one read waits for an event; then Redis is queried again, so that a dead connection is
/// detected.
const WAIT: Duration = Duration::from_secs(2);
/// How long an answer may take beyond that.
const SLACK: Duration = Duration::from_secs(3);
/// Most entries of one read.
const BATCH: usize = 500;

/// One entry of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id, from which reading can resume.
    pub id: String,
    /// Public channel.
    pub channel: String,
    /// The JSON message.
    pub data: String,
}

/// A position in the stream.
#[derive(Debug)]
pub struct StreamReader {
    /// The stream's name on Redis.
    stream: String,
    client: Client,
    io: Io,
    connection: Option<MultiplexedConnection>,
    /// Id of the last entry that was read.
    after: String,
}

impl StreamReader {
    /// Reads the entries after that id; after `$`, those added from now on.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn open(config: &RedisConfig, io: Io, after: &str) -> Result<Self, BusError> {
        let client = client_of(config, ProtocolVersion::RESP2)?;
        let stream = format!("{}events", config.prefix);
        let mut reader = Self { stream, client, io, connection: None, after: after.to_owned() };
        if after == "$" {
            // Resolved now: `$` resolved at each read would miss what is added between two reads.
            let mut latest = redis::cmd("XREVRANGE");
            latest.arg(&reader.stream).arg("+").arg("-").arg("COUNT").arg(1);
            let latest: Vec<(String, Vec<String>)> = reader.ask(latest).await?;
            reader.after = latest.into_iter().next().map_or_else(|| "0".to_owned(), |(id, _)| id);
        }
        Ok(reader)
    }

    /// Reads the entries there are; waits a moment if there are none.
    ///
    /// # Errors
    /// [`BusError`]; the next read resumes from the same position, on a new connection.
    pub async fn look(&mut self) -> Result<Vec<StreamEntry>, BusError> {
        let mut read = redis::cmd("XREAD");
        read.arg("COUNT").arg(BATCH).arg("BLOCK").arg(WAIT.as_millis() as u64);
        read.arg("STREAMS").arg(&self.stream).arg(&self.after);
        let reply: Option<StreamReadReply> = self.ask(read).await?;
        let entries: Vec<_> = reply
            .into_iter()
            .flat_map(|reply| reply.keys)
            .flat_map(|key| key.ids)
            .map(|entry| StreamEntry {
                channel: entry.get("channel").unwrap_or_default(),
                data: entry.get("data").unwrap_or_default(),
                id: entry.id,
            })
            .collect();
        if let Some(last) = entries.last() {
            self.after.clone_from(&last.id);
        }
        Ok(entries)
    }

    async fn ask<T: redis::FromRedisValue + Send + 'static>(
        &mut self,
        command: redis::Cmd,
    ) -> Result<T, BusError> {
        let (client, connection) = (self.client.clone(), self.connection.take());
        let asking = async move {
            let mut connection = match connection {
                Some(connection) => connection,
                None => {
                    let settings = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(SLACK))
                        .set_response_timeout(Some(WAIT + SLACK));
                    client.get_multiplexed_async_connection_with_config(&settings).await?
                }
            };
            let answer = command.query_async(&mut connection).await?;
            RedisResult::Ok((connection, answer))
        };
        let (connection, answer) = self.io.run(asking).await??;
        self.connection = Some(connection);
        Ok(answer)
    }
}
