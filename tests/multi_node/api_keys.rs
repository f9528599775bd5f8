//! A revoked key is refused on every node within the bound, even with Redis dead, and a node that cannot
//! know answers 503.

use std::time::Duration;

use super::revocation::BOUND;
use crate::support::app::STALENESS;
use crate::support::proxy::Mode;
use crate::support::time::Stopwatch;
use crate::support::{Client, Cluster, eventually};

async fn ask(client: &Client) -> u16 {
    let request = client
        .request(reqwest::Method::POST, "/introspect")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("token=x");
    client.send(request).await.status
}

async fn keyed(cluster: &Cluster, key: &str) -> Vec<Client> {
    let with_key = |node: usize| {
        let mut client = cluster.client(node);
        client.access = Some(key.to_owned());
        client
    };
    let clients: Vec<_> = (0..cluster.nodes.len()).map(with_key).collect();
    for client in &clients {
        eventually("a new key is known", Duration::from_secs(10), async || match ask(client).await {
            200 => Ok(()),
            status => Err(status.to_string()),
        })
        .await;
    }
    clients
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres_a_revoked_key_is_refused_everywhere_within_the_bound() {
    let mut cluster = Cluster::of(3).set(STALENESS, BOUND.as_millis()).start().await;
    for round in 0..6 {
        if round == 3 {
            cluster.redis.kill();
        }
        let key = cluster.setup(0).api_key(&["tokens:introspect"]).await;
        let clients = keyed(&cluster, &key).await;
        let id = key.split('_').nth(1).unwrap();
        cluster.setup(0).command(&["api-keys", "revoke", id]).await.expect_code(0);
        let revoked = Stopwatch::start();
        for client in &clients {
            loop {
                let sent = revoked.elapsed();
                match ask(client).await {
                    401 => break,
                    // A node that stalled for the bound cannot tell.
                    503 => {}
                    200 => assert!(sent <= BOUND, "accepted {sent:?} after it was revoked"),
                    status => panic!("{status}"),
                }
                assert!(sent < Duration::from_secs(30), "it is never refused");
            }
        }
    }
}

/// A node that is cut off from the database does not keep trusting what it knew.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres_a_node_that_cannot_read_keys_trusts_none() {
    let cluster = Cluster::of(1).set(STALENESS, BOUND.as_millis()).behind_proxies().start().await;
    let key = cluster.setup(0).api_key(&["tokens:introspect"]).await;
    let clients = keyed(&cluster, &key).await;
    cluster.nodes[0].database().set(Mode::Cut);
    eventually("the node says that it cannot tell", Duration::from_secs(10), async || {
        match ask(&clients[0]).await {
            503 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    cluster.nodes[0].database().set(Mode::Forward);
    keyed(&cluster, &key).await;
}
