//! Refresh tokens are independent of nodes.

use std::time::Duration;

use crate::support::app::REFRESH_SECRET;
use crate::support::token::Token;
use crate::support::{Client, Cluster, Person, eventually};

async fn signed_in(cluster: &Cluster) -> Client {
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    device
}

fn generation(cookie: &Option<String>) -> i64 {
    Token::open(cookie.as_ref().unwrap(), REFRESH_SECRET).claims["gen"].as_i64().unwrap()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_token_rotated_on_one_node_goes_on_on_the_next() {
    let cluster = Cluster::of(3).start().await;
    let mut device = signed_in(&cluster).await;
    for rotation in 1..=30 {
        device.follow(cluster.base(rotation));
        device.refresh().await.expect(200);
        assert_eq!(generation(&device.cookie), i64::try_from(rotation).unwrap() + 1);
        device.at(cluster.base(rotation + 1)).session().await.expect(200);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn within_the_grace_another_node_gives_the_same_token() {
    let cluster = Cluster::of(3).start().await;
    let mut device = signed_in(&cluster).await;
    let mut other_tab = device.at(cluster.base(1));
    let mut third_tab = device.at(cluster.base(2));
    device.refresh().await.expect(200);
    other_tab.refresh().await.expect(200);
    third_tab.refresh().await.expect(200);
    assert_eq!(generation(&device.cookie), 2);
    assert_eq!(generation(&other_tab.cookie), 2, "nothing rotated");
    assert_eq!(generation(&third_tab.cookie), 2, "nothing rotated");
    // Whichever tab goes on, it does so with a current token.
    other_tab.at(cluster.base(2)).refresh().await.expect(200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn tabs_that_refresh_on_all_nodes_at_once_all_go_on() {
    let cluster = Cluster::of(3).start().await;
    let mut device = signed_in(&cluster).await;
    for round in 2..=21 {
        let tabs = (0..6).map(|tab| {
            let mut tab = device.at(cluster.base(tab));
            async move {
                tab.refresh().await.expect(200);
                tab
            }
        });
        let tabs = futures_util::future::join_all(tabs).await;
        for tab in &tabs {
            assert_eq!(generation(&tab.cookie), round, "one rotation, and the same token for all");
        }
        device = tabs.into_iter().next().unwrap();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn theft_seen_on_one_node_ends_the_session_everywhere() {
    let cluster = Cluster::of(3).start().await;
    let mut device = signed_in(&cluster).await;
    let mut elsewhere = cluster.client(2);
    elsewhere.login(&Person::named("Ada")).await.expect(200);
    let thief = device.at(cluster.base(1));
    device.refresh().await.expect(200);
    device.refresh().await.expect(200);

    let stolen = thief.cookie.as_ref().unwrap();
    thief.send(thief.cookie_refresh(stolen)).await.expect_problem(401, "refresh_token_reused");
    for node in &cluster.nodes {
        let device = device.at(node.base());
        let refused = eventually("the session is refused", Duration::from_secs(2), async || {
            let answer = device.session().await;
            if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
        });
        refused.await.expect_problem(401, "refresh_token_reused");
        device.at(node.base()).refresh().await.expect_problem(401, "refresh_token_reused");
        elsewhere.at(node.base()).session().await.expect(200);
    }
}
