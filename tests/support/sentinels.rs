//! `Sentinels`: a Redis with a replica, and three Sentinels that let it take over.

use std::time::Duration;

use futures_util::future::join_all;

use super::redis::RedisServer;
use super::time::eventually;

const SENTINELS: usize = 3;
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Sentinels {
    // Fields are dropped in this order.
    sentinels: Vec<RedisServer>,
    servers: Vec<RedisServer>,
}

impl Sentinels {
    pub(crate) async fn start() -> Self {
        let settings = ["--repl-diskless-sync-delay", "0"];
        let servers =
            vec![RedisServer::start_with(&settings).await, RedisServer::start_with(&settings).await];
        let port = servers[0].port().to_string();
        servers[1].command(&["REPLICAOF", "127.0.0.1", &port]).await;
        let lines = [
            format!("sentinel monitor mymaster 127.0.0.1 {port} 2"),
            "sentinel down-after-milliseconds mymaster 500".to_owned(),
            "sentinel failover-timeout mymaster 5000".to_owned(),
        ];
        let sentinels = join_all((0..SENTINELS).map(|_| RedisServer::start_sentinel(&lines))).await;
        let set = Self { sentinels, servers };
        for sentinel in &set.sentinels {
            eventually("the Sentinels know each other and the replica", TIMEOUT, async || {
                let info = sentinel.ask(&["INFO", "sentinel"]).await;
                if info.contains("status=ok") && info.contains("slaves=1,sentinels=3") {
                    Ok(())
                } else {
                    Err(info)
                }
            })
            .await;
        }
        set.is_whole().await;
        set
    }

    /// Waits until the replica has everything that the master has.
    pub(crate) async fn is_whole(&self) {
        eventually("the replica is linked", TIMEOUT, async || {
            let info = self.master().await.ask(&["INFO", "replication"]).await;
            if info.contains("state=online") { Ok(()) } else { Err(info) }
        })
        .await;
    }

    /// The addresses of the Sentinels, as `REDIS_URL` takes them.
    pub(crate) fn addresses(&self) -> String {
        self.sentinels.iter().map(RedisServer::address).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    pub(crate) fn servers_mut(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    async fn port_of_master(&self) -> u16 {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"];
        let answer = self.sentinels[0].ask(&words).await;
        // A list of two texts, as the library prints it.
        let port = answer.rsplit(|letter: char| !letter.is_ascii_digit()).find(|word| !word.is_empty());
        port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {answer}"))
    }

    /// The server that the first Sentinel names.
    pub(crate) async fn master(&self) -> &RedisServer {
        let port = self.port_of_master().await;
        self.servers.iter().find(|server| server.port() == port).unwrap()
    }

    /// Starts that server again, and waits until it is the replica. The Sentinels would make it one too,
    /// after ten seconds.
    pub(crate) async fn restart(&mut self, dead: usize) {
        self.servers[dead].restart().await;
        let master = self.port_of_master().await.to_string();
        self.servers[dead].command(&["REPLICAOF", "127.0.0.1", &master]).await;
        self.is_whole().await;
    }

    /// Kills the master, and waits until the Sentinels name another. Returns the number of the dead one.
    pub(crate) async fn kill_master(&mut self) -> usize {
        let port = self.port_of_master().await;
        let dead = self.servers.iter().position(|server| server.port() == port).unwrap();
        self.servers[dead].kill();
        eventually("another master is named", TIMEOUT, async || match self.port_of_master().await {
            named if named == port => Err(format!("still {port}")),
            _ => Ok(()),
        })
        .await;
        dead
    }
}
