//! Signing in with a second factor: `/factors`, the steps of `/login` and `/login/continue`.

use serde_json::{Value, json};

use crate::support::answer::members;
use crate::support::app::REFRESH_SECRET;
use crate::support::authenticator::App;
use crate::support::time::unix_millis;
use crate::support::token::Token;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(
    an_app_is_set_up_confirmed_used_and_removed,
    a_code_is_good_once_and_in_its_order,
    a_recovery_code_is_good_once,
    a_ticket_is_good_once_and_for_its_step,
    a_change_of_credentials_ends_a_ticket,
    wrong_codes_are_limited_over_all_addresses,
    recovery_codes_are_limited_by_address,
    a_hundred_wrong_codes_block_the_app_until_a_recovery_code,
    a_role_that_must_have_a_second_factor_sets_one_up_on_the_way_in,
    a_password_alone_is_no_fresh_proof_for_who_has_a_second_factor,
    a_password_that_must_change_is_changed_on_the_way_in,
    a_user_at_the_limit_chooses_which_sessions_end,
    a_deleted_account_leaves_no_factor_behind,
);

const SECRET: &str = "encryption-secret-of-the-tests-0123456789abcdef";

async fn setup(db: Database) -> Setup {
    Setup::on(db).await.set("ENCRYPTION_SECRET", SECRET)
}

/// Sets up an app, and confirms it by the code of the previous step, so that the current one is still unused.
async fn set_up(app: &TestApp, device: &Client) -> (App, Vec<String>) {
    let answer = device.post("/factors/totp", &json!({})).await.expect(201);
    assert_eq!(members(&answer.json), ["expiresIn", "otpauthUri", "secret"]);
    assert_eq!(answer.json["expiresIn"], 600);
    let secret = answer.json["secret"].as_str().unwrap();
    let uri = answer.json["otpauthUri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/auth-service:") && uri.contains(secret), "{uri}");
    let totp = App::with(secret);
    let answer = device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    let codes: Vec<_> = answer.json["recoveryCodes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(codes.len(), 10);
    // Instead of waiting, the test changes the stored time step.
    app.execute("UPDATE factors SET last_step = last_step - 10").await;
    (totp, codes)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn ticket(answer: &Answer) -> String {
    text(&answer.json["loginTicket"])
}

/// Logs in up to the second factor; returns the ticket.
async fn asked(app: &TestApp, person: &Person) -> String {
    let answer = app.client().login(person).await.expect_problem(401, "second_factor_required");
    assert_eq!(answer.json["expiresIn"], 600);
    assert!(answer.json.get("accessToken").is_none() && answer.set_cookie().is_none(), "{answer}");
    ticket(&answer)
}

async fn go_on(app: &TestApp, ticket: &str, member: &str, value: &str) -> Answer {
    app.client().post("/login/continue", &json!({"loginTicket": ticket, member: value})).await
}

async fn somebody(app: &TestApp) -> (Person, Client) {
    let ada = Person::named("Ada");
    let device = app.devices(&ada, 1).await.remove(0);
    (ada, device)
}

async fn an_app_is_set_up_confirmed_used_and_removed(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, mut device) = somebody(&app).await;
    let none = json!({"password": true, "totp": null, "recoveryCodes": null, "passkeys": []});
    assert_eq!(device.get("/factors").await.expect(200).json, none);

    let (totp, _) = set_up(&app, &device).await;
    let factors = device.get("/factors").await.expect(200).json;
    assert_eq!(factors["recoveryCodes"], json!({"left": 10}));
    assert_eq!(members(&factors["totp"]), ["addedAt", "lastUsedAt"]);

    // Confirming the factor also presented it: the session counts as signed in with it.
    device.refresh().await.expect(200);
    let claims = device.claims();
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("aal2"), &json!(["pwd", "otp", "mfa"])));

    let ticket = asked(&app, &ada).await;
    let answer = go_on(&app, &ticket, "code", &totp.code(0)).await.expect(200);
    assert!(answer.set_cookie().is_some() && answer.json["user"]["email"] == ada.email, "{answer}");

    device.send(device.request(reqwest::Method::DELETE, "/factors/totp")).await.expect(204);
    assert_eq!(device.get("/factors").await.expect(200).json, none);
    app.client().login(&ada).await.expect(200);
    device
        .send(device.request(reqwest::Method::DELETE, "/factors/totp"))
        .await
        .expect_problem(404, "not_found");
}

async fn a_code_is_good_once_and_in_its_order(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let (totp, _) = set_up(&app, &device).await;
    let bob = Person::named("Bob");
    let other = app.devices(&bob, 1).await.remove(0);
    let (other, _) = set_up(&app, &other).await;

    for wrong in [totp.wrong_code(), totp.code(-3), totp.code(2), other.code(0), "000".into(), String::new()]
    {
        let ticket = asked(&app, &ada).await;
        let answer = go_on(&app, &ticket, "code", &wrong).await.expect_problem(422, "validation_failed");
        assert_eq!(answer.json["errors"][0]["code"], "invalid", "{answer}");
        assert_eq!(answer.fields(), ["code"], "{answer}");
    }
    let code = totp.code(0);
    let first = asked(&app, &ada).await;
    go_on(&app, &first, "code", &code).await.expect(200);
    // The code is used up, and the one before it too.
    for used in [code, totp.code(-1)] {
        let ticket = asked(&app, &ada).await;
        go_on(&app, &ticket, "code", &used).await.expect_problem(422, "validation_failed");
    }
}

async fn a_recovery_code_is_good_once(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let (_, codes) = set_up(&app, &device).await;
    let ticket = asked(&app, &ada).await;
    go_on(&app, &ticket, "recoveryCode", "aaaaaa-aaaaaa-aaaaaa-aaaaaa")
        .await
        .expect_problem(422, "validation_failed");
    let answer =
        go_on(&app, &ticket, "recoveryCode", &codes[0].to_uppercase().replace('-', " ")).await.expect(200);
    let claims =
        Token::open(answer.json["accessToken"].as_str().unwrap(), crate::support::app::ACCESS_SECRET).claims;
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("aal2"), &json!(["pwd", "mfa", "rcv"])));
    let ticket = asked(&app, &ada).await;
    go_on(&app, &ticket, "recoveryCode", &codes[0]).await.expect_problem(422, "validation_failed");
    assert_eq!(device.get("/factors").await.json["recoveryCodes"]["left"], 9);

    let new = device.post("/factors/recovery-codes", &json!({})).await.expect(201);
    assert_eq!(new.json["recoveryCodes"].as_array().unwrap().len(), 10);
    go_on(&app, &ticket, "recoveryCode", &codes[1]).await.expect_problem(422, "validation_failed");
    go_on(&app, &ticket, "recoveryCode", &text(&new.json["recoveryCodes"][3])).await.expect(200);
}

async fn a_ticket_is_good_once_and_for_its_step(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let (_, codes) = set_up(&app, &device).await;
    let ticket = asked(&app, &ada).await;
    let given = Token::open(&ticket, REFRESH_SECRET);
    assert_eq!(given.header.typ.as_deref(), Some("login+jwt"));
    let lifetime = given.claims["exp"].as_i64().unwrap() - given.claims["iat"].as_i64().unwrap();
    assert_eq!(lifetime, 600);
    go_on(&app, &ticket, "recoveryCode", &codes[0]).await.expect(200);
    go_on(&app, &ticket, "recoveryCode", &codes[1]).await.expect_problem(401, "login_ticket_invalid");
    assert_eq!(
        device.get("/factors").await.json["recoveryCodes"]["left"],
        9,
        "a spent ticket uses nothing up"
    );

    let ticket = asked(&app, &ada).await;
    for (member, value) in [
        ("newPassword", json!("a new password of hers")),
        ("endSessionIds", json!([])),
        ("emailCode", json!("12345678")),
    ] {
        let body = json!({"loginTicket": ticket, member: value});
        let answer = app.client().post("/login/continue", &body).await;
        assert!([401, 422].contains(&answer.status), "{answer}");
    }
    for path in ["/factors/totp", "/passkeys/options"] {
        let answer = app.client().post(path, &json!({"loginTicket": ticket})).await;
        assert!([401, 404].contains(&answer.status), "{answer}");
    }
    // A ticket presented as another kind of token, and other tokens presented as a ticket.
    let mut bearer = app.client();
    bearer.access = Some(ticket.clone());
    bearer.me().await.expect_problem(401, "token_invalid");
    app.client()
        .post("/refresh", &json!({"refreshToken": ticket}))
        .await
        .expect_problem(401, "refresh_token_invalid");
    let given = Token::open(&ticket, REFRESH_SECRET);
    let forged = [
        device.access.clone().unwrap(),
        device.cookie.clone().unwrap(),
        given.with_header(|header| header.typ = Some("JWT".into())).sign(REFRESH_SECRET),
        given.sign("another-secret-of-the-tests-0123456789abcdef"),
        given.with("exp", unix_millis() / 1000 - 1).sign(REFRESH_SECRET),
        given.with("exp", unix_millis() / 1000 + 3600).sign(REFRESH_SECRET),
        String::new(),
    ];
    for forged in &forged {
        go_on(&app, forged, "recoveryCode", &codes[2]).await.expect_problem(401, "login_ticket_invalid");
    }
    let answer = app.client().post("/login/continue", &json!({})).await;
    assert_eq!(answer.expect_problem(422, "validation_failed").fields(), ["loginTicket"]);
    go_on(&app, &ticket, "recoveryCode", &codes[2]).await.expect(200);
}

async fn a_change_of_credentials_ends_a_ticket(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let (_, codes) = set_up(&app, &device).await;
    let before = asked(&app, &ada).await;
    let body = json!({"currentPassword": ada.password, "newPassword": "another password of hers", "endOtherSessions": false});
    let mut device = device;
    device.send_and_keep("/password/change", &body).await.expect(200);
    go_on(&app, &before, "recoveryCode", &codes[0]).await.expect_problem(401, "login_ticket_invalid");

    let ada = Person { password: "another password of hers".to_owned(), ..ada };
    let before = asked(&app, &ada).await;
    let (_, codes) = set_up(&app, &device).await;
    go_on(&app, &before, "recoveryCode", &codes[0]).await.expect_problem(401, "login_ticket_invalid");
    let ticket = asked(&app, &ada).await;
    go_on(&app, &ticket, "recoveryCode", &codes[0]).await.expect(200);
}

async fn wrong_codes_are_limited_over_all_addresses(db: Database) {
    let setup = setup(db).await.set("RATE_LIMIT_ENABLED", true).set("RATE_LIMIT_CODE_FAILURES_PER_HOUR", 3);
    let app = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let (ada, device) = somebody(&app).await;
    let (totp, codes) = set_up(&app, &device).await;
    let ticket = asked(&app, &ada).await;
    let guess = async |number: usize, code: String| {
        let client = app.client();
        let request = client.request(reqwest::Method::POST, "/login/continue");
        let request = request.header("x-forwarded-for", format!("203.0.113.{number}"));
        client.send(request.json(&json!({"loginTicket": ticket, "code": code}))).await
    };
    for number in 0..3 {
        guess(number, totp.wrong_code()).await.expect_problem(422, "validation_failed");
    }
    for code in [totp.wrong_code(), totp.code(0)] {
        guess(9, code).await.expect_problem(429, "rate_limited");
    }
    app.expect_log("rate_limit.hit").await;
    let (logs, id) = (app.logs(), device.me().await.expect(200).uuid("/user/id"));
    let hit = logs.lines().find(|line| line.contains("rate_limit.hit")).unwrap();
    assert!(hit.contains(&format!("\"user_id\":\"{id}\"")), "{hit}");
    // Recovery codes are not counted.
    go_on(&app, &ticket, "recoveryCode", "x").await.expect_problem(422, "validation_failed");
    go_on(&app, &ticket, "recoveryCode", &codes[0]).await.expect(200);
}

async fn recovery_codes_are_limited_by_address(db: Database) {
    let setup = setup(db).await.set("RATE_LIMIT_ENABLED", true).set("RATE_LIMIT_LOGIN_PER_MINUTE", 4);
    let app = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let (ada, device) = somebody(&app).await;
    let (_, codes) = set_up(&app, &device).await;
    let ticket = asked(&app, &ada).await;
    let guess = async |address: &str, code: &str| {
        let client = app.client();
        let request = client.request(reqwest::Method::POST, "/login/continue");
        let request = request.header("x-forwarded-for", address);
        client.send(request.json(&json!({"loginTicket": ticket, "recoveryCode": code}))).await
    };
    for _ in 0..4 {
        guess("203.0.113.1", "x").await.expect_problem(422, "validation_failed");
    }
    for code in ["x", &codes[0]] {
        guess("203.0.113.1", code).await.expect_problem(429, "rate_limited");
    }
    guess("203.0.113.2", &codes[0]).await.expect(200);
    app.expect_log("factor.refused").await;
    assert_eq!(app.logs().matches("factor.refused").count(), 1, "one line a minute");
}

async fn a_hundred_wrong_codes_block_the_app_until_a_recovery_code(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let (totp, codes) = set_up(&app, &device).await;
    let ticket = asked(&app, &ada).await;
    for _ in 0..100 {
        go_on(&app, &ticket, "code", &totp.wrong_code()).await.expect_problem(422, "validation_failed");
    }
    for code in [totp.wrong_code(), totp.code(0)] {
        let answer = go_on(&app, &ticket, "code", &code).await.expect_problem(403, "factor_blocked");
        assert_eq!(answer.json["methods"], json!(["recovery_code"]));
    }
    go_on(&app, &ticket, "recoveryCode", &codes[0]).await.expect(200);
    let ticket = asked(&app, &ada).await;
    go_on(&app, &ticket, "code", &totp.code(0)).await.expect(200);
}

async fn a_role_that_must_have_a_second_factor_sets_one_up_on_the_way_in(db: Database) {
    let app = setup(db).await.set("SECOND_FACTOR_ROLES", "PRO").start().await;
    let (ada, _) = somebody(&app).await;
    app.execute("UPDATE users SET role = 'PRO'").await;
    let answer = app.client().login(&ada).await.expect_problem(403, "second_factor_enrolment_required");
    assert_eq!(answer.json["methods"], json!(["totp"]));
    let ticket = ticket(&answer);
    let made = app.client().post("/factors/totp", &json!({"loginTicket": ticket})).await.expect(201);
    let totp = App::with(made.json["secret"].as_str().unwrap());
    go_on(&app, &ticket, "code", &totp.wrong_code()).await.expect_problem(422, "validation_failed");
    let answer = go_on(&app, &ticket, "code", &totp.code(0)).await.expect(200);
    let codes: Vec<_> = answer.json["recoveryCodes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(codes.len(), 10);
    // The time step is used up.
    let ticket = asked(&app, &ada).await;
    go_on(&app, &ticket, "code", &totp.code(0)).await.expect_problem(422, "validation_failed");
    let mut device = app.client();
    let body = json!({"loginTicket": ticket, "recoveryCode": codes[0]});
    device.send_and_keep("/login/continue", &body).await.expect(200);
    // The last factor cannot be removed.
    let answer = device.send(device.request(reqwest::Method::DELETE, "/factors/totp")).await;
    answer.expect_problem(409, "last_sign_in_method");
}

async fn a_password_alone_is_no_fresh_proof_for_who_has_a_second_factor(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    let mut other = app.client();
    other.login(&ada).await.expect(200);
    let (totp, codes) = set_up(&app, &device).await;
    let refused = other.post("/factors/recovery-codes", &json!({})).await;
    let refused = refused.expect_problem(401, "fresh_authentication_required");
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("insufficient_user_authentication"), "{refused}");
    assert!(challenge.contains("acr_values=\"aal2\""), "{refused}");

    let answer = other.post("/reauthenticate", &json!({"password": ada.password})).await;
    answer.expect_problem(401, "fresh_authentication_required");
    let answer = other.post("/reauthenticate", &json!({"code": totp.wrong_code()})).await;
    assert_eq!(answer.expect_problem(422, "validation_failed").fields(), ["code"]);
    let answer = other.post("/reauthenticate", &json!({"recoveryCode": "x"})).await;
    assert_eq!(answer.expect_problem(422, "validation_failed").fields(), ["recoveryCode"]);
    let answer = other.post("/reauthenticate", &json!({})).await;
    answer.expect_problem(422, "validation_failed");
    other.send_and_keep("/reauthenticate", &json!({"code": totp.code(0)})).await.expect(200);
    let claims = other.claims();
    assert_eq!((&claims["acr"], &claims["amr"]), (&json!("aal2"), &json!(["pwd", "otp", "mfa"])));
    other.post("/factors/recovery-codes", &json!({})).await.expect(201);
    let answer = other.post("/reauthenticate", &json!({"recoveryCode": codes[0]})).await;
    answer.expect_problem(422, "validation_failed");
}

async fn a_password_that_must_change_is_changed_on_the_way_in(db: Database) {
    let app = setup(db).await.start().await;
    let (ada, device) = somebody(&app).await;
    app.execute("UPDATE users SET password_change_required = TRUE").await;
    let answer = app.client().login(&ada).await.expect_problem(403, "password_change_required");
    let ticket = ticket(&answer);
    let answer = go_on(&app, &ticket, "newPassword", "short").await.expect_problem(422, "validation_failed");
    assert_eq!(answer.fields(), ["newPassword"]);
    go_on(&app, &ticket, "code", "123456").await.expect_problem(422, "validation_failed");
    go_on(&app, &ticket, "newPassword", "another password of hers").await.expect(200);
    device.session().await.expect_problem(401, "session_credentials_changed");
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    let ada = Person { password: "another password of hers".to_owned(), ..ada };
    app.client().login(&ada).await.expect(200);
    go_on(&app, &ticket, "newPassword", "yet another one of hers")
        .await
        .expect_problem(401, "login_ticket_invalid");
}

async fn a_user_at_the_limit_chooses_which_sessions_end(db: Database) {
    let setup = setup(db).await.set("MAX_SESSIONS_PER_USER", 2).set("MAX_SESSIONS_POLICY", "ask");
    let app = setup.start().await;
    let (ada, first) = somebody(&app).await;
    let mut second = app.client();
    second.login(&ada).await.expect(200);
    let answer = app.client().login(&ada).await.expect_problem(409, "session_limit_reached");
    assert_eq!(answer.json["maxSessions"], 2);
    let shown: Vec<_> =
        answer.json["sessions"].as_array().unwrap().iter().map(|it| text(&it["id"])).collect();
    assert_eq!(shown, [second.session_id.clone(), first.session_id.clone()]);
    assert!(answer.json["sessions"].as_array().unwrap().iter().all(|it| it["current"] == false), "{answer}");
    let ticket = ticket(&answer);
    let choose = async |ids: Value| {
        let body = json!({"loginTicket": ticket, "endSessionIds": ids});
        app.client().post("/login/continue", &body).await
    };
    let stranger = uuid::Uuid::new_v4().to_string();
    for wrong in [json!([stranger]), json!(["x"]), json!([first.session_id, stranger])] {
        assert_eq!(choose(wrong).await.expect_problem(422, "validation_failed").fields(), ["endSessionIds"]);
    }
    choose(Value::Null).await.expect_problem(422, "validation_failed");
    // Too few were chosen, and nothing has ended.
    let again = choose(json!([])).await.expect_problem(409, "session_limit_reached");
    assert_eq!(text(&again.json["loginTicket"]), ticket);
    first.session().await.expect(200);
    let answer = choose(json!([first.session_id])).await.expect(200);
    assert_eq!(answer.json["evictedSessionIds"], json!([]));
    first.session().await.expect_problem(401, "session_terminated");
    second.session().await.expect(200);
    choose(json!([second.session_id])).await.expect_problem(401, "login_ticket_invalid");

    // A session that has ended since the list was sent counts as chosen.
    let answer = app.client().login(&ada).await.expect_problem(409, "session_limit_reached");
    let later = self::ticket(&answer);
    let ended = second.session_id.clone();
    second.logout().await.expect(204);
    let body = json!({"loginTicket": later, "endSessionIds": [ended]});
    app.client().post("/login/continue", &body).await.expect(200);
}

#[tokio::test]
async fn without_a_secret_there_is_nothing_of_it() {
    let app = TestApp::start().await;
    let (_, device) = somebody(&app).await;
    for (method, path) in [
        ("GET", "/factors"),
        ("POST", "/factors/totp"),
        ("DELETE", "/factors/totp"),
        ("POST", "/factors/recovery-codes"),
        ("POST", "/passkeys/options"),
        ("POST", "/passkeys/login/options"),
        ("DELETE", "/passkeys/x"),
        // Nor is there another method.
        ("PUT", "/factors"),
        ("GET", "/factors/totp"),
        ("GET", "/factors/totp/confirm"),
        ("GET", "/factors/recovery-codes"),
        ("GET", "/passkeys"),
        ("PUT", "/passkeys/options"),
        ("GET", "/passkeys/login/options"),
        ("POST", "/passkeys/x"),
    ] {
        let answer = device.send(device.request(method.parse().unwrap(), path)).await;
        answer.expect_problem(404, "not_found");
    }
}

async fn a_deleted_account_leaves_no_factor_behind(db: Database) {
    let setup = setup(db).await.set("ACCOUNT_DELETION_DAYS", 0);
    let app = setup.start().await;
    let (_, device) = somebody(&app).await;
    set_up(&app, &device).await;
    let (eve, mut bystander) = (Person::named("Eve"), app.client());
    bystander.signup(&eve).await.expect(201);
    set_up(&app, &bystander).await;
    device.send(device.request(reqwest::Method::DELETE, "/me")).await.expect(204);
    for (table, left) in [("factors", 1), ("recovery_codes", 10), ("passkeys", 0)] {
        assert_eq!(app.count(&format!("SELECT count(*) FROM {table}")).await, left, "{table}");
    }
}
