//! Many nodes start at once, and each serves as soon as it reports ready.

use futures_util::future::join_all;

use crate::support::{Cluster, Person};

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn nodes_that_start_at_once_on_an_empty_database_all_come_up() {
    let cluster = Cluster::of(5).start().await;
    let applied = cluster.count("SELECT count(*) FROM seaql_migrations").await;
    let distinct = cluster.count("SELECT count(DISTINCT version) FROM seaql_migrations").await;
    assert!(applied > 0 && applied == distinct, "{applied} migrations applied, {distinct} distinct");

    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    for node in &cluster.nodes {
        device.at(node.base()).me().await.expect(200);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_that_says_it_is_ready_answers_protected_requests_at_once() {
    let mut cluster = Cluster::of(2).start().await;
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    for _ in 0..5 {
        let (_, newcomers) = cluster.nodes.split_at_mut(1);
        join_all(newcomers.iter_mut().map(|node| node.restart())).await;
        device.at(cluster.base(1)).session().await.expect(200);
    }
}
