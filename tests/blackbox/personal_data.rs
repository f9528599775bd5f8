//! The person's own data: exporting everything stored about them, and deleting it.

use std::time::Duration;

use futures_util::future::join;
use reqwest::Method;
use serde_json::json;

use super::mail::with_mail;
use crate::support::answer::members;
use crate::support::authenticator::Authenticator;
use crate::support::time::unix_millis;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database, timestamp};

on_each_database!(
    what_is_stored_is_handed_out,
    mails_and_what_waits_are_handed_out,
    an_account_is_deleted_by_its_person,
    days_of_grace_end_with_a_sign_in_or_the_account,
    the_last_administrator_stays,
    of_two_administrators_who_go_at_the_same_time_one_stays,
);

const ORIGIN: &str = "https://app.example.com";

async fn what_is_stored_is_handed_out(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    device.signup(&ada).await.expect(201);
    let mut other = app.client();
    other.login(&ada).await.expect(200);
    other.logout().await.expect(204);
    let data = device.get("/me/export").await.expect(200);
    assert_eq!(data.json["account"]["user"]["email"], ada.email.as_str());
    assert_eq!(data.json["factors"]["password"], true);
    let sessions = data.json["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let ended = sessions.iter().find(|session| session["id"] == other.session_id.as_str()).unwrap();
    assert_eq!(ended["endReason"], "logout");
    assert!(ended["forgottenAt"].is_string());
    for secret in ["$2", "stk", "eyJ", "token"] {
        assert!(!data.json.to_string().contains(secret), "{secret} in {data}");
    }
    assert_eq!(
        members(&data.json["account"]),
        [
            "credentialsChangedAt",
            "deleteAt",
            "disabledAt",
            "forgottenAt",
            "locale",
            "passwordChangeRequired",
            "policy",
            "user",
        ]
    );
    assert_eq!(
        members(ended),
        [
            "amr",
            "authenticatedAt",
            "createdAt",
            "deviceInfo",
            "endReason",
            "endedAt",
            "endedBySessionId",
            "expiresAt",
            "forgottenAt",
            "id",
            "ipAddress",
            "lastActivity",
            "refreshTokenDelivery",
            "refreshedAt",
            "remember",
            "sessionTimeoutMinutes",
        ]
    );
    assert_eq!((&ended["amr"], &ended["sessionTimeoutMinutes"]), (&json!(["pwd"]), &json!(5.0)));
    assert!(ended["deviceInfo"]["deviceType"].is_string(), "{ended}");
    // Nobody deletes an account where that is not set up.
    device.send(device.request(Method::DELETE, "/me")).await.expect_problem(404, "not_found");
    device.session().await.expect(200);
}

async fn mails_and_what_waits_are_handed_out(db: Database) {
    let (setup, server) = with_mail(db).await;
    let setup = setup.set("WEBAUTHN_RP_ID", "example.com").set("WEBAUTHN_ORIGINS", ORIGIN);
    let app = setup.set("REQUIRE_VERIFIED_EMAIL", true).start().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    let asked = app.client().signup(&ada).await.expect(202).json;
    let code = server.mail(&ada.email, 1).await.code();
    let body = json!({"requestId": asked["requestId"], "code": code});
    device.send_and_keep("/signup/confirm", &body).await.expect(201);
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let credential = Authenticator::synced(ORIGIN).create(&options["publicKey"]);
    let body = json!({"requestId": options["requestId"], "credential": credential});
    device.post("/passkeys", &body).await.expect(201);
    server.mail_about(&ada.email, "second factor was added").await;
    // Somebody signs up with the address once more.
    app.client().signup(&Person { name: "Eve".to_owned(), ..ada.clone() }).await.expect(202);

    let data = device.get("/me/export").await.expect(200);
    let passkey = &data.json["factors"]["passkeys"][0];
    assert_eq!((&passkey["synced"], &passkey["transports"]), (&json!(true), &json!(["hybrid", "internal"])));
    assert!(passkey["counter"].is_number(), "{passkey}");
    let mails = data.json["mails"].as_array().unwrap();
    let added = mails.iter().find(|mail| mail["kind"] == "factor_added").unwrap();
    assert_eq!(
        (&added["params"]["factor"], &added["params"]["ip"]),
        (&json!("passkey"), &json!("127.0.0.1"))
    );
    assert!(added["forgottenAt"].is_string() && added.get("requestId").is_none(), "{added}");
    let waiting = &data.json["codeRequests"][0]["waiting"];
    assert_eq!(waiting, &json!({"name": "Eve", "deviceName": null, "locale": null}), "{data}");
    for secret in ["$2", "eyJ", "hash"] {
        assert!(!data.json.to_string().contains(secret), "{secret} in {data}");
    }
}

async fn an_account_is_deleted_by_its_person(db: Database) {
    let app = Setup::on(db).await.set("ACCOUNT_DELETION_DAYS", 0).start().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    device.signup(&ada).await.expect(201);
    let mut other = app.client();
    other.login(&ada).await.expect(200);
    let config = device.get("/config").await.expect(200);
    assert_eq!(config.json["features"], json!(["account_deletion"]));
    device.send(device.request(Method::DELETE, "/me")).await.expect(204);
    for session in [&device, &other] {
        session.session().await.expect_problem(401, "session_terminated");
    }
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    // The address is free again.
    app.client().signup(&ada).await.expect(201);
}

async fn the_last_administrator_stays(db: Database) {
    let setup = Setup::on(db).await.set("ACCOUNT_DELETION_DAYS", 0);
    let create = ["user", "create", "root@example.com", "--name", "Root", "--role", "ADMIN"];
    let root = Person { email: "root@example.com".to_owned(), ..Person::named("Root") };
    setup.command(&["migrate"]).await.expect_code(0);
    setup.command_with_input(&create, &format!("{}\n", root.password)).await.expect_code(0);
    let app = setup.start().await;
    let mut device = app.client();
    device.login(&root).await.expect(200);
    device.send(device.request(Method::DELETE, "/me")).await.expect_problem(409, "last_admin");
    device.session().await.expect(200);
    // An administrator who is deleted, to be deleted, or disabled does not count as remaining.
    let ada = Person::named("Ada");
    for gone in ["deleted_at", "delete_at", "disabled_at"] {
        let mut other = app.client();
        other.signup(&Person { email: format!("{gone}@example.com"), ..ada.clone() }).await.expect(201);
        let rest = "role = 'ADMIN', email = id WHERE email LIKE '%at@example.com'";
        let rest =
            if db == Database::Postgres { rest.replace("= id", "= id::text") } else { rest.to_owned() };
        app.execute(&format!("UPDATE users SET {gone} = 9000000000000, {rest}")).await;
    }
    device.send(device.request(Method::DELETE, "/me")).await.expect_problem(409, "last_admin");

    // A mark that a crash has left behind deletes nobody either: the person who is due after them goes.
    app.client().signup(&ada).await.expect(201);
    app.execute(&format!("UPDATE users SET delete_at = 2 WHERE email = '{}'", ada.email)).await;
    app.execute("UPDATE users SET delete_at = 1 WHERE email = 'root@example.com'").await;
    eventually("the other account is deleted", Duration::from_secs(30), async || {
        let query = format!("SELECT COUNT(*) FROM users WHERE email = '{}'", ada.email);
        if app.count(&query).await == 0 { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    device.session().await.expect(200);
}

/// Requests the deletion; returns when the account will be deleted.
async fn ask_for_deletion(device: &Client) -> i64 {
    let asked = device.send(device.request(Method::DELETE, "/me")).await.expect(202).expect_cookie_cleared();
    assert_eq!(members(&asked.json), ["deleteAt"]);
    timestamp(&asked.json["deleteAt"]).timestamp_millis()
}

async fn days_of_grace_end_with_a_sign_in_or_the_account(db: Database) {
    let (setup, server) = with_mail(db).await;
    let app = setup.set("ACCOUNT_DELETION_DAYS", 7).start().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    device.signup(&ada).await.expect(201);
    let mut other = app.client();
    other.login(&ada).await.expect(200);
    let features = device.get("/config").await.expect(200).json["features"].clone();
    assert!(features.as_array().unwrap().contains(&json!("account_deletion")));

    let before = unix_millis();
    let delete_at = ask_for_deletion(&device).await;
    let days = (delete_at - before) as f64 / 86_400_000.0;
    assert!((7.0..7.01).contains(&days), "{days}");
    for session in [&mut device, &mut other] {
        session.session().await.expect_problem(401, "session_terminated");
        session.refresh().await.expect_problem(401, "session_terminated");
    }
    let mail = server.mail_about(&ada.email, "will be deleted").await;
    assert!(mail.text.contains("sign in before then"), "{}", mail.text);

    // Signing in keeps the account.
    device.login(&ada).await.expect(200);
    app.execute("UPDATE users SET delete_at = 1 WHERE delete_at IS NOT NULL").await;
    assert_eq!(app.count("SELECT COUNT(*) FROM users WHERE delete_at IS NOT NULL").await, 0);

    ask_for_deletion(&device).await;
    app.execute("UPDATE users SET delete_at = 1 WHERE delete_at IS NOT NULL").await;
    eventually("the account is deleted", Duration::from_secs(30), async || {
        match app.count("SELECT COUNT(*) FROM users WHERE deleted_at IS NULL").await {
            0 => Ok(()),
            left => Err(format!("{left} left")),
        }
    })
    .await;
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    // The address is free again.
    app.client().signup(&ada).await.expect(201);
}

async fn of_two_administrators_who_go_at_the_same_time_one_stays(db: Database) {
    for days in ["0", "7"] {
        let app = Setup::on(db).await.set("ACCOUNT_DELETION_DAYS", days).start().await;
        for round in 0..10 {
            let mut devices = Vec::new();
            for name in ["Ada", "Bob"] {
                let mut device = app.client();
                device.signup(&Person::named(&format!("{name}{round}"))).await.expect(201);
                devices.push(device);
            }
            let these = format!("email LIKE '%{round}@example.com'");
            app.execute("UPDATE users SET role = 'STARTER'").await;
            app.execute(&format!("UPDATE users SET role = 'ADMIN' WHERE {these}")).await;
            // A new token reflects it.
            for device in &mut devices {
                app.execute("UPDATE users SET session_version = session_version + 1").await;
                device.refresh().await.expect(200);
            }
            let go = |device: &Client| device.request(Method::DELETE, "/me");
            let (one, other) = join(devices[0].send(go(&devices[0])), devices[1].send(go(&devices[1]))).await;
            let answers = [one.status, other.status];
            let gone = answers.iter().filter(|status| [202, 204].contains(*status)).count();
            let stayed = answers.iter().filter(|status| **status == 409).count();
            assert!(gone <= 1 && gone + stayed == 2, "{answers:?}");
            let left = format!(
                "SELECT COUNT(*) FROM users WHERE role = 'ADMIN' AND deleted_at IS NULL AND delete_at IS NULL AND {these}"
            );
            assert_eq!(app.count(&left).await, if gone == 1 { 1 } else { 2 }, "{answers:?}");
        }
    }
}
