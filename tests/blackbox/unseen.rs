//! Names of which nothing is to be seen, or which turn around what stands beside them: no list may show one.

use reqwest::Method;
use serde_json::{Value, json};

use super::admin_users::operated;
use crate::support::answer::members;
use crate::support::authenticator::Authenticator;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

const ORIGIN: &str = "https://app.example.com";
/// Invisible characters, fillers, and controls of direction without their other half.
const UNSEEN: [&str; 12] = [
    "\u{200b}",
    "\u{2800}",
    "\u{3164}",
    "\u{ffa0}",
    "\u{115f}\u{1160}",
    "\u{202e}",
    "Ada\u{202e}gnp.exe",
    "Ada\u{2066}",
    "\u{2067}Ada",
    "Ada\u{2068}\u{2068}\u{2069}",
    "Ada\u{2069}",
    " \u{feff}\u{2060} ",
];

#[track_caller]
fn expect_refused(answer: Answer, field: &str, unseen: &str) {
    let answer = answer.expect_problem(422, "validation_failed");
    assert_eq!(answer.fields(), [field], "{unseen:?}: {answer}");
}

async fn app() -> (TestApp, Client) {
    let setup = Setup::on(Database::Sqlite)
        .await
        .set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef")
        .set("WEBAUTHN_RP_ID", "example.com")
        .set("WEBAUTHN_ORIGINS", ORIGIN);
    operated(setup).await
}

/// Registers a passkey of that name.
async fn passkey(device: &Client, name: &str) -> Answer {
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let credential = Authenticator::synced(ORIGIN).create(&options["publicKey"]);
    let body = json!({"requestId": options["requestId"], "credential": credential, "name": name});
    device.post("/passkeys", &body).await
}

#[tokio::test]
async fn no_name_may_be_unseen() {
    let (app, operator) = app().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    let user = device.signup(&ada).await.expect(201).uuid("/user/id").to_string();
    let key = passkey(&device, "Phone").await.expect(201).json["passkey"]["id"].clone();
    let key = format!("/passkeys/{}", key.as_str().unwrap());
    let user = format!("/admin/users/{user}");
    let patch = async |client: &Client, path: &str, body: &Value| {
        client.send(client.request(Method::PATCH, path).header("If-Match", "*").json(body)).await
    };
    for unseen in UNSEEN {
        let name = json!({"name": unseen});
        let signup = |field: &str| {
            let mut body = Person::named("Eve").registration();
            body[field] = json!(unseen);
            body
        };
        let mut login = ada.credentials();
        login["deviceName"] = json!(unseen);
        expect_refused(app.client().signup_with(&signup("name")).await, "name", unseen);
        expect_refused(app.client().signup_with(&signup("deviceName")).await, "deviceName", unseen);
        expect_refused(app.client().login_with(&login).await, "deviceName", unseen);
        expect_refused(patch(&device, "/me", &name).await, "name", unseen);
        expect_refused(patch(&device, &key, &name).await, "name", unseen);
        expect_refused(passkey(&device, unseen).await, "name", unseen);
        let new = json!({"name": unseen, "email": "eve@example.com"});
        expect_refused(operator.post("/admin/users", &new).await, "name", unseen);
        expect_refused(patch(&operator, &user, &name).await, "name", unseen);
    }
    assert_eq!(device.me().await.expect(200).json["user"]["name"], "Ada");
}

/// Names of other scripts need some of these characters.
#[tokio::test]
async fn names_of_every_script_are_kept_as_they_are() {
    let (app, operator) = app().await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    for name in [
        "نامه\u{200c}ای",
        "ක්\u{200d}ෂණ",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{2067}עדה\u{2069} Lovelace",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    ] {
        let renamed = device.request(Method::PATCH, "/me").json(&json!({"name": name}));
        let renamed = device.send(renamed).await.expect(200);
        assert_eq!(renamed.json["user"]["name"], name);
        assert_eq!(passkey(&device, name).await.expect(201).json["passkey"]["name"], name);
    }
    let shown = operator.get("/admin/users").await.expect(200);
    assert!(members(&shown.json["users"][0]).contains(&"name"), "{shown}");
}
