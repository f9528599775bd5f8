//! `events tail`: each event as a line of JSON, from any position, even if Redis is unavailable for a while.

use std::time::Duration;

use serde_json::Value;

use crate::support::child::Process;
use crate::support::redis::RedisServer;
use crate::support::{Database, Person, Setup, eventually};

const TIMEOUT: Duration = Duration::from_secs(15);

fn told(tail: &Process) -> Vec<Value> {
    tail.logs().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

async fn expect(tail: &Process, wanted: &[&str]) {
    eventually("the events are printed", TIMEOUT, async || {
        let channels: Vec<_> = told(tail).iter().map(|event| event["channel"].clone()).collect();
        if channels == wanted { Ok(()) } else { Err(tail.logs()) }
    })
    .await;
}

#[tokio::test]
async fn events_are_followed_until_interrupted() {
    let mut redis = RedisServer::start().await;
    let url = format!("redis://{}", redis.address());
    let app = Setup::on(Database::Sqlite).await.set("REDIS_URL", url).start().await;
    let (ada, eve) = (Person::named("Ada"), Person::named("Eve"));
    let mut client = app.client();
    client.signup(&ada).await.expect(201);
    let signed_up = ["auth:user.registered", "auth:session.created"];

    let mut all = app.setup.start_command(&["events", "tail", "--from", "0"]);
    expect(&all, &signed_up).await;
    let first = told(&all)[0].clone();
    assert_eq!(first["data"]["email"], ada.email.as_str());
    let mut rest = app.setup.start_command(&["events", "tail", "--from", first["id"].as_str().unwrap()]);
    expect(&rest, &signed_up[1..]).await;

    redis.restart().await;
    client.signup(&eve).await.expect(201);
    expect(&rest, &["auth:session.created", "auth:user.registered", "auth:session.created"]).await;
    for tail in [&mut all, &mut rest] {
        tail.signal("INT");
        tail.end(TIMEOUT).await.expect_code(0);
    }
    app.setup.command(&["events", "tail", "--from", "yesterday"]).await.expect_code(2);
}

#[tokio::test]
async fn without_redis_there_is_nothing_to_follow() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["events", "tail"]).await.expect_code(1).expect_output("REDIS_URL");
}
