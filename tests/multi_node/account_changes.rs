//! Devices and other services are notified of every change of an account, whichever node it was made on.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::authenticator::App;
use crate::support::smtp::MailServer;
use crate::support::{Client, Cluster, Connection, Person, Transport};

const NEW: &str = "a much better passphrase";

/// The next message about the account; endings of other sessions come before it.
async fn updated(connection: &mut Connection) -> (Vec<String>, Value) {
    let mut before = Vec::new();
    loop {
        let message = connection.message().await;
        if message["type"] == "user.updated" {
            assert_eq!(message["current"], true, "{message}");
            return (before, message["changed"].clone());
        }
        before.push(message["type"].as_str().unwrap().to_owned());
    }
}

async fn patch(operator: &Client, id: &str, body: Value) {
    let request = operator.request(Method::PATCH, &format!("/admin/users/{id}")).header("If-Match", "*");
    operator.send(request.json(&body)).await.expect(200);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn devices_and_services_hear_of_every_change_of_an_account() {
    let server = MailServer::start().await;
    let cluster = Cluster::of(2)
        .set("SMTP_URL", server.url())
        .set("MAIL_FROM", "no-reply@example.com")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
        .start()
        .await;
    let mut operator = cluster.client(1);
    operator.access = Some(cluster.setup(0).api_key(&["users:write", "users:read"]).await);
    let (ada, mut here) = (Person::named("Ada"), cluster.client(0));
    here.signup(&ada).await.expect(201);
    let id = here.claims()["sub"].as_str().unwrap().to_owned();
    let mut there = here.at(cluster.base(1));
    let mut devices = [
        Connection::open(Transport::Sse, &here).await,
        Connection::open(Transport::WebSocket, &here).await,
        Connection::open(Transport::Sse, &there).await,
    ];
    let mut told = Vec::new();
    let mut hear = async |changed: Value, by: &str, before: &[&str]| {
        for device in &mut devices {
            let heard = updated(device).await;
            assert_eq!(heard, (before.iter().map(ToString::to_string).collect(), changed.clone()));
        }
        told.push((changed, by.to_owned()));
    };

    let name = there.request(Method::PATCH, "/me").json(&json!({"name": "Ada King"}));
    there.send(name).await.expect(200);
    hear(json!(["name"]), "user", &[]).await;

    let code = server.mail(&ada.email, 1).await.code();
    let asked = there.post("/email/verification", &json!({})).await.expect(202).json;
    let second = server.mail(&ada.email, 2).await.code();
    assert_ne!(code, second);
    let body = json!({"requestId": asked["requestId"], "code": second});
    there.post("/email/verification/confirm", &body).await.expect(200);
    hear(json!(["emailVerified"]), "user", &[]).await;

    let asked = there.post("/email/change", &json!({"newEmail": "king@example.com"})).await.expect(202).json;
    let code = server.mail("king@example.com", 1).await.code();
    let body = json!({"requestId": asked["requestId"], "code": code});
    there.post("/email/change/confirm", &body).await.expect(200);
    hear(json!(["email"]), "user", &[]).await;

    let ada = Person { email: "king@example.com".to_owned(), ..ada };
    cluster.client(1).login(&ada).await.expect(200);
    let change = json!({"currentPassword": ada.password, "newPassword": NEW});
    there.send_and_keep("/password/change", &change).await.expect(200);
    hear(json!(["password"]), "user", &["session.created", "session.deleted"]).await;

    let secret = there.post("/factors/totp", &json!({})).await.expect(201).json["secret"].clone();
    let code = App::with(secret.as_str().unwrap()).code(0);
    there.post("/factors/totp/confirm", &json!({"code": code})).await.expect(200);
    hear(json!(["factors"]), "user", &[]).await;
    there.send(there.request(Method::DELETE, "/factors/totp")).await.expect(204);
    hear(json!(["factors"]), "user", &[]).await;

    patch(&operator, &id, json!({"name": "Ada", "role": "PRO"})).await;
    hear(json!(["name", "role"]), "operator", &[]).await;
    patch(&operator, &id, json!({"policy": {"maxSessions": 3}})).await;
    hear(json!(["policy"]), "operator", &[]).await;
    patch(&operator, &id, json!({"disabled": true})).await;
    for device in &mut devices {
        device.expect("session.terminated").await;
    }
    patch(&operator, &id, json!({"disabled": false})).await;
    told.extend([(json!(["disabled"]), "operator".to_owned()), (json!(["disabled"]), "operator".to_owned())]);

    cluster.all_is_published(Duration::from_secs(20)).await;
    let events = cluster.redis.events().await;
    let mine: Vec<_> = events.iter().filter(|event| event.text("userId") == id).collect();
    let updates: Vec<_> = mine.iter().filter(|event| event.channel == "auth:user.updated").collect();
    let heard: Vec<_> =
        updates.iter().map(|event| (event.data["changed"].clone(), event.text("by").to_owned())).collect();
    assert_eq!(heard, told, "services hear what devices hear");
    let with_email: Vec<_> = updates.iter().filter(|event| !event.text("email").is_empty()).collect();
    assert_eq!((with_email.len(), with_email[0].text("email")), (1, "king@example.com"));
    // Endings come first, then the change that caused them.
    for (place, event) in mine.iter().enumerate().filter(|(_, event)| event.channel == "auth:user.updated") {
        let ends = event.data["changed"] == json!(["password"])
            || (event.data["changed"] == json!(["disabled"]) && mine.len() > place + 1);
        if ends {
            let before = &mine[place - 1].channel;
            assert!(before == "auth:session.deleted" || before == "auth:session.terminated", "{before}");
        }
    }
}
