//! The answer to a refresh is lost on the way: the client retries with the token it has, on any node.

use std::time::{Duration, Instant};

use crate::support::{Client, Cluster, Person, eventually};

/// Longer than the grace of these tests.
const TUNNEL: Duration = Duration::from_millis(2_500);

async fn cluster() -> Cluster {
    Cluster::of(2).set("REFRESH_REUSE_GRACE_SECONDS", 1).set("RATE_LIMIT_REFRESH_PER_MINUTE", 0).start().await
}

async fn signed_in(cluster: &Cluster) -> Client {
    let mut device = cluster.client(0);
    device.signup(&Person::named("Ada")).await.expect(201);
    device
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn nobody_is_signed_out_however_long_the_tunnel() {
    let cluster = cluster().await;
    let device = signed_in(&cluster).await;
    let held = device.cookie.clone().unwrap();
    let began = Instant::now();
    let mut round = 0;
    // Each answer is thrown away, as a broken connection would do.
    while began.elapsed() < TUNNEL {
        let node = device.at(cluster.base(round));
        node.send(node.cookie_refresh(&held)).await.expect(200);
        round += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut device = device.at(cluster.base(1));
    device.refresh().await.expect(200);
    device.session().await.expect(200);
    device.refresh().await.expect(200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_use_on_one_node_makes_the_old_token_theft_on_the_other() {
    let cluster = cluster().await;
    let mut device = signed_in(&cluster).await;
    let stolen = device.cookie.clone().unwrap();
    device.refresh().await.expect(200);
    device.session().await.expect(200);
    let thief = device.at(cluster.base(1));
    eventually("the grace passes", Duration::from_secs(8), async || {
        let answer = thief.send(thief.cookie_refresh(&stolen)).await;
        if answer.status == 200 {
            return Err(answer.to_string());
        }
        answer.expect_problem(401, "refresh_token_reused");
        Ok(())
    })
    .await;
    device.session().await.expect_problem(401, "refresh_token_reused");
}
