//! `RedisCluster`: a Redis Cluster of one test, three masters with a replica each.

use std::time::Duration;

use futures_util::future::join_all;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;

use super::child::free_port;
use super::redis::{RedisServer, StreamEvent, read_stream};
use super::time::eventually;

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
/// A replica takes over about this long after its master's death.
const NODE_TIMEOUT_MS: &str = "1000";
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct RedisCluster {
    /// The first three were the masters at the start.
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) async fn start() -> Self {
        let buses: Vec<_> = (0..MASTERS * 2).map(|_| free_port().to_string()).collect();
        let nodes = join_all(buses.iter().map(|bus| start_node(bus))).await;
        let cluster = Self { nodes };
        for (number, node) in cluster.nodes.iter().enumerate() {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
            if number < MASTERS {
                let (first, end) = (SLOTS * number / MASTERS, SLOTS * (number + 1) / MASTERS);
                let range = [first.to_string(), (end - 1).to_string()];
                node.command(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
            }
            let port = node.port().to_string();
            cluster.nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &buses[number]]).await;
        }
        for number in 0..MASTERS {
            let master = cluster.nodes[number].ask(&["CLUSTER", "MYID"]).await;
            let replica = &cluster.nodes[MASTERS + number];
            eventually("the replica knows its master", TIMEOUT, async || {
                let answer = replica.ask(&["CLUSTER", "NODES"]).await;
                if answer.contains(&master) { Ok(()) } else { Err(answer) }
            })
            .await;
            replica.command(&["CLUSTER", "REPLICATE", &master]).await;
        }
        cluster.is_whole().await;
        cluster
    }

    /// Waits until every node that runs says that each slot has a master and each master a replica.
    pub(crate) async fn is_whole(&self) {
        for node in &self.nodes {
            eventually("the Cluster is whole", TIMEOUT, async || {
                let info = node.ask(&["CLUSTER", "INFO"]).await;
                let replication = node.ask(&["INFO", "replication"]).await;
                let is_linked = ["master_link_status:up", "connected_slaves:1"]
                    .iter()
                    .any(|sign| replication.contains(sign));
                let is_known = info.contains("cluster_known_nodes:6") && info.contains("cluster_state:ok");
                if is_known && is_linked { Ok(()) } else { Err(format!("{info}\n{replication}")) }
            })
            .await;
        }
    }

    /// The addresses of all nodes, as `REDIS_URL` takes them.
    pub(crate) fn addresses(&self) -> String {
        self.nodes.iter().map(RedisServer::address).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Kills the master on which that key is, and waits until its replica has taken over. Returns the number
    /// of the dead one.
    pub(crate) async fn kill_master_of(&mut self, key: &str) -> usize {
        let slot: usize = self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await.parse().unwrap();
        let masters = self.nodes[0].ask(&["CLUSTER", "NODES"]).await;
        let port = master_of(&masters, slot).unwrap_or_else(|| panic!("nobody has slot {slot}:\n{masters}"));
        let dead = self.nodes.iter().position(|node| node.port() == port).unwrap();
        self.nodes[dead].kill();
        let watcher = &self.nodes[(dead + 1) % self.nodes.len()];
        eventually("a replica takes over", TIMEOUT, async || {
            let masters = watcher.ask(&["CLUSTER", "NODES"]).await;
            let is_ok = watcher.ask(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok");
            match master_of(&masters, slot) {
                Some(master) if master != port && is_ok => Ok(()),
                _ => Err(masters),
            }
        })
        .await;
        dead
    }

    /// Starts that node again, and waits until it is a replica.
    pub(crate) async fn restart(&mut self, dead: usize) {
        self.nodes[dead].restart().await;
        self.is_whole().await;
    }

    pub(crate) async fn connect(&self) -> ClusterConnection {
        let urls: Vec<_> = self.nodes.iter().map(|node| format!("redis://{}", node.address())).collect();
        ClusterClient::new(urls).unwrap().get_async_connection().await.unwrap()
    }

    pub(crate) async fn stream(&self) -> Vec<StreamEvent> {
        read_stream(&mut self.connect().await, "auth:events").await
    }
}

async fn start_node(bus: &str) -> RedisServer {
    let settings = ["--cluster-enabled", "yes", "--cluster-port", bus, "--repl-diskless-sync-delay", "0"];
    let timing = ["--cluster-node-timeout", NODE_TIMEOUT_MS, "--repl-ping-replica-period", "1"];
    RedisServer::start_with(
        &[settings, [timing[0], timing[1], timing[2], timing[3], "--maxmemory", "0"]].concat(),
    )
    .await
}

/// The port of the living master of a slot, from the text of `CLUSTER NODES`.
fn master_of(nodes: &str, slot: usize) -> Option<u16> {
    nodes.lines().find_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let has_slot = words.iter().skip(8).any(|range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            first.parse().is_ok_and(|first: usize| first <= slot)
                && last.parse().is_ok_and(|last: usize| slot <= last)
        });
        let is_living_master = words[2].contains("master") && !words[2].contains("fail");
        let address = words[1].split('@').next()?;
        (is_living_master && has_slot).then(|| address.rsplit(':').next()?.parse().ok())?
    })
}
