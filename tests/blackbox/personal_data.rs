//! The person's own data: everything stored about them, and having it deleted.

use reqwest::Method;
use serde_json::json;

use crate::support::{Database, Person, Setup, TestApp, on_each_database};

on_each_database!(
    what_is_stored_is_handed_out,
    an_account_is_deleted_by_its_person,
    the_last_administrator_stays
);

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
    // Nobody deletes an account where that is not set up.
    device.send(device.request(Method::DELETE, "/me")).await.expect_problem(404, "not_found");
    device.session().await.expect(200);
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
}
