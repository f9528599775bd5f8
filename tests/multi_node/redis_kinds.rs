//! Kinds of a single Redis: one that evicts, one with TLS and a private CA, one that is shared with another
//! deployment.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::authenticator::App;
use crate::support::redis::RedisServer;
use crate::support::{Client, Cluster, Connection, Database, Person, Setup, TestApp, Transport, eventually};

const NOTICED_WITHIN: Duration = Duration::from_secs(15);

async fn ticket(device: &Client) -> String {
    let answer = device.send(device.request(Method::POST, "/events/ticket")).await.expect(201);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

/// As another program would fill it: with a lot of data, and with an expiry, which `volatile-lru` requires.
async fn fill(redis: &RedisServer) {
    let value = "x".repeat(4_000);
    for number in 0..1_500 {
        redis.command(&["SET", &format!("other:{number}"), &value, "EX", "600"]).await;
    }
    let info = redis.ask(&["INFO", "stats"]).await;
    let evicted = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
    assert_ne!(evicted.trim(), "0", "nothing was evicted");
}

/// Sets up an app for codes, and returns it with a ticket that waits for one.
async fn asked_for_a_code(device: &mut Client, person: &Person) -> (App, Value) {
    let made = device.post("/factors/totp", &json!({})).await.expect(201).json;
    let totp = App::with(made["secret"].as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    let asked = device.post("/login", &person.credentials()).await;
    (totp, asked.expect_problem(401, "second_factor_required").json["loginTicket"].clone())
}

async fn is_right_where_keys_are_evicted(policy: &str) {
    let setup = Cluster::of(2)
        .set("RATE_LIMIT_ENABLED", true)
        .set("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 3)
        .set("RATE_LIMIT_SIGNUP_PER_HOUR", 2)
        .set("RATE_LIMIT_CODE_FAILURES_PER_HOUR", 3)
        .set("RATE_LIMIT_MAIL_REQUESTS_PER_HOUR", 2)
        .set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef");
    let redis = ["--maxmemory", "4mb", "--maxmemory-policy", policy];
    let cluster = setup.on_redis(&redis).start().await;
    let (mut device, person) = (cluster.client(0), Person::named("Ada"));
    device.signup(&person).await.expect(201);

    let health = device.get("/health").await.expect(200);
    assert_eq!(health.json["status"], "degraded", "{health}");
    let events = &health.json["checks"]["events"];
    assert!(events["reason"].as_str().unwrap().contains(policy), "{health}");

    let ticket = ticket(&device).await;
    let there = device.at(cluster.base(1));
    let request = Transport::Sse.request_by(&there, &ticket);
    let _connection = Connection::open_by(Transport::Sse, request).await;
    let wrong = json!({"email": person.email, "password": "a wrong password"});
    for _ in 0..3 {
        device.post("/login", &wrong).await.expect(401);
    }
    device.post("/login", &wrong).await.expect_problem(429, "rate_limited");
    let bob = Person::named("Bob");
    let mut bobs = cluster.client(0);
    bobs.signup(&bob).await.expect(201);
    cluster.client(0).signup(&Person::named("Eve")).await.expect_problem(429, "rate_limited");
    let (totp, ticket_of_bob) = asked_for_a_code(&mut bobs, &bob).await;
    let guess = async |code: String| {
        bobs.post("/login/continue", &json!({"loginTicket": ticket_of_bob, "code": code})).await
    };
    for _ in 0..3 {
        guess(totp.wrong_code()).await.expect_problem(422, "validation_failed");
    }
    let reset = json!({"email": person.email});
    while device.post("/password/reset", &reset).await.status != 429 {}

    fill(cluster.redis.server()).await;
    guess(totp.code(0)).await.expect_problem(429, "rate_limited");
    cluster.client(0).signup(&Person::named("Eve")).await.expect_problem(429, "rate_limited");
    device.post("/password/reset", &reset).await.expect_problem(429, "rate_limited");
    let again = Transport::Sse.request_by(&device, &ticket).send().await.unwrap();
    assert_eq!(again.status(), 401, "the ticket was good twice");
    device.post("/login", &wrong).await.expect_problem(429, "rate_limited");

    // An operator mends it, which is noticed after an outage, and within a minute otherwise.
    cluster.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    cluster.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    cluster.redis.freeze();
    eventually("the outage is noticed", NOTICED_WITHIN, async || {
        let health = device.get("/health").await;
        if health.text.contains(policy) { Err(health.to_string()) } else { Ok(()) }
    })
    .await;
    cluster.redis.thaw();
    eventually("health says so", NOTICED_WITHIN, async || {
        let health = device.get("/health").await;
        if health.json["status"] == "ok" { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_redis_that_evicts_any_key_forgets_no_ticket_and_no_guess() {
    is_right_where_keys_are_evicted("allkeys-lru").await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_redis_that_evicts_what_expires_forgets_no_ticket_and_no_guess() {
    is_right_where_keys_are_evicted("volatile-lru").await;
}

/// A CA's certificate, and a server's certificate and key signed by it; the paths of all three.
fn certificates(folder: &Path) -> [String; 3] {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let signed_by_itself = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, pem: String| {
        let path = folder.join(name);
        std::fs::write(&path, pem).unwrap();
        path.display().to_string()
    };
    [
        write("ca.pem", signed_by_itself.pem()),
        write("server.pem", server.pem()),
        write("server.key", key.serialize_pem()),
    ]
}

async fn health_is(app: &TestApp, status: &str) {
    eventually("health says so", NOTICED_WITHIN, async || {
        let health = app.client().get("/health").await;
        if health.json["status"] == status { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn a_private_authority_is_trusted_where_it_is_named_and_the_cause_is_told_where_not() {
    let folder = tempfile::tempdir().unwrap();
    let [authority, certificate, key] = certificates(folder.path());
    let (redis, address) = RedisServer::start_with_tls(&authority, &certificate, &key).await;
    let setup =
        || async { Setup::on(Database::Sqlite).await.set("REDIS_URL", format!("rediss://{address}")) };
    let trusting = setup().await.set("REDIS_CA_FILE", &authority).start().await;
    trusting.client().signup(&Person::named("Ada")).await.expect(201);
    health_is(&trusting, "ok").await;
    eventually("its events are in the stream", NOTICED_WITHIN, async || match redis.stream().await.len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    })
    .await;

    let other = setup().await.start().await;
    other.client().signup(&Person::named("Bob")).await.expect(201);
    health_is(&other, "degraded").await;
    eventually("the cause is in the log", NOTICED_WITHIN, async || {
        if other.logs().contains("set REDIS_CA_FILE") { Ok(()) } else { Err(other.logs()) }
    })
    .await;
    setup()
        .await
        .set("REDIS_CA_FILE", "/nowhere/ca.pem")
        .run()
        .await
        .expect_code(2)
        .expect_output("REDIS_CA_FILE");
}

#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn a_wrong_password_is_told() {
    let redis = RedisServer::start().await;
    redis.command(&["CONFIG", "SET", "requirepass", "the right one"]).await;
    let url = format!("redis://:hunter2@{}", redis.address());
    let app = Setup::on(Database::Sqlite).await.set("REDIS_URL", url).start().await;
    eventually("the cause is in the log", NOTICED_WITHIN, async || {
        let logs = app.logs();
        let told = logs.contains("redis.down") && logs.contains("refuses the user or password of REDIS_URL");
        if told { Ok(()) } else { Err(logs) }
    })
    .await;
    assert!(!app.logs().contains("hunter2"), "{}", app.logs());
}

#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn a_full_redis_is_told() {
    let redis = RedisServer::start().await;
    let url = format!("redis://{}", redis.address());
    let app = Setup::on(Database::Sqlite).await.set("REDIS_URL", url).start().await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    eventually("the cause is in the log", NOTICED_WITHIN, async || {
        let logs = app.logs();
        if logs.contains("the server has used up its maxmemory") { Ok(()) } else { Err(logs) }
    })
    .await;
}

/// Channels, stream, turns, counters, tickets: everything is under its own prefix. The two use different
/// databases of the server too, which do not separate channels.
#[tokio::test]
#[ignore = "needs Redis: run ./scripts/test"]
async fn deployments_with_prefixes_of_their_own_share_a_redis() {
    let redis = RedisServer::start().await;
    let mut apps = Vec::new();
    for (number, prefix) in ["auth:", "shop/"].into_iter().enumerate() {
        let url = format!("redis://{}/{number}", redis.address());
        let setup = Setup::on(Database::Sqlite).await.set("REDIS_URL", url).set("REDIS_PREFIX", prefix);
        apps.push(setup.set("RATE_LIMIT_ENABLED", true).start().await);
    }
    let mut heard = redis.listen("shop/user.login").await;
    let mut other = redis.listen("auth:user.login").await;
    let person = Person::named("Ada");
    for app in &apps {
        let mut device = app.client();
        device.signup(&person).await.expect(201);
        device.login(&person).await.expect(200);
        let ticket = ticket(&device).await;
        let request = Transport::Sse.request_by(&device, &ticket);
        Connection::open_by(Transport::Sse, request).await;
    }
    for channel in [&mut heard, &mut other] {
        let message = tokio::time::timeout(NOTICED_WITHIN, channel.next()).await.unwrap().unwrap();
        assert!(message.contains("\"event\":\"user.login\""), "{message}");
    }
    for (number, prefix) in ["auth:", "shop/"].into_iter().enumerate() {
        eventually("the stream is there", NOTICED_WITHIN, async || {
            let keys = redis.keys(number).await;
            if keys.contains(&format!("{prefix}events")) { Ok(()) } else { Err(format!("{keys:?}")) }
        })
        .await;
        let keys = redis.keys(number).await;
        assert!(keys.iter().any(|key| key.starts_with(&format!("{prefix}rate:"))), "{keys:?}");
        assert!(keys.iter().any(|key| key.starts_with(&format!("{prefix}spent:"))), "{keys:?}");
        assert!(keys.iter().all(|key| key.starts_with(prefix)), "{keys:?}");
    }
    eventually("each listens to its own nodes", NOTICED_WITHIN, async || {
        let channels = redis.ask(&["PUBSUB", "CHANNELS"]).await;
        let both = ["auth:internal:", "shop/internal:"].iter().all(|prefix| channels.contains(prefix));
        if both { Ok(()) } else { Err(channels) }
    })
    .await;
}
