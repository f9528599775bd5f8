//! Followers of `/revocations` receive what ends on any node, while Redis is dead and while they
//! disconnect and reconnect.

use std::time::Duration;

use futures_util::future::join_all;

use crate::support::follower::Follower;
use crate::support::time::Stopwatch;
use crate::support::{Client, Cluster, Person, eventually};

async fn known(cluster: &Cluster, key: &str) -> Vec<Client> {
    let clients: Vec<_> = (0..cluster.nodes.len())
        .map(|node| {
            let mut client = cluster.client(node);
            client.access = Some(key.to_owned());
            client
        })
        .collect();
    for client in &clients {
        eventually("a new key is known", Duration::from_secs(10), async || {
            match client.get("/admin/stats").await.status {
                403 => Ok(()),
                status => Err(status.to_string()),
            }
        })
        .await;
    }
    clients
}

/// The other node sends each ending within a second of its answer, and none is missed across reconnects
/// to either node.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres_no_ending_is_missed_on_any_node_without_redis() {
    let mut cluster = Cluster::of(2).start().await;
    let key = cluster.setup(0).api_key(&["tokens:introspect"]).await;
    let services = known(&cluster, &key).await;
    let mut follower = Follower::new(services[1].clone());
    let mut comes_and_goes = Follower::new(services[0].clone());
    follower.connect().await;
    follower.catch_up().await;
    comes_and_goes.connect().await;
    comes_and_goes.catch_up().await;
    cluster.redis.kill();

    let mut sessions = Vec::new();
    for round in 0..6_usize {
        comes_and_goes.disconnect();
        let people: Vec<_> = (0..8).map(|number| Person::named(&format!("P{round}x{number}"))).collect();
        let mut devices = join_all(people.iter().enumerate().map(async |(number, person)| {
            let mut device = cluster.client((round + number) % 2);
            device.signup(person).await.expect(201);
            device
        }))
        .await;
        let ended = join_all(devices.iter_mut().map(async |device| {
            device.logout().await.expect(204);
            (device.session_id.clone(), Stopwatch::start())
        }))
        .await;
        for (session, since) in &ended {
            while !follower.ended.contains_key(session) {
                follower.next().await.expect("the stream goes on");
            }
            assert!(since.elapsed() < Duration::from_secs(3), "told after {:?}", since.elapsed());
        }
        sessions.extend(ended.into_iter().map(|(session, _)| session));
        // With the cursor of one node at the other.
        let mut other = Follower::new(services[(round + 1) % 2].clone());
        other.cursor = comes_and_goes.cursor.clone();
        std::mem::swap(&mut other.ended, &mut comes_and_goes.ended);
        comes_and_goes = other;
        comes_and_goes.connect().await;
        comes_and_goes.catch_up().await;
        assert_eq!(comes_and_goes.resets, 0);
    }
    for session in &sessions {
        assert!(comes_and_goes.ended.contains_key(session), "{session} was missed");
    }
}
