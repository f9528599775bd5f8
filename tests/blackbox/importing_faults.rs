//! What can be wrong with the other application's database or its address, and rows that cannot be taken: the
//! error names the true cause and shows no password, and the rest goes on.

use futures_util::future::join;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use super::admin_users::operated;
use crate::support::database::PostgresDatabase;
use crate::support::proxy::{Mode, Proxy};
use crate::support::time::timestamp;
use crate::support::{Database, Person, Setup};

fn hash() -> String {
    bcrypt::hash("the password of Ada", 4).unwrap()
}

/// The same hash with another cost written into it.
fn hash_of_cost(cost: u32) -> String {
    hash().replacen("$04$", &format!("${cost}$"), 1)
}

async fn migrated() -> Setup {
    let setup = Setup::on(Database::Sqlite).await;
    setup.command(&["migrate"]).await.expect_code(0);
    setup
}

/// The summary of an import, and the refusals as `line field`.
async fn import(setup: &Setup, arguments: &[&str], input: &str, code: i32) -> (Value, Vec<Value>) {
    let report = setup.data_dir().join("report.jsonl").display().to_string();
    let arguments = [&["import"], arguments, &["--json", "--report", &report]].concat();
    let told = setup.command_with_input(&arguments, input).await.expect_code(code).json();
    let report = std::fs::read_to_string(report).unwrap();
    (told, report.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn ada(number: usize) -> Person {
    Person { email: format!("ada{number}@example.com"), ..Person::named("Ada") }
}

#[tokio::test]
async fn the_variable_with_the_address_shows_no_password() {
    const IMPORT: &[&str] = &["import", "prisma"];
    const HELP: [&[&str]; 3] =
        [&["import", "prisma", "--help"], &["import", "prisma", "-h"], &["help", "import"]];
    let ask = async |url: &str, arguments: &[&str], code: i32, told: &str| {
        let setup = migrated().await.set("LEGACY_DATABASE_URL", url);
        let ended = setup.command(arguments).await.expect_code(code);
        assert!(!ended.output.contains("hunter2"), "{}", ended.output);
        ended.expect_output(told);
    };
    for url in ["mysql://u:hunter2@x/db", "postgres://u:hunter2@h:99999/d", "postgres//u:hunter2@h/d"] {
        ask(url, IMPORT, 1, "LEGACY_DATABASE_URL").await;
        ask(url, &["import", "prisma", "--dry-run"], 1, "LEGACY_DATABASE_URL").await;
    }
    let good = "postgres://u:hunter2@127.0.0.1:1/d";
    for help in HELP {
        ask(good, help, 0, "usage").await;
    }
    ask(good, &["import", "prisma", "--no-such-option"], 2, "--no-such-option").await;
    // Each takes until the program gives up.
    let nowhere = "postgres://u:hunter2@no-such-host.invalid/d";
    join(ask(good, IMPORT, 1, "refused"), ask(nowhere, IMPORT, 1, "no-such-host.invalid")).await;
}

/// 16 is the most that a login checks.
#[tokio::test]
async fn the_cost_of_a_hash_is_bounded_wherever_it_comes_in() {
    let setup = migrated().await;
    let csv = |cost: u32| format!("email,name,password\nada{cost}@example.com,Ada,{}\n", hash_of_cost(cost));
    for (cost, refused) in [(16, 0), (17, 1), (31, 1)] {
        let (told, report) = import(&setup, &["users", "-"], &csv(cost), refused).await;
        assert_eq!((&told["refused"], &told["added"]), (&json!(refused), &json!(1 - refused)), "cost {cost}");
        assert!(report.iter().all(|line| line["field"] == "password"), "{report:?}");
    }
    let (app, operator) = operated(setup).await;
    // Who asks one by one gets a closer bound.
    for (cost, status) in [(14, 201), (15, 422), (31, 422)] {
        let email = format!("bob{cost}@example.com");
        let body = json!({"name": "Bob", "email": email, "passwordHash": hash_of_cost(cost)});
        let answer = operator.post("/admin/users", &body).await.expect(status);
        assert!(status == 201 || answer.fields() == ["passwordHash"], "{answer}");
    }

    // One that stands in the database is not checked anywhere.
    let mut device = app.client();
    device.signup(&ada(0)).await.expect(201);
    let dear = hash_of_cost(17);
    app.execute(&format!("UPDATE users SET password_hash = '{dear}' WHERE email = 'ada0@example.com'")).await;
    let password = ada(0).password;
    let change = json!({"currentPassword": password, "newPassword": "a much better passphrase"});
    device.post("/password/change", &change).await.expect_problem(403, "wrong_password");
    let proof = json!({"password": password});
    device.post("/reauthenticate", &proof).await.expect_problem(403, "wrong_password");
    app.client().login(&ada(0)).await.expect_problem(401, "invalid_credentials");
}

/// A table as Prisma creates it, with one row for each of these times in each of three columns.
async fn with_times(legacy: &PostgresDatabase, kind: &str, times: &[&str]) -> usize {
    let old = legacy.connect().await;
    let table = format!(
        r#"CREATE TABLE users (id serial PRIMARY KEY, email text, name text, password text,
        "createdAt" {kind}, "updatedAt" {kind}, "lastActivityAt" {kind})"#
    );
    old.execute_unprepared(&table).await.unwrap();
    let mut number = 0;
    for time in times {
        for column in ["createdAt", "updatedAt", "lastActivityAt"] {
            let row = format!(
                r#"INSERT INTO users (email, name, password, "{column}")
                VALUES ('ada{number}@example.com', 'Ada', '{}', '{time}')"#,
                hash()
            );
            old.execute_unprepared(&row).await.unwrap();
            number += 1;
        }
    }
    number
}

mod a_time_without_end_in_any_column_is_refused_by_its_name {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        for kind in ["timestamp(3)", "timestamptz", "date"] {
            let legacy = PostgresDatabase::create().await;
            with_times(&legacy, kind, &["infinity", "-infinity", "2020-01-01"]).await;
            let setup = migrated().await;
            let (told, report) = import(&setup, &["prisma", "--from", &legacy.url], "", 1).await;
            assert_eq!((&told["refused"], &told["added"]), (&json!(6), &json!(3)), "{kind}");
            let columns: Vec<_> = report.iter().map(|line| line["field"].as_str().unwrap()).collect();
            let three = ["createdAt", "updatedAt", "lastActivityAt"];
            assert_eq!(columns, [three, three].concat(), "{kind}");
        }
    }
}

/// RFC 3339 ends at the year 9999, and answers begin at 1970: they contain the nearest time within.
mod a_time_out_of_reach_stops_nothing {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let times = ["10000-01-01", "294276-12-31 23:59:59", "4713-01-01 BC", "0001-01-01"];
        let count = with_times(&legacy, "timestamp(3)", &times).await;
        let setup = migrated().await;
        let (told, _) = import(&setup, &["prisma", "--from", &legacy.url], "", 0).await;
        assert_eq!((&told["refused"], &told["added"]), (&json!(0), &json!(count)));
        let (app, operator) = operated(setup).await;
        for number in 0..count {
            let login = app.client().login(&ada(number)).await.expect(200);
            for time in ["createdAt", "updatedAt", "lastActivityAt"] {
                timestamp(&login.json["user"][time]);
            }
        }
        assert_eq!(
            operator.get("/admin/users?limit=200").await.expect(200).json["users"].as_array().unwrap().len(),
            count
        );
    }
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_in_a_file_too() {
    let setup = migrated().await;
    let hash = hash();
    let times = ["infinity", "-infinity", "294277-01-01", "2020-02-30", "now", "1e400"];
    let lines = times.iter().enumerate();
    let lines: String =
        lines.map(|(number, time)| format!("ada{number}@example.com,Ada,{hash},{time}\n")).collect();
    let csv = format!("email,name,password,createdAt\n{lines}late@example.com,Ada,{hash},2020-02-29\n");
    let (told, report) = import(&setup, &["users", "-"], &csv, 1).await;
    assert_eq!((&told["refused"], &told["added"]), (&json!(times.len()), &json!(1)), "{report:?}");
    assert!(report.iter().all(|line| line["field"] == "createdAt"), "{report:?}");
}

/// A reader who may not look into the schema, or not at one column: PostgreSQL says so, and the import too.
mod a_right_that_is_missing_is_told {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let old = legacy.connect().await;
        let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
        let fill = format!(
            "CREATE TABLE users (id serial PRIMARY KEY, email text, name text, password text);
            CREATE ROLE {role} LOGIN PASSWORD 'reader';
            GRANT SELECT ON users TO {role}; REVOKE USAGE ON SCHEMA public FROM PUBLIC"
        );
        old.execute_unprepared(&fill).await.unwrap();
        let url = legacy.url.replacen("postgres@", &format!("{role}:reader@"), 1);
        let setup = migrated().await;
        let import = ["import", "prisma", "--from", &url];
        let schema = setup.command(&import).await;
        let rights = format!(
            "GRANT USAGE ON SCHEMA public TO {role}; REVOKE SELECT ON users FROM {role};
            GRANT SELECT (id, email, name) ON users TO {role}"
        );
        old.execute_unprepared(&rights).await.unwrap();
        let column = setup.command(&import).await;
        old.execute_unprepared(&format!("ALTER ROLE {role} CONNECTION LIMIT 0")).await.unwrap();
        let full = setup.command(&import).await;
        let wrong = url.replacen(":reader@", ":hunter2@", 1);
        let away = format!("DROP OWNED BY {role}; DROP ROLE {role}");
        old.execute_unprepared(&away).await.unwrap();
        schema.expect_code(1).expect_output("permission denied for schema public");
        column.expect_code(1).expect_output("no column password");
        full.expect_code(1).expect_output("too many connections for role");
        // By now nobody of that name may connect.
        let ended = setup.command(&["import", "prisma", "--from", &wrong]).await.expect_code(1);
        assert!(!ended.output.contains("hunter2"), "{}", ended.output);
        ended.expect_output(&role);
    }
}

mod a_server_that_says_nothing_is_told_as_that {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let proxy = Proxy::to(legacy.address()).await;
        proxy.set(Mode::Stall);
        let url = legacy.url_through(proxy.address());
        let ended = migrated().await.command(&["import", "prisma", "--from", &url]).await.expect_code(1);
        ended.expect_output(&proxy.address().to_string()).expect_output("no answer within");
    }
}
