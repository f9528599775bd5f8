//! Reads the stream of events as a consumer does: from an id on, waiting for more.

use std::time::Duration;

use redis::streams::StreamReadReply;
use redis::{Cmd, RedisResult};

use super::line::Line;
use super::names::Names;
use super::servers::Servers;
use crate::bus::BusError;
use crate::config::RedisConfig;
use crate::io::Io;

/// How long to wait before the stream is read again if it had nothing new. Blocking would need a
/// connection of its own, which a Cluster's is not.
const WAIT: Duration = Duration::from_millis(200);
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
pub struct StreamReader {
    /// The stream's name on Redis.
    stream: String,
    servers: Servers,
    io: Io,
    line: Option<Line>,
    /// Id of the last entry that was read.
    after: String,
}

impl StreamReader {
    /// Reads the entries after that id; after `$`, those added from now on.
    ///
    /// # Errors
    /// [`BusError`].
    pub async fn open(config: &RedisConfig, io: Io, after: &str) -> Result<Self, BusError> {
        let servers = Servers::new(config)?;
        let stream = Names::new(&config.prefix, servers.cluster().is_some()).stream();
        let mut reader = Self { stream, servers, io, line: None, after: after.to_owned() };
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
        read.arg("COUNT").arg(BATCH).arg("STREAMS").arg(&self.stream).arg(&self.after);
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
        match entries.last() {
            Some(last) => self.after.clone_from(&last.id),
            None => tokio::time::sleep(WAIT).await,
        }
        Ok(entries)
    }

    async fn ask<T: redis::FromRedisValue + Send + 'static>(&mut self, command: Cmd) -> Result<T, BusError> {
        let (servers, line) = (self.servers.clone(), self.line.take());
        let asking = async move {
            let mut line = match line {
                Some(line) => line,
                None => servers.line().await?,
            };
            let answer = command.query_async(&mut line).await?;
            RedisResult::Ok((line, answer))
        };
        let (line, answer) = self.io.run(asking).await??;
        self.line = Some(line);
        Ok(answer)
    }
}
