//! The commands for operators: what they print, and what running nodes make of what they do.

use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};
use std::time::Duration;

on_each_database!(a_deleted_user_is_out_and_the_address_is_free, a_role_is_given_and_carried_by_new_tokens);

/// Runs a command beside the service; on SQLite instead of it, since the file belongs to one process.
async fn administer(
    app: &mut TestApp,
    clients: &mut [&mut Client],
    db: Database,
    arguments: &[&str],
) -> String {
    if db == Database::Sqlite {
        // While the service runs, the file is not to be had.
        app.setup.command(arguments).await.expect_code(1).expect_output("in use");
        app.terminate().await.expect_code(0);
    }
    let output = app.setup.command(arguments).await.expect_code(0).output;
    if db == Database::Sqlite {
        app.restart().await;
        clients.iter_mut().for_each(|client| client.follow(app.base()));
    }
    output
}

async fn a_deleted_user_is_out_and_the_address_is_free(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut laptop, mut phone) = (app.client(), app.client());
    laptop.signup(&ada).await.expect(201);
    phone.login(&ada).await.expect(200);

    let told =
        administer(&mut app, &mut [&mut laptop, &mut phone], db, &["user", "delete", &ada.email]).await;
    assert!(told.contains("2 sessions ended"), "{told}");

    for client in [&mut laptop, &mut phone] {
        eventually("the deleted user is refused", Duration::from_secs(3), async || {
            let answer = client.session().await;
            if answer.status == 401 {
                Ok(answer.expect_problem(401, "session_terminated"))
            } else {
                Err(answer.status.to_string())
            }
        })
        .await;
        client.refresh().await.expect_problem(401, "session_terminated");
        client.login(&ada).await.expect_problem(401, "invalid_credentials");
    }
    app.client().signup(&ada).await.expect(201);
}

async fn a_role_is_given_and_carried_by_new_tokens(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let mut laptop = app.client();
    laptop.signup(&ada).await.expect(201);
    administer(&mut app, &mut [&mut laptop], db, &["user", "role", &ada.email, "pro"]).await;
    let answer = laptop.me().await.expect(200);
    assert_eq!(answer.json["user"]["role"], "PRO");
    let shown = administer(&mut app, &mut [&mut laptop], db, &["user", "show", &ada.email]).await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["role"], shown["sessions"].as_array().map(Vec::len)), (&"PRO".into(), Some(1)));
}

#[tokio::test]
async fn health_is_asked_by_the_program_itself() {
    let app = TestApp::start().await;
    let port = app.address().rsplit(':').next().unwrap().to_owned();
    let setup = Setup::on(Database::Sqlite).await.set("PORT", port);
    setup.command(&["health"]).await.expect_code(0);
    drop(app);
    setup.command(&["health"]).await.expect_code(1);
}

#[tokio::test]
async fn a_key_is_made_once_and_serves() {
    let setup = Setup::on(Database::Sqlite).await;
    let file = setup.data_dir().join("jwt.pem").display().to_string();
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        let file = format!("{file}.{algorithm}");
        let arguments = ["keys", "generate", "--algorithm", algorithm, "--out", &file];
        setup.command(&arguments).await.expect_code(0);
        setup.command(&arguments).await.expect_code(1);
        let setup = Setup::on(Database::Sqlite).await.set("JWT_ALGORITHM", algorithm);
        let app = setup.set("JWT_PRIVATE_KEY_FILE", &file).start().await;
        let mut client = app.client();
        client.signup(&Person::named("Ada")).await.expect(201);
        client.session().await.expect(200);
        let keys = client.get("/.well-known/jwks.json").await.expect(200).json;
        assert_eq!(keys["keys"][0]["alg"], algorithm, "{keys}");
    }
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let setup = Setup::on(Database::Sqlite).await;
    let shown = setup.command(&["config", "check"]).await.expect_code(0).output;
    assert!(shown.contains("BCRYPT_COST=4"), "{shown}");
    assert!(!shown.contains(setup.get("JWT_ACCESS_SECRET")), "{shown}");
}
