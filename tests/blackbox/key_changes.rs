//! Keys and secrets are changed while people are signed in: nobody notices, as long as the old one is
//! configured.

use auth_service::config::JwtAlgorithm;
use auth_service::security::generate::private_key_pem;
use serde_json::Value;

use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::{Client, Connection, Database, Person, Setup, TestApp, Transport};

const NEW_ACCESS_SECRET: &str = "new-access-secret-of-the-tests-0123456789abcdef";
const NEW_REFRESH_SECRET: &str = "new-refresh-secret-of-the-tests-0123456789abcdef";

async fn somebody(app: &TestApp) -> Client {
    app.devices(&Person::named("Ada"), 1).await.remove(0)
}

async fn ticket(device: &Client) -> String {
    let answer = device.post("/events/ticket", &Value::Null).await.expect(201);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn secrets_change_and_nobody_notices() {
    let mut app = TestApp::start().await;
    let mut device = somebody(&app).await;
    let (first, before) = (device.clone(), ticket(&device).await);
    app.restart_with(&[
        ("JWT_ACCESS_SECRET", NEW_ACCESS_SECRET),
        ("JWT_REFRESH_SECRET", NEW_REFRESH_SECRET),
        ("JWT_PREVIOUS_ACCESS_SECRETS", ACCESS_SECRET),
        ("JWT_PREVIOUS_REFRESH_SECRETS", REFRESH_SECRET),
    ])
    .await;
    device.follow(app.base());
    device.session().await.expect(200);
    Connection::open_by(Transport::Sse, Transport::Sse.request_by(&device, &before)).await;
    device.refresh().await.expect(200);
    device.session().await.expect(200);
    let after = ticket(&device).await;

    // The old secrets are removed: tokens issued since the change are valid, and earlier ones are not.
    app.restart_with(&[("JWT_PREVIOUS_ACCESS_SECRETS", ""), ("JWT_PREVIOUS_REFRESH_SECRETS", "")]).await;
    device.follow(app.base());
    device.session().await.expect(200);
    Connection::open_by(Transport::Sse, Transport::Sse.request_by(&device, &after)).await;
    let mut old = first.at(app.base());
    old.session().await.expect_problem(401, "token_invalid");
    old.refresh().await.expect_problem(401, "refresh_token_invalid");
    device.refresh().await.expect(200);
}

/// Files end with a line end, some with that of Windows; what is listed as previous has none.
#[tokio::test]
async fn the_line_end_of_a_file_is_no_part_of_its_secret() {
    let setup = Setup::on(Database::Sqlite).await.unset("JWT_ACCESS_SECRET").unset("JWT_REFRESH_SECRET");
    let file = |name: &str, content: String| {
        let path = setup.data_dir().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let access = file("access", format!("{ACCESS_SECRET}\r\n"));
    let refresh = file("refresh", format!("{REFRESH_SECRET}\r\n"));
    let previous = file("previous", format!("{REFRESH_SECRET}\r\n"));
    let setup = setup.set("JWT_ACCESS_SECRET_FILE", access).set("JWT_REFRESH_SECRET_FILE", refresh);
    let mut app = setup.start().await;
    let mut device = somebody(&app).await;
    app.restart_with(&[
        ("JWT_ACCESS_SECRET_FILE", ""),
        ("JWT_REFRESH_SECRET_FILE", ""),
        ("JWT_ACCESS_SECRET", NEW_ACCESS_SECRET),
        ("JWT_REFRESH_SECRET", NEW_REFRESH_SECRET),
        ("JWT_PREVIOUS_ACCESS_SECRETS", &format!("{ACCESS_SECRET}\r\n")),
        ("JWT_PREVIOUS_REFRESH_SECRETS_FILE", &previous),
    ])
    .await;
    device.follow(app.base());
    device.session().await.expect(200);
    device.refresh().await.expect(200);
}

/// A secret with which other services verify access tokens must never sign refresh tokens.
#[tokio::test]
async fn no_secret_is_for_both_kinds_of_token() {
    let setup = Setup::in_production().await;
    let strong = ["9f2c7a51e08b4d6633c1a0f5be7d2894", "pV3kq9Zr1xW8mT5yB7nC2dF4gH6jL0sA"];
    let setup = setup.set("JWT_ACCESS_SECRET", strong[0]).set("JWT_REFRESH_SECRET", strong[1]);
    let ended = setup.set("JWT_PREVIOUS_REFRESH_SECRETS", strong[0]).run().await.expect_code(2);
    let ended = ended.expect_output("JWT_PREVIOUS_REFRESH_SECRETS: got a secret of 32 bytes");
    assert!(!ended.output.contains(strong[0]), "{}", ended.output);
}

#[tokio::test]
async fn key_files_change_and_nobody_notices() {
    let setup = Setup::on(Database::Sqlite).await;
    let file = |name: &str| {
        let path = setup.data_dir().join(name);
        std::fs::write(&path, private_key_pem(JwtAlgorithm::EdDSA).unwrap()).unwrap();
        path.display().to_string()
    };
    let (old, new) = (file("old.pem"), file("new.pem"));
    let mut app = setup.set("JWT_ALGORITHM", "EdDSA").set("JWT_PRIVATE_KEY_FILE", &old).start().await;
    let device = somebody(&app).await;
    app.restart_with(&[("JWT_PRIVATE_KEY_FILE", &new), ("JWT_PREVIOUS_KEY_FILES", &old)]).await;
    device.at(app.base()).session().await.expect(200);
    let keys = app.client().get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.json["keys"].as_array().map(Vec::len), Some(2), "{keys}");
    app.restart_with(&[("JWT_PREVIOUS_KEY_FILES", "")]).await;
    device.at(app.base()).session().await.expect_problem(401, "token_invalid");
}
