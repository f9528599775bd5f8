//! Passkeys byte by byte: registered, used, renamed, removed, and everything that can be wrong with one.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::members;
use crate::support::authenticator::{Authenticator, Key};
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    a_passkey_is_registered_used_renamed_and_removed,
    every_algorithm_signs_in,
    what_is_wrong_with_a_registration_is_refused,
    what_is_wrong_with_a_sign_in_is_refused,
    a_challenge_is_good_once,
    a_copied_key_is_noticed,
    a_copied_key_is_refused_where_that_is_asked_for,
    a_copied_key_that_is_sent_again_is_told_of_once,
    a_passkey_is_a_second_factor_too,
    a_passkey_is_set_up_on_the_way_in,
);

const SECRET: &str = "encryption-secret-of-the-tests-0123456789abcdef";
const ORIGIN: &str = "https://app.example.com";

async fn setup(db: Database) -> Setup {
    let setup = Setup::on(db).await.set("ENCRYPTION_SECRET", SECRET);
    setup.set("WEBAUTHN_RP_ID", "example.com").set("WEBAUTHN_ORIGINS", ORIGIN)
}

async fn somebody(app: &TestApp, name: &str) -> (Person, Client) {
    let person = Person::named(name);
    let device = app.devices(&person, 1).await.remove(0);
    (person, device)
}

/// Tries to register, and returns the response.
async fn try_register(device: &Client, key: &mut Authenticator) -> Answer {
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let credential = key.create(&options["publicKey"]);
    device.post("/passkeys", &json!({"requestId": options["requestId"], "credential": credential})).await
}

async fn register(device: &Client, key: &mut Authenticator) -> Value {
    try_register(device, key).await.expect(201).json["passkey"].clone()
}

/// Tries to sign in with nothing but the passkey, and returns the response.
async fn try_sign_in(app: &TestApp, key: &mut Authenticator) -> Answer {
    let options = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let credential = key.get(&options["publicKey"]);
    let body = json!({"loginTicket": options["loginTicket"], "credential": credential});
    app.client().post("/login/continue", &body).await
}

async fn a_passkey_is_registered_used_renamed_and_removed(db: Database) {
    let app = setup(db).await.start().await;
    let features = app.client().get("/config").await.expect(200).json["features"].clone();
    assert!(features.as_array().unwrap().contains(&json!("passkeys")), "{features}");
    let (ada, device) = somebody(&app, "Ada").await;
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    assert_eq!(members(&options), ["publicKey", "requestId"]);
    let asked = &options["publicKey"];
    assert_eq!(asked["rp"]["id"], "example.com");
    assert_eq!(asked["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(asked["authenticatorSelection"]["userVerification"], "required");
    assert_eq!((&asked["attestation"], &asked["excludeCredentials"]), (&json!("none"), &json!([])));
    let algorithms = asked["pubKeyCredParams"].as_array().unwrap();
    assert_eq!(algorithms.iter().map(|it| it["alg"].clone()).collect::<Vec<_>>(), [-7, -8, -257]);

    let mut key = Authenticator::synced(ORIGIN);
    let credential = key.create(asked);
    let body = json!({"requestId": options["requestId"], "credential": credential, "name": "Phone"});
    let passkey = device.post("/passkeys", &body).await.expect(201).json["passkey"].clone();
    assert_eq!(members(&passkey), ["addedAt", "id", "lastUsedAt", "name", "synced", "transports"]);
    assert_eq!((&passkey["name"], &passkey["synced"]), (&json!("Phone"), &json!(true)));
    assert_eq!(passkey["transports"], json!(["hybrid", "internal"]));
    assert_eq!(key.user_handle, ada_id(&device).await.as_bytes());
    let again = try_register(&device, &mut key).await;
    again.expect_problem(409, "passkey_exists");

    let answer = try_sign_in(&app, &mut key).await.expect(200);
    assert_eq!(answer.json["user"]["email"], ada.email);
    let mut signed_in = app.client();
    signed_in.access = answer.json["accessToken"].as_str().map(str::to_owned);
    let claims = signed_in.claims();
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("aal2"), &json!(["swk", "user", "mfa"])));
    let shown = signed_in.get("/factors").await.expect(200).json["passkeys"][0].clone();
    assert!(shown["lastUsedAt"].is_string() && shown["id"] == passkey["id"], "{shown}");

    let path = format!("/passkeys/{}", passkey["id"].as_str().unwrap());
    let rename = async |name: Value| {
        signed_in.send(signed_in.request(Method::PATCH, &path).json(&json!({"name": name}))).await
    };
    assert_eq!(rename(json!("Her phone")).await.expect(200).json["passkey"]["name"], "Her phone");
    rename(json!("")).await.expect_problem(422, "validation_failed");
    rename(Value::Null).await.expect_problem(422, "validation_failed");
    let (_, other) = somebody(&app, "Bob").await;
    for (method, path) in
        [(Method::DELETE, path.as_str()), (Method::DELETE, "/passkeys/x"), (Method::PATCH, &path)]
    {
        let request = other.request(method, path).json(&json!({"name": "Bob's"}));
        other.send(request).await.expect_problem(404, "not_found");
    }
    signed_in.send(signed_in.request(Method::DELETE, &path)).await.expect(204);
    try_sign_in(&app, &mut key).await.expect_problem(401, "invalid_credentials");
    app.client().login(&ada).await.expect(200);
}

async fn ada_id(device: &Client) -> uuid::Uuid {
    device.me().await.expect(200).uuid("/user/id")
}

async fn every_algorithm_signs_in(db: Database) {
    let app = setup(db).await.start().await;
    for (name, key) in [("Ada", Key::es256()), ("Bob", Key::eddsa()), ("Cleo", Key::rs256())] {
        let (person, device) = somebody(&app, name).await;
        let mut key = Authenticator::with(key, ORIGIN);
        register(&device, &mut key).await;
        let answer = try_sign_in(&app, &mut key).await.expect(200);
        assert_eq!(answer.json["user"]["email"], person.email);
    }
}

async fn what_is_wrong_with_a_registration_is_refused(db: Database) {
    let app = setup(db).await.start().await;
    let (_, device) = somebody(&app, "Ada").await;
    let wrongs: [fn(&mut Authenticator); 6] = [
        |key| "https://evil.example.com".clone_into(&mut key.origin),
        |key| "http://app.example.com".clone_into(&mut key.origin),
        |key| key.rp_id = Some("example.org".to_owned()),
        |key| key.verified = false,
        |key| key.present = false,
        |key| key.cross_origin = true,
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let mut key = Authenticator::new(ORIGIN);
        wrong(&mut key);
        let answer = try_register(&device, &mut key).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"), "{number}: {answer}");
    }
    let (_, bob) = somebody(&app, "Bob").await;
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let credential = Authenticator::new(ORIGIN).create(&options["publicKey"]);
    let body = json!({"requestId": options["requestId"], "credential": credential});
    // The challenge of another person, one for another purpose, and an invented one.
    bob.post("/passkeys", &body).await.expect_problem(422, "validation_failed");
    let login = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    for challenge in [login["publicKey"]["challenge"].clone(), json!("AAAA")] {
        let mut key = Authenticator::new(ORIGIN);
        key.challenge = challenge.as_str().map(str::to_owned);
        let credential = key.create(&options["publicKey"]);
        let body = json!({"requestId": challenge, "credential": credential});
        device.post("/passkeys", &body).await.expect_problem(422, "validation_failed");
    }
    device.post("/passkeys", &body).await.expect(201);
    device.post("/passkeys", &body).await.expect_problem(422, "validation_failed");
    let answer = device.post("/passkeys", &json!({})).await.expect_problem(422, "validation_failed");
    assert_eq!(answer.fields(), ["requestId"]);
    assert_eq!(device.get("/factors").await.json["passkeys"].as_array().unwrap().len(), 1);
}

async fn what_is_wrong_with_a_sign_in_is_refused(db: Database) {
    let app = setup(db).await.start().await;
    let (_, device) = somebody(&app, "Ada").await;
    let mut key = Authenticator::new(ORIGIN);
    register(&device, &mut key).await;
    let (_, bob) = somebody(&app, "Bob").await;
    let mut bobs = Authenticator::new(ORIGIN);
    register(&bob, &mut bobs).await;

    let wrongs: [fn(&mut Authenticator); 8] = [
        |key| "https://evil.example.com".clone_into(&mut key.origin),
        |key| key.rp_id = Some("example.org".to_owned()),
        |key| key.verified = false,
        |key| key.present = false,
        |key| key.cross_origin = true,
        |key| key.synced = true,
        |key| key.id = b"unknown".to_vec(),
        |key| key.user_handle = vec![7; 16],
    ];
    for (number, wrong) in wrongs.into_iter().enumerate() {
        let (id, handle) = (key.id.clone(), key.user_handle.clone());
        wrong(&mut key);
        let answer = try_sign_in(&app, &mut key).await;
        assert_eq!((answer.status, answer.code()), (401, "invalid_credentials"), "{number}: {answer}");
        key = Authenticator {
            origin: ORIGIN.to_owned(),
            rp_id: None,
            verified: true,
            present: true,
            cross_origin: false,
            synced: false,
            id,
            user_handle: handle,
            ..key
        };
    }
    // Bob's key claims to be Ada's.
    let handle = std::mem::replace(&mut bobs.user_handle, key.user_handle.clone());
    try_sign_in(&app, &mut bobs).await.expect_problem(401, "invalid_credentials");
    bobs.user_handle = handle;

    // The challenge of another sign-in.
    let [one, two] = [(); 2].map(|()| app.client());
    let one = one.post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let two = two.post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let body = json!({"loginTicket": one["loginTicket"], "credential": key.get(&two["publicKey"])});
    app.client().post("/login/continue", &body).await.expect_problem(401, "invalid_credentials");
    for body in [
        json!({"loginTicket": one["loginTicket"]}),
        json!({"loginTicket": one["loginTicket"], "code": "123456"}),
    ] {
        app.client().post("/login/continue", &body).await.expect_problem(422, "validation_failed");
    }
    for credential in [
        json!({"id": "AQID", "response": {"clientDataJSON": "e30"}}),
        json!({"id": "", "response": {"clientDataJSON": ""}}),
    ] {
        let body = json!({"loginTicket": one["loginTicket"], "credential": credential});
        app.client().post("/login/continue", &body).await.expect_problem(401, "invalid_credentials");
    }
    let body = json!({"loginTicket": one["loginTicket"], "credential": "text"});
    app.client().post("/login/continue", &body).await.expect_problem(400, "invalid_json");
    try_sign_in(&app, &mut key).await.expect(200);
}

async fn a_challenge_is_good_once(db: Database) {
    let app = setup(db).await.start().await;
    let (_, device) = somebody(&app, "Ada").await;
    let mut key = Authenticator::new(ORIGIN);
    register(&device, &mut key).await;
    let options = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let body = json!({"loginTicket": options["loginTicket"], "credential": key.get(&options["publicKey"])});
    app.client().post("/login/continue", &body).await.expect(200);
    app.client().post("/login/continue", &body).await.expect_problem(401, "login_ticket_invalid");
    let spent = json!({"loginTicket": options["loginTicket"]});
    let again = app.client().post("/passkeys/login/options", &spent).await;
    again.expect_problem(401, "login_ticket_invalid");
}

/// Two devices with one key: the second one's counter is behind.
async fn copied(app: &TestApp) -> (Person, Authenticator) {
    let (ada, device) = somebody(app, "Ada").await;
    let mut key = Authenticator::new(ORIGIN);
    register(&device, &mut key).await;
    for _ in 0..3 {
        try_sign_in(app, &mut key).await.expect(200);
    }
    key.counter = 1;
    (ada, key)
}

async fn a_copied_key_is_noticed(db: Database) {
    let app = setup(db).await.start().await;
    let (_, mut key) = copied(&app).await;
    assert!(!app.logs().contains("passkey.counter_regressed"));
    let answer = try_sign_in(&app, &mut key).await.expect(200);
    let mut device = app.client();
    device.access = answer.json["accessToken"].as_str().map(str::to_owned);
    assert_eq!(device.claims()["amr"], json!(["hwk", "user", "mfa"]));
    eventually("the log says so", LOGGED_WITHIN, async || logged(&app, 1)).await;
    // The counter stands still.
    (key.counter, key.counts) = (3, 0);
    try_sign_in(&app, &mut key).await.expect(200);
    eventually("the log says so again", LOGGED_WITHIN, async || logged(&app, 2)).await;
}

/// Lines are written by a thread of their own.
const LOGGED_WITHIN: Duration = Duration::from_secs(10);

/// Whether the log has this many lines about regressions.
fn logged(app: &TestApp, times: usize) -> Result<(), String> {
    let lines = app.logs().matches("passkey.counter_regressed").count();
    if lines == times { Ok(()) } else { Err(format!("{lines} lines")) }
}

async fn a_copied_key_is_refused_where_that_is_asked_for(db: Database) {
    let app = setup(db).await.set("PASSKEY_COUNTER", "reject").start().await;
    let (_, mut key) = copied(&app).await;
    try_sign_in(&app, &mut key).await.expect_problem(401, "invalid_credentials");
    eventually("the log says so", LOGGED_WITHIN, async || logged(&app, 1)).await;
    key.counter = 3;
    try_sign_in(&app, &mut key).await.expect(200);
}

/// One signature is one reason to write to the person, however often it is sent.
async fn a_copied_key_that_is_sent_again_is_told_of_once(db: Database) {
    let app = setup(db).await.set("PASSKEY_COUNTER", "reject").start().await;
    let (_, mut key) = copied(&app).await;
    let options = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
    let body = json!({"loginTicket": options["loginTicket"], "credential": key.get(&options["publicKey"])});
    for _ in 0..3 {
        let answer = app.client().post("/login/continue", &body).await;
        answer.expect_problem(401, "invalid_credentials");
    }
    let mailed = "SELECT COUNT(*) FROM mails WHERE kind = 'passkey_suspicious'";
    assert_eq!(app.count(mailed).await, 1);
    eventually("the log says so", LOGGED_WITHIN, async || logged(&app, 1)).await;
    app.expect_log("factor.refused").await;
    assert_eq!(app.logs().matches("factor.refused").count(), 1, "one line a minute");
    let metrics = app.client().get("/metrics").await.text;
    assert!(metrics.contains("auth_security_events_total{event=\"factor.refused\"} 3"), "{metrics}");
}

async fn a_passkey_is_a_second_factor_too(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app, "Ada").await;
    let mut key = Authenticator::new(ORIGIN);
    register(&device, &mut key).await;
    let answer = app.client().login(&ada).await.expect_problem(401, "second_factor_required");
    assert_eq!(answer.json["methods"], json!(["passkey"]));
    let ticket = answer.json["loginTicket"].clone();
    let options =
        app.client().post("/passkeys/login/options", &json!({"loginTicket": ticket})).await.expect(200).json;
    let body = json!({"loginTicket": options["loginTicket"], "credential": key.get(&options["publicKey"])});
    let answer = app.client().post("/login/continue", &body).await.expect(200);
    let mut device = app.client();
    device.access = answer.json["accessToken"].as_str().map(str::to_owned);
    assert_eq!(device.claims()["amr"], json!(["pwd", "hwk", "user", "mfa"]));
    // What goes on with one login is spent with it.
    let again = app.client().post("/passkeys/login/options", &json!({"loginTicket": ticket})).await;
    again.expect_problem(401, "login_ticket_invalid");
    let body = json!({"loginTicket": ticket, "credential": key.get(&options["publicKey"])});
    app.client().post("/login/continue", &body).await.expect_problem(401, "login_ticket_invalid");
    // A change of the credentials ends it as well.
    let answer = app.client().login(&ada).await.expect_problem(401, "second_factor_required");
    app.execute("UPDATE users SET credentials_changed_at = 1").await;
    let outdated = json!({"loginTicket": answer.json["loginTicket"]});
    let answer = app.client().post("/passkeys/login/options", &outdated).await;
    answer.expect_problem(401, "login_ticket_invalid");
}

async fn a_passkey_is_set_up_on_the_way_in(db: Database) {
    let app = setup(db).await.set("SECOND_FACTOR_ROLES", "PRO").start().await;
    let (ada, _) = somebody(&app, "Ada").await;
    app.execute("UPDATE users SET role = 'PRO'").await;
    for has_request_id in [false, true] {
        let answer = app.client().login(&ada).await.expect_problem(403, "second_factor_enrolment_required");
        assert_eq!(answer.json["methods"], json!(["totp", "passkey"]));
        let ticket = answer.json["loginTicket"].clone();
        let options =
            app.client().post("/passkeys/options", &json!({"loginTicket": ticket})).await.expect(200).json;
        let mut key = Authenticator::new(ORIGIN);
        let mut body = json!({"loginTicket": ticket, "credential": key.create(&options["publicKey"])});
        if has_request_id {
            body["requestId"] = options["requestId"].clone();
        }
        let answer = app.client().post("/login/continue", &body).await.expect(200);
        assert_eq!(answer.json["recoveryCodes"].as_array().unwrap().len(), 10);
        try_sign_in(&app, &mut key).await.expect(200);
        app.execute("DELETE FROM passkeys").await;
        app.execute("UPDATE users SET factors = 0").await;
    }
}

#[tokio::test]
async fn a_site_that_does_not_cover_its_origins_is_refused_at_start() {
    let setup = setup(Database::Sqlite).await.set("WEBAUTHN_ORIGINS", "https://example.org");
    let ended = setup.run().await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert!(ended.output.contains("WEBAUTHN_RP_ID"), "{}", ended.output);
}
