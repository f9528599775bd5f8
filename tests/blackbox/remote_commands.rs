//! `--server`: the commands for accounts and sessions over the admin API, beside a service that runs on
//! SQLite.

use super::admin_users::operated;
use crate::support::{Database, Person, Setup};

/// The commands need nothing of the service but its address and a key.
async fn elsewhere() -> Setup {
    Setup::on(Database::Sqlite).await
}

#[tokio::test]
async fn accounts_and_sessions_are_looked_after_beside_a_running_service() {
    let (app, operator) = operated(Setup::on(Database::Sqlite).await).await;
    let key = operator.access.clone().unwrap();
    let bare = elsewhere().await;
    let run = async |words: &[&str]| {
        let words = [&["--server", app.base(), "--key", &key], words].concat();
        bare.command(&words).await
    };
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 3).await;
    let shown = run(&["user", "show", &ada.email, "--json"]).await.expect_code(0).json();
    assert_eq!(
        (&shown["email"], shown["sessions"].as_array().unwrap().len()),
        (&ada.email.as_str().into(), 3)
    );
    run(&["sessions", "list", &ada.email]).await.expect_code(0).expect_output(&devices[1].session_id);
    let one = devices[1].session_id.as_str();
    run(&["sessions", "end", &ada.email, one]).await.expect_code(0).expect_output("1 session ended");
    devices[1].session().await.expect_problem(401, "session_terminated");
    let all = ["sessions", "end", &ada.email, "--all", "--reason", "logout"];
    run(&all).await.expect_code(0).expect_output("2 sessions ended (logout)");
    devices[0].session().await.expect_problem(401, "session_logged_out");

    run(&["user", "role", &ada.email, "PRO"]).await.expect_code(0).expect_output("is PRO");
    run(&["user", "disable", &ada.email]).await.expect_code(0);
    run(&["user", "list", "--disabled"]).await.expect_code(0).expect_output(&ada.email);
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    run(&["user", "enable", &ada.email]).await.expect_code(0);
    let listed =
        run(&["user", "list", "--search", "ADA", "--role", "pro", "--json"]).await.expect_code(0).json();
    assert_eq!(listed[0]["email"], ada.email.as_str());

    let create = ["user", "create", "grace@example.com", "--name", "Grace", "--random-password", "--json"];
    let made = run(&create).await.expect_code(0).json();
    let grace = Person { password: made["password"].as_str().unwrap().to_owned(), ..Person::named("Grace") };
    app.client().login(&grace).await.expect(200);
    run(&["user", "create", "x@example.com", "--name", "X"])
        .await
        .expect_code(1)
        .expect_output("--random-password");
    run(&["user", "delete", "grace@example.com"]).await.expect_code(0);
    run(&["user", "show", "grace@example.com"]).await.expect_code(1).expect_output("no account");
}

#[tokio::test]
async fn what_cannot_be_done_is_said_plainly_and_never_with_the_key() {
    let setup = Setup::on(Database::Sqlite).await;
    let other = setup.api_key(&["tokens:introspect"]).await;
    let (app, operator) = operated(setup).await;
    let bare = elsewhere().await;
    let key = operator.access.clone().unwrap();
    let file = bare.sqlite_file().with_extension("key");
    std::fs::write(&file, format!("{key}\n")).unwrap();
    let file = file.display().to_string();
    let with_file = ["user", "list", "--server", app.base(), "--key-file", &file];
    bare.command(&with_file).await.expect_code(0).expect_output("EMAIL");
    let without = ["user", "list", "--server", app.base()];
    bare.command(&without).await.expect_code(1).expect_output("--key");
    let foreign = ["user", "list", "--server", app.base(), "--key", "ak_x_y"];
    bare.command(&foreign).await.expect_code(1).expect_output("401");
    let other = ["user", "list", "--server", app.base(), "--key", &other];
    bare.command(&other).await.expect_code(1).expect_output("403");
    let migrate = ["migrate", "--server", app.base(), "--key", &key];
    bare.command(&migrate).await.expect_code(1).expect_output("--server is for");
    for nowhere in ["http://127.0.0.1:1", "nonsense", "http://"] {
        let ended = bare.command(&["user", "list", "--server", nowhere, "--key", &key]).await.expect_code(1);
        assert!(!ended.output.contains(&key), "{}", ended.output);
    }
}
