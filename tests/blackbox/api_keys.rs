//! API keys: who may do what, and every way in which a key can be invalid.

use reqwest::Method;
use serde_json::Value;

use crate::support::metrics::Metrics;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, on_each_database};

on_each_database!(a_key_opens_what_its_scopes_name);

/// A client that authenticates with a key.
pub(super) fn with_key(app: &TestApp, key: &str) -> Client {
    let mut client = app.client();
    client.access = Some(key.to_owned());
    client
}

pub(super) async fn introspect(client: &Client, token: &str) -> Answer {
    let request = client
        .request(Method::POST, "/introspect")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("token={token}"));
    client.send(request).await
}

async fn a_key_opens_what_its_scopes_name(db: Database) {
    let setup = Setup::on(db).await;
    let good = setup.api_key(&["tokens:introspect", "users:read"]).await;
    let other = setup.api_key(&["sessions:read"]).await;
    let app = setup.start().await;
    introspect(&with_key(&app, &good), "nonsense").await.expect(200);
    let refused = introspect(&with_key(&app, &other), "nonsense").await;
    refused.expect_problem(403, "insufficient_scope").expect_header(
        "www-authenticate",
        "Bearer error=\"insufficient_scope\", scope=\"tokens:introspect\"",
    );
    let metrics = Metrics::read(&app.client()).await;
    for status in ["200", "403"] {
        let series = format!("auth_admin_requests_total{{scope=\"tokens:introspect\",status=\"{status}\"}}");
        assert_eq!(metrics.value(&series), 1.0, "{status}");
    }
}

#[tokio::test]
async fn a_key_that_is_no_good_is_refused() {
    let setup = Setup::on(Database::Sqlite).await;
    let good = setup.api_key(&["tokens:introspect"]).await;
    let foreign = Setup::on(Database::Sqlite).await.api_key(&["tokens:introspect"]).await;
    let revoked = setup.api_key(&["tokens:introspect"]).await;
    let id = revoked.split('_').nth(1).unwrap();
    setup.command(&["api-keys", "revoke", id]).await.expect_code(0);
    setup.command(&["api-keys", "revoke", id]).await.expect_code(1);
    let short = ["api-keys", "create", "--scope", "tokens:introspect", "--expires", "1s"];
    let expired = setup.key_of(&short).await;
    let app = setup.start().await;

    introspect(&with_key(&app, &good), "x").await.expect(200);
    let wrong = format!("{}0", &good[..good.len() - 1]);
    let wrong = if wrong == good { format!("{}1", &good[..good.len() - 1]) } else { wrong };
    let swapped = format!("ak_{}_{}", id, good.rsplit('_').next().unwrap());
    for bad in [&foreign, &revoked, &wrong, &swapped, "ak_", "ak_x", "ak_x_", "ak__", "ak_%00_x"] {
        let answer = introspect(&with_key(&app, bad), "x").await.expect_problem(401, "token_invalid");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"), "{bad}: {answer}");
    }
    introspect(&with_key(&app, &good.to_uppercase()), "x").await.expect_problem(401, "token_invalid");
    crate::support::eventually("the key expires", std::time::Duration::from_secs(5), async || {
        let answer = introspect(&with_key(&app, &expired), "x").await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.to_string()) }
    })
    .await
    .expect_problem(401, "token_expired");

    // In a URL, or more than once.
    for path in ["/introspect?access_token=", "/introspect?key=", "/introspect?token="] {
        let request = app.client().request(Method::POST, &format!("{path}{good}"));
        app.client().send(request).await.expect_problem(401, "token_missing");
    }
    let key = with_key(&app, &good);
    let twice = key.request(Method::POST, "/introspect").header("Authorization", format!("Bearer {good}"));
    key.send(twice).await.expect_problem(400, "invalid_request");
    // It gives no access to what is for persons.
    key.session().await.expect_problem(401, "token_invalid");
    key.get("/verify").await.expect_problem(401, "token_invalid");
}

#[tokio::test]
async fn keys_are_listed_without_their_secrets() {
    let setup = Setup::on(Database::Sqlite).await;
    let key = setup.api_key(&["users:read", "sessions:end"]).await;
    let (id, secret) = key.trim_start_matches("ak_").split_once('_').unwrap();
    assert_eq!(secret.len() * 4, 256);
    let named = [
        "api-keys",
        "create",
        "--scope",
        "users:read",
        "--name",
        "back office",
        "--expires",
        "90d",
        "--json",
    ];
    setup.key_of(&named).await;
    let listed = setup.command(&["api-keys", "list", "--json"]).await.expect_code(0).output;
    assert!(!listed.contains(secret), "{listed}");
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let found = listed.iter().find(|found| found["id"] == id).unwrap();
    assert_eq!(found["scopes"], serde_json::json!(["users:read", "sessions:end"]));
    assert_eq!((&found["state"], &found["expiresAt"]), (&"active".into(), &Value::Null));
    assert_eq!((&listed[0]["name"], listed[0]["expiresAt"].is_string()), (&"back office".into(), true));
    let database = std::fs::read(setup.sqlite_file()).unwrap();
    assert!(!database.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "the secret is stored");

    setup.command(&["api-keys", "list"]).await.expect_code(0).expect_output("SCOPES");
    setup.command(&["api-keys", "create"]).await.expect_code(2);
    setup
        .command(&["api-keys", "create", "--scope", "everything"])
        .await
        .expect_code(2)
        .expect_output("users:read");
    for bad in ["0s", "90", "-1d", "1 day", "1y"] {
        let create = ["api-keys", "create", "--scope", "users:read", "--expires", bad];
        setup.command(&create).await.expect_code(2);
    }
}

/// An administrator's own token has the same rights, except to create keys.
#[tokio::test]
async fn an_administrator_may_and_nobody_else() {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let root = Person::named("Root");
    let create = ["user", "create", &root.email, "--name", "Root", "--role", "admin"];
    setup.command_with_input(&create, &root.password).await.expect_code(0);
    let app = setup.start().await;
    let mut admin = app.client();
    admin.login(&root).await.expect(200);
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    let told = introspect(&admin, ada.access.as_ref().unwrap()).await.expect(200).json;
    assert_eq!(told["active"], true, "{told}");
    introspect(&ada, "x").await.expect_problem(403, "insufficient_scope");
    introspect(&app.client(), "x").await.expect_problem(401, "token_missing");
    admin.logout().await.expect(204);
    introspect(&admin, "x").await.expect_problem(401, "session_logged_out");
}
