//! One connection to Redis, whatever it leads to: a server, or all masters of a Cluster.

use std::io;

use futures_util::FutureExt;
use futures_util::future::join_all;
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, RedisResult, Value};

/// A connection; clones share it.
#[derive(Clone)]
pub(super) enum Line {
    /// To one server, re-opened when it breaks.
    Managed(ConnectionManager),
    /// To one server, until it breaks.
    Opened(MultiplexedConnection),
    /// To the masters of a Cluster.
    Cluster(ClusterConnection),
    /// To nothing: no Sentinel has named a master yet.
    NoMaster,
}

impl Line {
    /// Runs commands that do not depend on each other, and returns the result of each.
    pub(super) async fn run_all<T: FromRedisValue>(&mut self, commands: Vec<Cmd>) -> Vec<RedisResult<T>> {
        if let Self::Cluster(cluster) = self {
            // They may be on different masters.
            let all = commands.into_iter().map(|command| {
                let mut cluster = cluster.clone();
                async move { command.query_async(&mut cluster).await }
            });
            return join_all(all).await;
        }
        let mut pipeline = Pipeline::with_capacity(commands.len());
        let count = commands.len();
        for command in commands {
            pipeline.add_command(command);
        }
        match pipeline.query_async::<Vec<T>>(self).await {
            Ok(results) => results.into_iter().map(Ok).collect(),
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Managed(line) => line.req_packed_command(cmd),
            Self::Opened(line) => line.req_packed_command(cmd),
            Self::Cluster(line) => line.req_packed_command(cmd),
            Self::NoMaster => async { Err(no_master()) }.boxed(),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Managed(line) => line.req_packed_commands(pipeline, offset, count),
            Self::Opened(line) => line.req_packed_commands(pipeline, offset, count),
            Self::Cluster(line) => line.req_packed_commands(pipeline, offset, count),
            Self::NoMaster => async { Err(no_master()) }.boxed(),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Managed(line) => line.get_db(),
            Self::Opened(line) => line.get_db(),
            Self::Cluster(line) => line.get_db(),
            Self::NoMaster => 0,
        }
    }
}

pub(super) fn no_master() -> RedisError {
    io::Error::new(io::ErrorKind::NotConnected, "no Sentinel has named a master yet").into()
}
