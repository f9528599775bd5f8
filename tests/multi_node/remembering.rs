//! What a login says about the session it opens, and about the browser's previous session, holds on
//! every node.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::COOKIE;
use serde_json::{Value, json};

use crate::support::authenticator::App;
use crate::support::{Answer, Client, Cluster, Person, eventually};

const SECRET: &str = "encryption-secret-of-the-tests-0123456789abcdef";
/// `JWT_REFRESH_EXPIRY`, 7 days.
const MAX_AGE: &str = "Max-Age=604800";

async fn cluster() -> Cluster {
    let setup = Cluster::of(2)
        .set("ENCRYPTION_SECRET", SECRET)
        .set("SECOND_FACTOR_ROLES", "ADMIN")
        .set("REMEMBER_TIMEOUT_MINUTES", 600)
        .set("REMEMBER_LIFETIME_HOURS", 800);
    setup.start().await
}

fn asking(person: &Person, remember: &Value) -> Value {
    let mut body = person.credentials();
    body["remember"] = remember.clone();
    body
}

/// Asserts that the session lasts that many minutes, and whether the cookie outlives the browser.
async fn expect_kept(device: &Client, answer: &Answer, minutes: u64, is_kept: bool) {
    let cookie = answer.set_cookie().unwrap();
    assert_eq!((cookie.contains(MAX_AGE), cookie.contains("Max-Age")), (is_kept, is_kept), "{cookie}");
    let remaining = device.session().await.expect(200).json["remainingSeconds"].as_u64().unwrap();
    assert!((minutes * 60 - 60..=minutes * 60).contains(&remaining), "{remaining} s, not {minutes} min");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_was_said_at_login_is_remembered_by_every_node() {
    let cluster = cluster().await;
    let ada = Person::named("Ada");
    cluster.client(0).signup(&ada).await.expect(201);
    for (remember, minutes, is_kept) in
        [(json!(true), 600, true), (json!(false), 5, false), (json!(null), 5, true)]
    {
        let mut device = cluster.client(0);
        let answer = device.login_with(&asking(&ada, &remember)).await.expect(200);
        expect_kept(&device, &answer, minutes, is_kept).await;
        device.follow(cluster.base(1));
        let answer = device.refresh().await.expect(200);
        expect_kept(&device, &answer, minutes, is_kept).await;
    }
}

/// Neither when the login goes on to another step, nor on another node.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_role_with_a_second_factor_is_not_remembered_for_longer() {
    let cluster = cluster().await;
    let ada = Person::named("Ada");
    let mut device = cluster.client(0);
    device.signup(&ada).await.expect(201);
    cluster.setup(0).command(&["user", "role", &ada.email, "admin"]).await.expect_code(0);
    let asked = cluster.client(0).login_with(&asking(&ada, &json!(true))).await;
    let ticket = asked.expect_problem(403, "second_factor_enrolment_required").json["loginTicket"].clone();
    let made = cluster.client(1).post("/factors/totp", &json!({"loginTicket": ticket})).await.expect(201);
    let code = App::with(made.json["secret"].as_str().unwrap()).code(0);
    let enrolled = go_on(&cluster, &json!({"loginTicket": ticket, "code": code}), true).await;

    // They can also choose that the cookie ends with the browser.
    let asked = cluster.client(0).login_with(&asking(&ada, &json!(false))).await;
    let ticket = asked.expect_problem(401, "second_factor_required").json["loginTicket"].clone();
    let code = enrolled.json["recoveryCodes"][0].clone();
    go_on(&cluster, &json!({"loginTicket": ticket, "recoveryCode": code}), false).await;
}

/// The last step on one node, a refresh on the other.
async fn go_on(cluster: &Cluster, body: &Value, is_kept: bool) -> Answer {
    let mut device = cluster.client(1);
    let signed_in = device.send_and_keep("/login/continue", body).await.expect(200);
    expect_kept(&device, &signed_in, 5, is_kept).await;
    device.follow(cluster.base(0));
    let answer = device.refresh().await.expect(200);
    expect_kept(&device, &answer, 5, is_kept).await;
    signed_in
}

/// Signs in again in the browser of that device, on another node.
async fn again(cluster: &Cluster, device: &Client, node: usize, body: &Value) -> Answer {
    let cookie = format!("refreshToken={}", device.cookie.as_ref().unwrap());
    let client = cluster.client(node);
    client.send(client.request(Method::POST, "/login").header(COOKIE, cookie).json(body)).await
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_session_of_the_same_browser_is_replaced_on_every_node() {
    let cluster = cluster().await;
    let (ada, bob) = (Person::named("Ada"), Person::named("Bob"));
    let (mut kept, mut own, mut others) = (cluster.client(0), cluster.client(0), cluster.client(0));
    kept.signup(&ada).await.expect(201);
    own.login(&ada).await.expect(200);
    others.login(&ada).await.expect(200);
    cluster.client(1).signup(&bob).await.expect(201);
    let mut body = ada.credentials();
    body["keepSession"] = json!(true);
    again(&cluster, &kept, 1, &body).await.expect(200);
    again(&cluster, &own, 1, &ada.credentials()).await.expect(200);
    again(&cluster, &others, 1, &bob.credentials()).await.expect(200);
    for node in 0..2 {
        kept.at(cluster.base(node)).session().await.expect(200);
    }
    for device in [&own, &others] {
        // On the node that answered, and on the other one once it knows.
        device.at(cluster.base(1)).session().await.expect_problem(401, "session_replaced");
        eventually("the other node knows", Duration::from_secs(2), async || {
            let answer = device.session().await;
            if answer.status == 401 { Ok(answer) } else { Err(answer.to_string()) }
        })
        .await
        .expect_problem(401, "session_replaced");
    }
    let replaced = cluster.count("SELECT count(*) FROM sessions WHERE end_reason = 'replaced'").await;
    assert_eq!((replaced, cluster.live_sessions().await), (2, 5));
}
