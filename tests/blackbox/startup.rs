//! What is checked before the program listens, and how clearly errors are reported.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::database::execute;
use crate::support::{Database, Person, Setup, TestApp, on_each_database};

on_each_database!(migrations_can_be_run_alone, it_starts_on_the_schema_of_a_newer_version);

/// Asserts that a start is refused because of its configuration, and that each of the variables is named.
async fn refused(setup: &Setup, variables: &[&str]) -> String {
    let mut ended = setup.run().await.expect_code(2);
    for variable in variables {
        ended = ended.expect_output(variable);
    }
    assert!(!ended.output.contains("\"listening\""), "{}", ended.output);
    ended.output
}

#[tokio::test]
async fn all_wrong_values_are_told_at_once() {
    let wrong = [
        ("PORT", "seventy"),
        ("APP_ENV", "holiday"),
        ("SESSION_TIMEOUT_MINUTES", "-1"),
        ("SESSION_LIFETIME_HOURS", "forever"),
        ("MAX_SESSIONS_PER_USER", "0"),
        ("MAX_SESSIONS_POLICY", "perhaps"),
        ("JWT_ACCESS_EXPIRY", "soon"),
        ("BCRYPT_COST", "99"),
        ("TRUSTED_PROXIES", "everywhere"),
        ("RATE_LIMIT_LOGIN_PER_MINUTE", "many"),
        ("COOKIE_SAMESITE", "sometimes"),
        ("DATABASE_URL", "mysql://localhost/auth"),
    ];
    let mut setup = Setup::on(Database::Sqlite).await;
    for (variable, value) in wrong {
        setup = setup.set(variable, value);
    }
    let names: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
    let output = refused(&setup, &names).await;
    // The value is shown too, so that a typing error is visible; but an address may contain a password.
    for (_, value) in &wrong[..11] {
        assert!(output.contains(value), "{value:?} is not told:\n{output}");
    }
}

#[tokio::test]
async fn production_wants_good_secrets() {
    let production = Setup::in_production;
    let both = ["JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET"];

    let missing = production().await.unset(both[0]).unset(both[1]);
    refused(&missing, &both).await;

    let short =
        production().await.set(both[0], "only-31-bytes-are-not-enough-31").set(both[1], "tiny-secret");
    let output = refused(&short, &both).await;
    for secret in ["only-31-bytes", "tiny-secret"] {
        assert!(!output.contains(secret), "a secret is shown:\n{output}");
    }
    assert!(output.contains("31"), "the length of the secret is not told:\n{output}");

    let same = "the-same-secret-for-both-is-no-good-at-all";
    let equal = production().await.set(both[0], same).set(both[1], same);
    let output = refused(&equal, &both).await;
    assert!(!output.contains(same), "a secret is shown:\n{output}");
}

#[tokio::test]
async fn production_wants_a_database_and_says_what_was_mistyped() {
    let setup = Setup::in_production().await.unset("DATABASE_URL");
    refused(&setup, &["DATABASE_URL"]).await;
    let mistyped = setup.set("DATABSE_URL", "postgres://u:hunter2@db/auth");
    let output = refused(&mistyped, &["DATABASE_URL"]).await;
    assert!(output.contains("DATABSE_URL is set") && !output.contains("hunter2"), "{output}");
    Setup::in_production().await.start().await;
}

#[tokio::test]
async fn a_name_that_is_nearly_a_setting_is_warned_about_with_the_right_one() {
    let app = Setup::on(Database::Sqlite)
        .await
        .set("RATE_LIMIT_SIGNUP_PER_MINUTE", "5")
        .set("JWT_REFRESH_SECERT", "hunter2")
        .set("SOMETHING_ELSE", "1")
        .start()
        .await;
    let logs = app.logs();
    for meant in ["RATE_LIMIT_SIGNUP_PER_HOUR", "JWT_REFRESH_SECRET"] {
        assert!(logs.contains(&format!("did you mean {meant}?")), "{logs}");
    }
    assert!(!logs.contains("SOMETHING_ELSE") && !logs.contains("hunter2"), "{logs}");
}

#[tokio::test]
async fn elsewhere_missing_secrets_are_made_kept_and_told() {
    let setup = Setup::on(Database::Sqlite).await.unset("JWT_ACCESS_SECRET").unset("JWT_REFRESH_SECRET");
    let mut app = setup.start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    app.expect_log("WARN").await;

    app.restart().await;
    ada.follow(app.base());
    ada.session().await.expect(200);
    ada.refresh().await.expect(200);

    let files = std::fs::read_dir(app.setup.data_dir()).unwrap().map(Result::unwrap);
    let private = files.filter(|file| file.metadata().unwrap().permissions().mode() & 0o777 == 0o600);
    let names: Vec<_> = private.map(|file| file.file_name()).collect();
    assert!(!names.is_empty(), "the secrets are in no file that only the owner can read");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let setup = Setup::on(Database::Sqlite).await.set("PORT", port);
    let ended = setup.run().await.expect_code(1);
    ended.expect_output(&port.to_string()).expect_output("in use");
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_told_without_its_password() {
    // Nobody listens there.
    let closed = "127.0.0.1:1";
    let url = format!("postgres://somebody:hunter2hunter2@{closed}/auth");
    let setup = Setup::on(Database::Sqlite).await.set("DATABASE_URL", url);
    let ended = setup.run().await.expect_code(1);
    let ended = ended.expect_output(&format!("cannot connect to the database at {closed}: "));
    let ended = ended.expect_output("connection refused");
    assert!(!ended.output.contains("hunter2hunter2"), "{}", ended.output);
}

async fn check_refused_and_unchanged(setup: &Setup, file: &Path) {
    let before = std::fs::read(file).unwrap();
    setup.run().await.expect_code(1).expect_output("auth.db");
    assert!(std::fs::read(file).unwrap() == before, "the damaged file was changed");
}

#[tokio::test]
async fn a_damaged_database_is_told_and_left_as_it_is() {
    let setup = Setup::on(Database::Sqlite).await;
    let file = setup.sqlite_file();
    std::fs::write(&file, b"this was never a database, but it is longer than a header. ".repeat(200))
        .unwrap();
    check_refused_and_unchanged(&setup, &file).await;
}

#[tokio::test]
async fn a_database_damaged_in_its_middle_is_told_and_left_as_it_is() {
    let mut app = Setup::on(Database::Sqlite).await.start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);
    app.terminate().await.expect_code(0);
    let file = app.setup.sqlite_file();
    for beside in ["auth.db-wal", "auth.db-shm"] {
        // Normally gone after an orderly end; their content must not repair the damage.
        let _ = std::fs::remove_file(app.setup.data_dir().join(beside));
    }
    let mut bytes = std::fs::read(&file).unwrap();
    // The header stays intact, but not the pages that list the tables.
    bytes[100..].fill(0xA5);
    std::fs::write(&file, bytes).unwrap();
    check_refused_and_unchanged(&app.setup, &file).await;
}

#[tokio::test]
async fn a_second_process_on_the_same_file_is_refused() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);

    let ended = app.setup.run().await.expect_code(1);
    ended.expect_output("auth.db").expect_output("in use");
    ada.session().await.expect(200);
    ada.refresh().await.expect(200);
}

#[tokio::test]
async fn a_killed_process_leaves_no_lock_behind() {
    let mut app = TestApp::start().await;
    app.kill();
    app.restart().await;
    app.client().get("/health/ready").await.expect(200);
}

async fn migrations_can_be_run_alone(db: Database) {
    let setup = Setup::on(db).await.argument("migrate");
    // The second time there is nothing left to do, which is not an error.
    for _ in 0..2 {
        setup.run().await.expect_code(0);
    }
    let setup = setup.without_arguments().set("AUTO_MIGRATE", false);
    let app = setup.start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);
}

/// As after an upgrade that was rolled back: schemas stay readable for the previous version.
async fn it_starts_on_the_schema_of_a_newer_version(db: Database) {
    let mut app = TestApp::on(db).await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    app.terminate().await.expect_code(0);
    let url = match db {
        Database::Sqlite => format!("sqlite://{}?mode=rw", app.setup.sqlite_file().display()),
        Database::Postgres => app.setup.get("DATABASE_URL").to_owned(),
    };
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99999999_000001_of_a_newer_version', 0)";
    execute(&url, newer).await.unwrap();
    app.restart().await;
    ada.follow(app.base());
    ada.session().await.expect(200);
    ada.refresh().await.expect(200);
}

/// It contains password hashes and secrets.
#[tokio::test]
async fn what_it_keeps_is_for_its_owner_alone() {
    let app = Setup::bare().set("PORT", 0).set("LOG_FORMAT", "json").start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);
    let folder = app.setup.data_dir().join("data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with("auth.db")), "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn it_runs_with_nothing_set_at_all() {
    let setup = Setup::bare().set("PORT", 0).set("LOG_FORMAT", "json");
    let app = setup.start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);
    assert!(app.setup.data_dir().join("data/auth.db").is_file());
}

#[tokio::test]
async fn it_tells_its_version_and_its_use() {
    let version = Setup::bare().argument("--version").run().await.expect_code(0);
    version.expect_output(env!("CARGO_PKG_VERSION"));
    let usage = Setup::bare().argument("--help").run().await.expect_code(0);
    usage.expect_output("migrate").expect_output("serve");
}

/// Passkeys of another site could never be used: browsers refuse them.
#[tokio::test]
async fn the_site_of_passkeys_covers_every_origin_and_is_printed() {
    let setup = async |rp_id: &str| {
        let setup = Setup::on(Database::Sqlite).await.set("ENCRYPTION_SECRET", "k".repeat(40));
        let setup = setup.set("APP_URL", "https://app.example.com").set("WEBAUTHN_RP_ID", rp_id);
        setup.set("CORS_ORIGIN", "https://web.example.com")
    };
    for unfit in ["app.example.com", "example.org", "ple.com", "https://example.com"] {
        let output = refused(&setup(unfit).await, &["WEBAUTHN_RP_ID"]).await;
        assert!(output.contains(unfit), "{output}");
    }
    let app = setup("example.com").await.start().await;
    let logs = app.logs();
    let line = logs.lines().find(|line| line.contains("passkeys.on"));
    assert!(line.is_some_and(|line| line.contains("\"rp_id\":\"example.com\"")), "{logs}");
    assert!(!TestApp::start().await.logs().contains("passkeys.on"));
}
