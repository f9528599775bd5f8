//! Mails that notify a person of what happened to the account, each stored together with the change.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::mail::with_mail;
use crate::support::authenticator::{App, Authenticator};
use crate::support::smtp::MailServer;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    factors_that_come_and_go_are_mailed,
    an_operator_who_removes_factors_is_not_named,
    a_stolen_refresh_token_is_mailed_once,
    a_copied_passkey_is_mailed,
    a_required_change_of_the_password_is_mailed,
    as_much_of_an_address_is_kept_as_is_asked_for,
);

const ORIGIN: &str = "https://app.example.com";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

async fn setup(db: Database) -> (Setup, MailServer) {
    let (setup, server) = with_mail(db).await;
    (setup.set("WEBAUTHN_RP_ID", "example.com").set("WEBAUTHN_ORIGINS", ORIGIN), server)
}

async fn somebody(app: &TestApp) -> (Person, Client) {
    let (ada, mut device) = (Person::named("Ada"), app.client().with_user_agent(FIREFOX));
    device.signup(&ada).await.expect(201);
    (ada, device)
}

async fn delete(device: &Client, path: &str) {
    device.send(device.request(Method::DELETE, path)).await.expect(204);
}

async fn set_totp_up(device: &Client) -> App {
    let secret = device.post("/factors/totp", &json!({})).await.expect(201).json["secret"].clone();
    let totp = App::with(secret.as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    totp
}

async fn add_passkey(device: &Client, key: &mut Authenticator) -> Value {
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let body = json!({"requestId": options["requestId"], "credential": key.create(&options["publicKey"])});
    device.post("/passkeys", &body).await.expect(201).json["passkey"]["id"].clone()
}

async fn factors_that_come_and_go_are_mailed(db: Database) {
    let (setup, server) = setup(db).await;
    let app = setup.start().await;
    let (ada, device) = somebody(&app).await;
    set_totp_up(&device).await;
    let mail = server.mail_about(&ada.email, "factor was added").await;
    assert!(mail.text.contains("An authenticator app was added"), "{}", mail.text);
    assert!(mail.text.contains("Device: Firefox, Linux") && mail.text.contains("Address: 127.0.0.1"));

    device.post("/factors/recovery-codes", &json!({})).await.expect(201);
    server.mail_about(&ada.email, "New recovery codes").await;
    let key = add_passkey(&device, &mut Authenticator::synced(ORIGIN)).await;
    eventually("the passkey is mailed", Duration::from_secs(10), async || {
        let mails = server.received(&ada.email);
        let told = mails.iter().any(|mail| mail.text.contains("A passkey was added"));
        if told { Ok(()) } else { Err(format!("{mails:?}")) }
    })
    .await;
    delete(&device, "/factors/totp").await;
    let mail = server.mail_about(&ada.email, "factor was removed").await;
    assert!(mail.text.contains("The authenticator app was removed"), "{}", mail.text);
    delete(&device, &format!("/passkeys/{}", key.as_str().unwrap())).await;
    eventually("the passkey is gone by mail too", Duration::from_secs(10), async || {
        let mails = server.received(&ada.email);
        let told = mails.iter().any(|mail| mail.text.contains("A passkey was removed"));
        if told { Ok(()) } else { Err(format!("{mails:?}")) }
    })
    .await;
    // A request that changed nothing causes no mail.
    device.send(device.request(Method::DELETE, "/factors/totp")).await.expect_problem(404, "not_found");
    let about = |subject: &str| {
        let mails = server.received(&ada.email);
        mails.iter().filter(|mail| mail.header("Subject").contains(subject)).count()
    };
    assert_eq!((about("factor was added"), about("factor was removed"), about("recovery codes")), (2, 2, 1));
}

async fn an_operator_who_removes_factors_is_not_named(db: Database) {
    let (setup, server) = setup(db).await;
    let key = setup.api_key(&["users:write"]).await;
    let app = setup.start().await;
    let (ada, device) = somebody(&app).await;
    device.send(device.request(Method::PATCH, "/me").json(&json!({"locale": "de"}))).await.expect(200);
    set_totp_up(&device).await;
    let mut operator = app.client().with_user_agent(FIREFOX);
    operator.access = Some(key);
    let id = device.claims()["sub"].as_str().unwrap().to_owned();
    delete(&operator, &format!("/admin/users/{id}/factors")).await;
    let mail = server.mail_about(&ada.email, "zweiten Faktoren").await;
    assert!(mail.text.contains("Die Betreiber") && !mail.text.contains("Firefox"), "{}", mail.text);
    assert!(!mail.text.contains("127.0.0.1"), "{}", mail.text);
}

async fn a_stolen_refresh_token_is_mailed_once(db: Database) {
    let (setup, server) = setup(db).await;
    let app = setup.start().await;
    let (ada, mut device) = somebody(&app).await;
    let stolen = device.cookie.clone().unwrap();
    device.refresh().await.expect(200);
    device.refresh().await.expect(200);
    for _ in 0..3 {
        device.send(device.cookie_refresh(&stolen)).await.expect_problem(401, "refresh_token_reused");
    }
    let mail = server.mail_about(&ada.email, "session").await;
    assert!(mail.text.contains("used again"), "{}", mail.text);
    // A later mail, so that a second notice would have arrived by then.
    app.client().post("/password/reset", &json!({"email": ada.email})).await.expect(202);
    server.mail_about(&ada.email, "Set a new password").await;
    let mails = server.received(&ada.email);
    assert_eq!(mails.iter().filter(|mail| mail.text.contains("used again")).count(), 1, "{mails:?}");
}

async fn a_copied_passkey_is_mailed(db: Database) {
    for (setting, status) in [("accept", 200), ("reject", 401)] {
        let (setup, server) = setup(db).await;
        let app =
            if setting == "reject" { setup.set("PASSKEY_COUNTER", setting) } else { setup }.start().await;
        let (ada, device) = somebody(&app).await;
        let mut key = Authenticator::new(ORIGIN);
        key.counter = 5;
        add_passkey(&device, &mut key).await;
        (key.counter, key.counts) = (3, 0);
        let options = app.client().post("/passkeys/login/options", &json!({})).await.expect(200).json;
        let credential = key.get(&options["publicKey"]);
        let body = json!({"loginTicket": options["loginTicket"], "credential": credential});
        app.client().post("/login/continue", &body).await.expect(status);
        server.mail_about(&ada.email, "may have been copied").await;
    }
}

async fn a_required_change_of_the_password_is_mailed(db: Database) {
    let (setup, server) = setup(db).await;
    let app = setup.start().await;
    let (ada, _) = somebody(&app).await;
    app.execute("UPDATE users SET password_change_required = TRUE").await;
    let ticket = app.client().login(&ada).await.expect_problem(403, "password_change_required").json;
    let body = json!({"loginTicket": ticket["loginTicket"], "newPassword": "another password of hers"});
    app.client().post("/login/continue", &body).await.expect(200);
    server.mail_about(&ada.email, "was changed").await;
}

async fn as_much_of_an_address_is_kept_as_is_asked_for(db: Database) {
    for (form, kept) in [
        ("full", json!(["203.0.113.7", "2001:db8:1:2::3"])),
        ("truncated", json!(["203.0.113.0", "2001:db8:1::"])),
        ("none", json!([null, null])),
    ] {
        let (setup, server) = setup(db).await;
        let setup = setup.set("TRUSTED_PROXIES", "127.0.0.0/8").set("IP_ADDRESSES", form);
        let key = setup.api_key(&["sessions:read"]).await;
        let app = setup.start().await;
        let ada = Person::named("Ada");
        let from = async |path: &str, address: &str, body: Value| {
            let client = app.client();
            let request = client.request(Method::POST, path).header("x-forwarded-for", address).json(&body);
            client.send(request).await
        };
        let first = from("/signup", "203.0.113.7", ada.registration()).await.expect(201);
        let second = from("/login", "2001:db8:1:2::3", ada.credentials()).await.expect(200);
        assert_eq!(json!([first.json["session"]["ipAddress"], second.json["session"]["ipAddress"]]), kept);

        let mut device = app.client();
        device.access = second.json["accessToken"].as_str().map(str::to_owned);
        let addresses = |sessions: &Value| {
            let mut found: Vec<_> =
                sessions.as_array().unwrap().iter().map(|it| it["ipAddress"].clone()).collect();
            found.sort_by_key(|address| std::cmp::Reverse(address.as_str().map(|it| !it.contains(':'))));
            Value::Array(found)
        };
        assert_eq!(addresses(&device.sessions().await.expect(200).json["sessions"]), kept);
        assert_eq!(addresses(&device.get("/me/export").await.expect(200).json["sessions"]), kept);
        let mut operator = app.client();
        operator.access = Some(key);
        assert_eq!(addresses(&operator.get("/admin/sessions").await.expect(200).json["sessions"]), kept);

        let change = json!({"currentPassword": ada.password, "newPassword": "a much better passphrase"});
        let request = device.request(Method::POST, "/password/change");
        let request = request.header("x-forwarded-for", "203.0.113.7").json(&change);
        device.send(request).await.expect(200);
        let mail = server.mail_about(&ada.email, "was changed").await;
        for (name, address) in [("full", "203.0.113.7"), ("truncated", "203.0.113.0")] {
            assert_eq!(mail.text.contains(address), form == name, "{form}: {}", mail.text);
        }
        let whole = "SELECT COUNT(*) FROM sessions WHERE ip_address IN ('203.0.113.7', '2001:db8:1:2::3')";
        assert_eq!(app.count(whole).await > 0, form == "full", "what is not kept is not stored");
    }
}
