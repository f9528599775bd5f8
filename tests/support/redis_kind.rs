//! `Redis`: what a cluster of nodes has for its events, one server or several.

use futures_util::future::join_all;
use futures_util::stream::BoxStream;

use super::redis::{RedisServer, StreamEvent, each_once};
use super::redis_cluster::RedisCluster;
use super::sentinels::Sentinels;

pub(crate) enum Redis {
    Server(RedisServer),
    Cluster(RedisCluster),
    Sentinels(Sentinels),
}

impl Redis {
    /// The settings that lead a node to it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let url = |addresses: String| ("REDIS_URL", format!("redis://{addresses}"));
        match self {
            Self::Server(server) => vec![url(server.address())],
            Self::Cluster(cluster) => vec![url(cluster.addresses()), ("REDIS_MODE", "cluster".to_owned())],
            Self::Sentinels(sentinels) => {
                vec![url(sentinels.addresses()), ("REDIS_MODE", "sentinel".to_owned())]
            }
        }
    }

    /// The only server.
    pub(crate) fn server(&self) -> &RedisServer {
        match self {
            Self::Server(server) => server,
            Self::Cluster(_) | Self::Sentinels(_) => panic!("this test needs a single Redis"),
        }
    }

    fn servers(&self) -> &[RedisServer] {
        match self {
            Self::Server(server) => std::slice::from_ref(server),
            Self::Cluster(cluster) => cluster.nodes(),
            Self::Sentinels(sentinels) => sentinels.servers(),
        }
    }

    fn servers_mut(&mut self) -> &mut [RedisServer] {
        match self {
            Self::Server(server) => std::slice::from_mut(server),
            Self::Cluster(cluster) => cluster.nodes_mut(),
            Self::Sentinels(sentinels) => sentinels.servers_mut(),
        }
    }

    /// SIGKILL to all of it.
    pub(crate) fn kill(&mut self) {
        self.servers_mut().iter_mut().for_each(RedisServer::kill);
    }

    /// Starts all of it again, with its data.
    pub(crate) async fn restart(&mut self) {
        join_all(self.servers_mut().iter_mut().map(RedisServer::restart)).await;
    }

    /// Keeps its connections open and answers no one.
    pub(crate) fn freeze(&self) {
        self.servers().iter().for_each(RedisServer::freeze);
    }

    pub(crate) fn thaw(&self) {
        self.servers().iter().for_each(RedisServer::thaw);
    }

    /// Runs a command on each server, as an operator would.
    pub(crate) async fn command(&self, words: &[&str]) {
        for server in self.servers() {
            server.command(words).await;
        }
    }

    /// Publishes on a channel, as anybody can who reaches Redis.
    pub(crate) async fn publish(&self, channel: &str, message: &str) {
        match self {
            Self::Server(server) => server.publish(channel, message).await,
            Self::Sentinels(sentinels) => sentinels.master().await.publish(channel, message).await,
            Self::Cluster(cluster) => {
                let word = if channel.contains(":internal:") { "SPUBLISH" } else { "PUBLISH" };
                let mut publish = redis::cmd(word);
                publish.arg(channel).arg(message);
                publish.query_async::<()>(&mut cluster.connect().await).await.unwrap();
            }
        }
    }

    /// The messages on a public channel from now on.
    pub(crate) async fn listen(&self, channel: &str) -> BoxStream<'static, String> {
        self.servers()[0].listen(channel).await
    }

    /// The stream of events, oldest first, each as often as it was sent.
    pub(crate) async fn stream(&self) -> Vec<StreamEvent> {
        match self {
            Self::Server(server) => server.stream().await,
            Self::Cluster(cluster) => cluster.stream().await,
            Self::Sentinels(sentinels) => sentinels.master().await.stream().await,
        }
    }

    /// The same, each event once, at the position where it was first sent.
    pub(crate) async fn events(&self) -> Vec<StreamEvent> {
        each_once(self.stream().await)
    }
}
