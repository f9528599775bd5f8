//! The commands for operators: what they print, and their effect on running nodes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::authenticator::App as Totp;
use crate::support::{
    Client, Connection, Database, Person, Setup, TestApp, Transport, eventually, on_each_database,
};

on_each_database!(
    a_deleted_user_is_out_and_the_address_is_free,
    a_role_is_given_and_carried_by_new_tokens,
    an_account_is_made_with_a_password_from_standard_input,
    a_disabled_account_is_as_good_as_none,
    the_latest_activity_of_any_session_is_shown,
    sessions_are_listed_and_ended,
    second_factors_are_removed,
);

/// Runs a command beside the service; on SQLite in its place, since the file belongs to one process.
async fn administer(
    app: &mut TestApp,
    clients: &mut [&mut Client],
    db: Database,
    arguments: &[&str],
) -> String {
    if db == Database::Sqlite {
        // While the service runs, the file is locked.
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

/// Waits until the node knows that this device's session has ended, and asserts the reason.
async fn expect_ended(client: &Client, reason: &str) {
    let refused = eventually("the ended session is refused", Duration::from_secs(3), async || {
        let answer = client.session().await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.status.to_string()) }
    });
    refused.await.expect_problem(401, reason);
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
        expect_ended(client, "session_terminated").await;
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
    let told = administer(&mut app, &mut [&mut laptop], db, &["user", "role", &ada.email, "pro"]).await;
    assert!(told.contains("role.given"), "{told}");
    let answer = laptop.me().await.expect(200);
    assert_eq!(answer.json["user"]["role"], "PRO");
    let shown = administer(&mut app, &mut [&mut laptop], db, &["user", "show", &ada.email, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["role"], shown["sessions"].as_array().map(Vec::len)), (&"PRO".into(), Some(1)));
}

async fn an_account_is_made_with_a_password_from_standard_input(db: Database) {
    let setup = Setup::on(db).await;
    setup.command(&["user", "list"]).await.expect_code(1).expect_output("run `auth-service migrate`");
    setup.command(&["migrate"]).await.expect_code(0);
    let ada = Person::named("Ada");
    let create = ["user", "create", "ADA@example.com ", "--name", " Ada ", "--role", "pro", "--json"];
    setup.command_with_input(&create, "short\n").await.expect_code(1).expect_output("at least 8 characters");
    let made = setup.command_with_input(&create, &format!("{}\n", ada.password)).await.expect_code(0).json();
    setup
        .command_with_input(&create, "another password")
        .await
        .expect_code(1)
        .expect_output("already exists");
    let random = ["user", "create", "eve@example.com", "--name", "Eve", "--random-password", "--json"];
    let random = setup.command(&random).await.expect_code(0).json();

    let list = async |arguments: &[&str]| {
        let arguments = [&["user", "list", "--json"], arguments].concat();
        let listed = setup.command(&arguments).await.expect_code(0).json();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["email"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(list(&[]).await, "ada@example.com eve@example.com");
    assert_eq!(list(&["--limit", "1"]).await, "ada@example.com");
    assert_eq!(list(&["--after", "ada@example.com"]).await, "eve@example.com");
    assert_eq!(list(&["--role", "pro"]).await, "ada@example.com");
    assert_eq!(list(&["--search", "EVE"]).await, "eve@example.com");
    assert_eq!(list(&["--search", "%"]).await, "");
    setup.command(&["user", "list"]).await.expect_code(0).expect_output("EMAIL");

    let app = setup.start().await;
    let mut client = app.client();
    let answer = client.login(&ada).await.expect(200);
    assert_eq!(answer.json["user"]["id"], made["id"]);
    assert_eq!((&answer.json["user"]["name"], &answer.json["user"]["role"]), (&"Ada".into(), &"PRO".into()));
    let password = random["password"].as_str().unwrap().to_owned();
    client.login(&Person { password, ..Person::named("Eve") }).await.expect(200);
}

async fn a_disabled_account_is_as_good_as_none(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut laptop, mut phone) = (app.client(), app.client());
    laptop.signup(&ada).await.expect(201);
    phone.login(&ada).await.expect(200);

    let mut devices = [&mut laptop, &mut phone];
    let told = administer(&mut app, &mut devices, db, &["user", "disable", &ada.email]).await;
    assert!(told.contains("2 sessions ended"), "{told}");
    for client in [&mut laptop, &mut phone] {
        expect_ended(client, "session_terminated").await;
        client.refresh().await.expect_problem(401, "session_terminated");
    }
    let refused = phone.login(&ada).await.expect_problem(401, "invalid_credentials");
    let stranger = phone.login(&Person::named("Nobody")).await.expect_problem(401, "invalid_credentials");
    for member in ["type", "title", "status", "detail", "code"] {
        assert_eq!(refused.json[member], stranger.json[member], "{member}");
    }
    laptop.signup(&ada).await.expect_problem(409, "email_taken");
    let mut devices = [&mut laptop, &mut phone];
    let told = administer(&mut app, &mut devices, db, &["user", "disable", &ada.email]).await;
    assert!(told.contains("already"), "{told}");
    let listed = administer(&mut app, &mut devices, db, &["user", "list", "--disabled"]).await;
    assert!(listed.contains(&ada.email), "{listed}");

    administer(&mut app, &mut devices, db, &["user", "enable", &ada.email]).await;
    phone.login(&ada).await.expect(200);
    phone.session().await.expect(200);
}

/// The user's row is updated with it only at the next change.
async fn the_latest_activity_of_any_session_is_shown(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let mut laptop = app.client();
    laptop.signup(&ada).await.expect(201);
    let active = laptop.activity().await.expect(200).json["lastActivity"].clone();
    // It may be written to the database a second later.
    eventually("the activity is shown", Duration::from_secs(5), async || {
        let shown =
            administer(&mut app, &mut [&mut laptop], db, &["user", "show", &ada.email, "--json"]).await;
        let listed = administer(&mut app, &mut [&mut laptop], db, &["user", "list", "--json"]).await;
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let (shown, listed) = (&read(&shown)["lastActivityAt"], &read(&listed)[0]["lastActivityAt"]);
        if shown == listed && *shown == active {
            Ok(())
        } else {
            Err(format!("{shown}, {listed}, not {active}"))
        }
    })
    .await;
}

async fn sessions_are_listed_and_ended(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut laptop, mut phone) = (app.client(), app.client());
    laptop.signup(&ada).await.expect(201);
    phone.login(&ada).await.expect(200);

    let mut devices = [&mut laptop, &mut phone];
    let listed = administer(&mut app, &mut devices, db, &["sessions", "list", &ada.email, "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ids: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [phone.session_id.as_str(), laptop.session_id.as_str()]);

    let (id, ended) = (listed["userId"].as_str().unwrap().to_owned(), phone.session_id.clone());
    let mut devices = [&mut laptop, &mut phone];
    administer(&mut app, &mut devices, db, &["sessions", "end", &id, &ended]).await;
    expect_ended(&phone, "session_terminated").await;
    laptop.session().await.expect(200);
    phone.login(&ada).await.expect(200);

    let mut devices = [&mut laptop, &mut phone];
    let all = ["sessions", "end", &ada.email, "--all", "--reason", "logout"];
    let told = administer(&mut app, &mut devices, db, &all).await;
    assert!(told.contains("2 sessions ended"), "{told}");
    assert_eq!(told.matches("session.terminated").count(), 2, "in the audit lines: {told}");
    assert_eq!(told.matches("command_line").count(), 4, "by whom, and what brought it about: {told}");
    for client in [&laptop, &phone] {
        expect_ended(client, "session_logged_out").await;
    }
    if db == Database::Postgres {
        let gone = ["sessions", "end", &ada.email, &ended];
        app.setup.command(&gone).await.expect_code(1).expect_output("no live session");
        app.setup.command(&["sessions", "end", &ada.email]).await.expect_code(2);
        app.setup.command(&["sessions", "list", "nobody@example.com"]).await.expect_code(1);
    }
}

/// Devices that change their sessions continuously while an operator acts.
const BUSY: usize = 32;

/// Somebody's programs change an account as fast as they can, which is exactly when it is to be disabled.
mod a_busy_account_is_disabled_at_the_first_try {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let app = Setup::on(Database::Postgres).await.set("MAX_SESSIONS_PER_USER", BUSY).start().await;
        for round in 0..10 {
            let ada = Person::named(&format!("Ada{round}"));
            let devices = app.devices(&ada, BUSY).await;
            // They end with the round, whatever its outcome.
            let _busy: JoinSet<_> = devices.into_iter().map(refresh_until_refused).collect();
            let ended = app.setup.command(&["user", "disable", &ada.email]).await;
            ended.expect_code(0).expect_output(&format!("is disabled; {BUSY} sessions ended"));
        }
    }

    async fn refresh_until_refused(mut device: Client) {
        while device.refresh().await.status == 200 {}
    }
}

mod a_device_is_told_that_an_operator_has_ended_its_session {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let app = TestApp::on(Database::Postgres).await;
        let ada = Person::named("Ada");
        let devices = app.devices(&ada, 2).await;
        let mut phone = Connection::open(Transport::WebSocket, &devices[0]).await;
        let mut laptop = Connection::open(Transport::Sse, &devices[1]).await;
        let end = ["sessions", "end", &ada.email, &devices[0].session_id];
        app.setup.command(&end).await.expect_code(0);
        let told = phone.expect("session.terminated").await;
        assert_eq!((&told["reason"], &told["terminatedBySessionId"]), (&"terminated".into(), &Value::Null));
        phone.expect_over("terminated").await;
        assert_eq!(laptop.expect("session.terminated").await["current"], false);

        app.setup.command(&["user", "disable", &ada.email]).await.expect_code(0);
        assert_eq!(laptop.expect("session.terminated").await["current"], true);
        laptop.expect_over("terminated").await;
    }
}

#[tokio::test]
async fn commands_are_completed_in_each_shell() {
    let setup = Setup::bare();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        setup.command(&["completions", shell]).await.expect_code(0).expect_output("disable");
    }
    setup.command(&["completions", "dos"]).await.expect_code(2);
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
        setup.command(&arguments).await.expect_code(1).expect_output("was left as it is");
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
async fn a_check_tells_what_should_be_changed_without_a_secret() {
    let setup = Setup::on(Database::Sqlite).await.set("JWT_ACCESS_SECRET", "hunter2");
    let told = setup.command(&["config", "check"]).await.expect_code(0);
    let told = told.expect_output("warning: JWT_ACCESS_SECRET: got a secret of 7 bytes");
    assert!(!told.output.contains("hunter2"), "{}", told.output);
}

#[tokio::test]
async fn the_use_of_a_command_is_told_in_the_order_of_its_arguments() {
    let told = Setup::on(Database::Sqlite).await.command(&["sessions", "end"]).await.expect_code(2);
    told.expect_output("sessions end [OPTIONS] <USER> <SESSION|--all>");
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let setup = Setup::on(Database::Sqlite).await;
    let shown = setup.command(&["config", "check"]).await.expect_code(0).output;
    assert!(shown.contains("BCRYPT_COST=4"), "{shown}");
    assert!(!shown.contains(setup.get("JWT_ACCESS_SECRET")), "{shown}");
}

async fn second_factors_are_removed(db: Database) {
    let setup =
        Setup::on(db).await.set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef");
    let mut app = setup.start().await;
    let ada = Person::named("Ada");
    let mut device = app.devices(&ada, 1).await.remove(0);
    let made = device.post("/factors/totp", &json!({})).await.expect(201);
    let totp = Totp::with(made.json["secret"].as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(0)})).await.expect(200);
    app.client().login(&ada).await.expect_problem(401, "second_factor_required");

    let told = administer(&mut app, &mut [&mut device], db, &["user", "remove-factors", &ada.email]).await;
    assert!(told.contains("1 session ended"), "{told}");
    expect_ended(&device, "session_terminated").await;
    app.client().login(&ada).await.expect(200);
}
