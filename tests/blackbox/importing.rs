//! Migration: users of another application are imported from a file and from its database, and then log in
//! with their existing passwords.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use serde_json::Value;

use crate::support::database::{PostgresDatabase, execute};
use crate::support::time::Stopwatch;
use crate::support::{Database, Person, Setup, eventually, on_each_database};

on_each_database!(
    people_log_in_with_the_passwords_they_had,
    an_import_may_be_run_again,
    what_cannot_be_imported_is_told_by_line,
    a_new_password_ends_the_sessions_that_the_old_one_opened,
);

/// bcrypt hash of `the password of Ada`, cost 4, with a version prefix, which differs between libraries.
fn hash(name: &str) -> String {
    bcrypt::hash_with_salt("the password of Ada", 4, *b"sixteen bytes ok")
        .unwrap()
        .to_string()
        .replace("$2b$", name)
}

fn ada(number: usize) -> Person {
    Person { email: format!("ada{number}@example.com"), ..Person::named("Ada") }
}

async fn summary(setup: &Setup, arguments: &[&str], input: &str, code: i32) -> Value {
    let arguments = [&["import"], arguments, &["--json"]].concat();
    setup.command_with_input(&arguments, input).await.expect_code(code).json()
}

fn counts(summary: &Value) -> [u64; 5] {
    ["read", "added", "present", "updated", "refused"].map(|name| summary[name].as_u64().unwrap())
}

async fn migrated(db: Database) -> Setup {
    let setup = Setup::on(db).await;
    setup.command(&["migrate"]).await.expect_code(0);
    setup
}

async fn people_log_in_with_the_passwords_they_had(db: Database) {
    let setup = migrated(db).await;
    let uuid = "0b4b9a0e-7f1c-4c37-9a53-3d2f6c1f1c11";
    let csv = format!(
        "\u{feff}id,ignored,email,name,password,role,createdAt\n\
         {uuid},x, ADA0@example.com ,\"Ada, the first\",{},PRO,2020-01-02 03:04:05.678\n\
         clh3z9x0a0000qzrmn831i7rn,x,ada1@example.com,Ada,{},,\n",
        hash("$2a$"),
        hash("$2y$")
    );
    let map = setup.data_dir().join("map.csv").display().to_string();
    let told = summary(&setup, &["users", "-", "--id-map", &map], &csv, 0).await;
    assert_eq!(counts(&told), [2, 2, 0, 0, 0]);
    let jsonl = format!(
        "\n{{\"email\":\"ada2@example.com\",\"name\":\"Ada\",\"passwordHash\":\"{}\",\"id\":3,\"extra\":[1]}}\n",
        hash("$2b$")
    );
    assert_eq!(counts(&summary(&setup, &["users", "-"], &jsonl, 0).await), [1, 1, 0, 0, 0]);
    let map = std::fs::read_to_string(map).unwrap();
    let (old, mapped) = map.lines().nth(1).unwrap().split_once(',').unwrap();
    assert_eq!((old, map.lines().count()), ("clh3z9x0a0000qzrmn831i7rn", 2), "{map}");

    let app = setup.start().await;
    let mut client = app.client();
    let user = client.login(&ada(0)).await.expect(200).json["user"].clone();
    assert_eq!(
        (&user["id"], &user["name"], &user["role"]),
        (&uuid.into(), &"Ada, the first".into(), &"PRO".into())
    );
    assert_eq!(user["createdAt"], "2020-01-02T03:04:05.678Z");
    let user = client.login(&ada(1)).await.expect(200).json["user"].clone();
    assert_eq!((&user["id"], &user["role"]), (&mapped.into(), &"STARTER".into()));
    client.login(&ada(2)).await.expect(200);
    client.login(&Person { password: "another".to_owned(), ..ada(2) }).await.expect(401);
}

async fn an_import_may_be_run_again(db: Database) {
    let setup = migrated(db).await;
    let file = |names: [&str; 3], updated: &str| {
        let line = |(index, name): (usize, &str)| {
            format!("{index},{},{name},{},{updated}\n", ada(index).email, hash("$2b$"))
        };
        let lines: String = names.into_iter().enumerate().map(line).collect();
        format!("id,email,name,password,updatedAt\n{lines}")
    };
    let (first, renamed) =
        (file(["Ada"; 3], "2020-01-01"), file(["Ada", "Ada Lovelace", "Ada"], "2020-01-02"));
    let dry = summary(&setup, &["users", "-", "--dry-run"], &first, 0).await;
    assert_eq!((counts(&dry), &dry["dryRun"]), ([3, 3, 0, 0, 0], &true.into()));
    for (arguments, file, wanted) in [
        (&["users", "-", "--batch", "2"] as &[&str], &first, [3, 3, 0, 0, 0]),
        (&["users", "-"], &first, [3, 0, 3, 0, 0]),
        (&["users", "-"], &renamed, [3, 0, 3, 0, 0]),
        (&["users", "-", "--update"], &renamed, [3, 0, 0, 3, 0]),
        (&["users", "-", "--update"], &renamed, [3, 0, 3, 0, 0]),
    ] {
        assert_eq!(counts(&summary(&setup, arguments, file, 0).await), wanted, "{arguments:?}");
    }
    let without_ids = format!("email,name,password\nada1@example.com,Ada,{}\n", hash("$2b$"));
    let told = summary(&setup, &["users", "-"], &without_ids, 0).await;
    assert_eq!((counts(&told), &told["presentUnderAnotherId"]), ([1, 0, 1, 0, 0], &0.into()));
    let app = setup.start().await;
    let user = app.client().login(&ada(1)).await.expect(200).json["user"].clone();
    assert_eq!(
        (&user["name"], &user["updatedAt"]),
        (&"Ada Lovelace".into(), &"2020-01-02T00:00:00.000Z".into())
    );
}

async fn what_cannot_be_imported_is_told_by_line(db: Database) {
    let setup = migrated(db).await;
    let hash = hash("$2b$");
    let csv = format!(
        "id,email,name,password,role\n\
         1,ada@example.com,Ada,{hash},\n\
         2,no address,Ada,{hash},\n\
         3,eve@example.com,\"Eve\nof two lines\",{hash},\n\
         4,mallory@example.com,Mallory,plain text,\n\
         5,ADA@example.com,Another Ada,{hash},\n\
         6,user@example.com,User,{hash},USER\n"
    );
    let report = setup.data_dir().join("refused.jsonl").display().to_string();
    let arguments = ["users", "-", "--report", &report, "--batch", "1"];
    for dry in [&["--dry-run"] as &[&str], &[]] {
        let told = summary(&setup, &[&arguments, dry].concat(), &csv, 1).await;
        assert_eq!((counts(&told), &told["presentUnderAnotherId"]), ([6, 1, 1, 0, 4], &1.into()));
        let lines = std::fs::read_to_string(&report).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let places: Vec<_> = lines
            .iter()
            .map(|line| (line["line"].as_u64().unwrap(), line["field"].as_str().unwrap()))
            .collect();
        assert_eq!(places, [(3, "email"), (4, "name"), (6, "password"), (7, "email"), (8, "role")]);
    }
    let map = [&arguments as &[&str], &["--map-role", "USER=pro"]].concat();
    assert_eq!(counts(&summary(&setup, &map, &csv, 1).await), [6, 1, 2, 0, 3]);

    let jsonl = "{\"email\":1}\n[]\n{\"name\"\n\u{ff}\n";
    assert_eq!(counts(&summary(&setup, &["users", "-"], jsonl, 1).await), [4, 0, 0, 0, 4]);
    let headless = setup.command_with_input(&["import", "users", "-"], "a,b\n1,2\n").await;
    headless.expect_code(1).expect_output("no column email");
    setup.command(&["import", "users", "nowhere.csv"]).await.expect_code(1).expect_output("nowhere.csv");
    setup.command(&["import", "users", "-", "--map-role", "USER"]).await.expect_code(2);
}

/// On PostgreSQL this happens beside the running service, whose devices are notified.
async fn a_new_password_ends_the_sessions_that_the_old_one_opened(db: Database) {
    let setup = migrated(db).await;
    let new = bcrypt::hash("another password of hers", 4).unwrap();
    let file = |name: &str, password: &str, year: u32| {
        let line = |index: usize, name: &str, hash: &str| {
            format!("{index},{},{name},{hash},{year}-01-01\n", ada(index).email)
        };
        let (first, second) = (line(0, "Ada", password), line(1, name, &hash("$2b$")));
        format!("id,email,name,password,updatedAt\n{first}{second}")
    };
    summary(&setup, &["users", "-"], &file("Ada", &hash("$2b$"), 2020), 0).await;
    let mut app = setup.start().await;
    let (mut changed, mut other, mut renamed) = (app.client(), app.client(), app.client());
    changed.login(&ada(0)).await.expect(200);
    other.login(&ada(0)).await.expect(200);
    renamed.login(&ada(1)).await.expect(200);
    for (year, counted, is_over) in [(2019, [2, 0, 2, 0, 0], false), (2021, [2, 0, 0, 2, 0], true)] {
        if db == Database::Sqlite {
            app.terminate().await.expect_code(0);
        }
        let file = file("Ada Lovelace", &new, year);
        let dry = summary(&app.setup, &["users", "-", "--update", "--dry-run"], &file, 0).await;
        assert_eq!(counts(&dry), counted);
        let told = summary(&app.setup, &["users", "-", "--update"], &file, 0).await;
        assert_eq!(counts(&told), counted);
        if db == Database::Sqlite {
            app.restart().await;
            for device in [&mut changed, &mut other, &mut renamed] {
                device.follow(app.base());
            }
        }
        for device in [&mut changed, &mut other] {
            if !is_over {
                device.session().await.expect(200);
                continue;
            }
            eventually("the node has heard of it", Duration::from_secs(3), async || {
                let answer = device.session().await;
                if answer.status == 401 { Ok(answer) } else { Err(answer.to_string()) }
            })
            .await
            .expect_problem(401, "session_credentials_changed");
            device.refresh().await.expect_problem(401, "session_credentials_changed");
        }
        renamed.session().await.expect(200);
    }
    app.client().login(&ada(0)).await.expect_problem(401, "invalid_credentials");
    let ada = Person { password: "another password of hers".to_owned(), ..ada(0) };
    let user = app.client().login(&ada).await.expect(200).json["user"].clone();
    assert_eq!(user["updatedAt"], "2021-01-01T00:00:00.000Z");
    assert_eq!(renamed.me().await.expect(200).json["user"]["name"], "Ada Lovelace");
}

/// The tables as Prisma creates them.
const SCHEMA: &str = r#"
    CREATE TYPE "Role" AS ENUM ('STARTER', 'PRO', 'ENTERPRISE', 'ADMIN');
    CREATE TABLE "users" (
        "id" TEXT NOT NULL PRIMARY KEY, "email" TEXT NOT NULL UNIQUE, "name" TEXT NOT NULL, "password" TEXT NOT NULL,
        "role" "Role" NOT NULL DEFAULT 'STARTER', "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
        "updatedAt" TIMESTAMP(3) NOT NULL);
    CREATE TABLE "sessions" (
        "id" TEXT NOT NULL PRIMARY KEY, "userId" TEXT NOT NULL REFERENCES "users", "sessionToken" TEXT NOT NULL UNIQUE,
        "refreshToken" TEXT NOT NULL, "isActive" BOOLEAN NOT NULL DEFAULT true, "expiresAt" TIMESTAMP(3) NOT NULL,
        "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
"#;

const USERS: usize = 100_000;

mod a_hundred_thousand_users_move_out_of_prisma {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let old = legacy.connect().await;
        old.execute_unprepared(SCHEMA).await.unwrap();
        // Every third user has a cuid as id, one in a thousand is an operator, and three have a session.
        let fill = format!(
            r#"INSERT INTO "users" SELECT CASE n % 3 WHEN 0 THEN 'cl' || md5(n::text) ELSE gen_random_uuid()::text END,
                'ada' || n || '@example.com', 'Ada ' || n, '{}',
                (CASE n % 1000 WHEN 0 THEN 'ADMIN' ELSE 'STARTER' END)::"Role",
                TIMESTAMP '2020-01-01' + n * INTERVAL '1 minute', TIMESTAMP '2024-01-01'
            FROM generate_series(0, {}) AS n;
            INSERT INTO "sessions" SELECT 's' || n, "id", 't' || n, 'r' || n, n <> 3,
                (now() AT TIME ZONE 'UTC') + (CASE n WHEN 4 THEN -1 ELSE 1 END) * INTERVAL '1 hour'
            FROM (SELECT "id", row_number() OVER (ORDER BY "email") AS n FROM "users" LIMIT 5) AS few;"#,
            hash("$2a$"),
            USERS - 1
        );
        old.execute_unprepared(&fill).await.unwrap();

        let setup = migrated(Database::Postgres).await;
        let map = setup.data_dir().join("map.csv").display().to_string();
        let url = format!("{}?schema=public&connection_limit=5", legacy.url);
        let arguments = ["prisma", "--from", &url, "--sessions", "--id-map", &map];
        let watch = Stopwatch::start();
        let told = summary(&setup, &arguments, "", 0).await;
        let took = watch.elapsed();
        println!("{USERS} users imported in {took:?}");
        assert_eq!(counts(&told), [USERS as u64, USERS as u64, 0, 0, 0]);
        assert_eq!(
            (&told["legacySessions"]["live"], &told["legacySessions"]["users"]),
            (&3.into(), &3.into())
        );
        let changed = std::fs::read_to_string(&map).unwrap().lines().count() - 1;
        assert_eq!(changed, USERS.div_ceil(3));

        // The delta at the end: a new user, and one with a new password.
        let new_hash = bcrypt::hash("a new password", 4).unwrap();
        let delta = format!(
            r#"INSERT INTO "users" VALUES ('late', 'late@example.com', 'Late', '{}', 'PRO', now(), now());
            UPDATE "users" SET "password" = '{new_hash}', "updatedAt" = now() WHERE "email" = 'ada7@example.com'"#,
            hash("$2y$")
        );
        old.execute_unprepared(&delta).await.unwrap();
        let told = summary(&setup, &["prisma", "--from", &url, "--update"], "", 0).await;
        assert_eq!(counts(&told), [USERS as u64 + 1, 1, USERS as u64 - 1, 1, 0]);

        let app = setup.start().await;
        let mut client = app.client();
        for number in [0, 1, 2, 500, USERS - 1] {
            client.login(&ada(number)).await.expect(200);
        }
        client.login(&ada(7)).await.expect_problem(401, "invalid_credentials");
        client.login(&Person { password: "a new password".to_owned(), ..ada(7) }).await.expect(200);
        let late = Person { email: "late@example.com".to_owned(), ..ada(0) };
        assert_eq!(client.login(&late).await.expect(200).json["user"]["role"], "PRO");
    }
}

#[tokio::test]
async fn the_address_of_a_foreign_database_is_never_shown() {
    let setup = migrated(Database::Sqlite).await;
    for url in
        ["mysql://u:hunter2@x/db", "postgres://u:hunter2@h:99999/d", "postgres//u:hunter2@h/d", "hunter2"]
    {
        let ended = setup.command(&["import", "prisma", "--from", url]).await.expect_code(1);
        assert!(!ended.output.contains("hunter2"), "{}", ended.output);
        ended.expect_output("LEGACY_DATABASE_URL");
    }
}

/// A login would occupy a thread for hours, and no other login on the node would get its turn.
#[tokio::test]
async fn a_hash_that_takes_hours_is_neither_imported_nor_checked() {
    let setup = migrated(Database::Sqlite).await;
    let dear = hash("$2b$").replace("$04$", "$31$");
    let csv = |hash: &str| format!("email,name,password\nada0@example.com,Ada,{hash}\n");
    let told = summary(&setup, &["users", "-"], &csv(&dear), 1).await;
    assert_eq!(counts(&told), [1, 0, 0, 0, 1]);
    summary(&setup, &["users", "-"], &csv(&hash("$2b$")), 0).await;
    let url = format!("sqlite://{}", setup.sqlite_file().display());
    execute(&url, &format!("UPDATE users SET password_hash = '{dear}'")).await.unwrap();
    let app = setup.start().await;
    app.client().login(&ada(0)).await.expect_problem(401, "invalid_credentials");
    app.expect_log("password.hash_too_dear").await;
}

mod a_time_without_end_is_refused_and_the_rest_goes_on {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let old = legacy.connect().await;
        let fill = format!(
            r#"CREATE TABLE users (id serial PRIMARY KEY, email text, name text, password text, "createdAt" timestamp);
            INSERT INTO users (email, name, password, "createdAt") VALUES
            ('ada0@example.com', 'Ada', '{0}', 'infinity'), ('ada1@example.com', 'Ada', '{0}', '2020-01-01')"#,
            hash("$2b$")
        );
        old.execute_unprepared(&fill).await.unwrap();
        let setup = migrated(Database::Sqlite).await;
        let report = setup.data_dir().join("report").display().to_string();
        let arguments = ["prisma", "--from", &legacy.url, "--report", &report];
        assert_eq!(counts(&summary(&setup, &arguments, "", 1).await), [2, 1, 0, 0, 1]);
        let refused = std::fs::read_to_string(&report).unwrap();
        assert!(refused.contains("\"id\":\"1\"") && refused.contains("createdAt"), "{refused}");
    }
}

mod a_table_that_may_not_be_read_is_not_one_that_is_missing {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let old = legacy.connect().await;
        let role = format!("reader_{}", std::process::id());
        let fill = format!(
            "CREATE TABLE users (id serial PRIMARY KEY, email text, name text, password text);
            CREATE ROLE {role} LOGIN PASSWORD 'reader'"
        );
        old.execute_unprepared(&fill).await.unwrap();
        let url = legacy.url.replacen("postgres@", &format!("{role}:reader@"), 1);
        let setup = migrated(Database::Sqlite).await;
        let ended = setup.command(&["import", "prisma", "--from", &url]).await.expect_code(1);
        old.execute_unprepared(&format!("DROP ROLE {role}")).await.unwrap();
        ended.expect_output("permission denied for table users");
    }
}

mod a_foreign_database_is_told_what_it_lacks {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let legacy = PostgresDatabase::create().await;
        let old = legacy.connect().await;
        let setup = migrated(Database::Sqlite).await;
        let arguments = ["import", "prisma", "--from", &legacy.url, "--sessions"];
        old.execute_unprepared("CREATE TABLE people (id int)").await.unwrap();
        setup.command(&arguments).await.expect_code(1).expect_output("it has: people");
        let table =
            r#"CREATE TABLE "User" (id serial PRIMARY KEY, email text, "fullName" text, secret text)"#;
        old.execute_unprepared(table).await.unwrap();
        setup.command(&arguments).await.expect_code(1).expect_output("passwordHash").expect_output("secret");
        let fill = format!(
            r#"ALTER TABLE "User" RENAME secret TO "passwordHash";
            INSERT INTO "User" (email, "fullName", "passwordHash")
            SELECT 'ada' || n || '@example.com', 'Ada', '{}' FROM generate_series(0, 24) AS n"#,
            hash("$2b$")
        );
        old.execute_unprepared(&fill).await.unwrap();
        // Numeric ids, over several pages, into an embedded database.
        setup.command(&arguments).await.expect_code(1).expect_output("has no table sessions");
        let told = summary(&setup, &["prisma", "--from", &legacy.url, "--batch", "10"], "", 0).await;
        assert_eq!(counts(&told), [25, 25, 0, 0, 0]);
        let nowhere = ["import", "prisma", "--from", "postgres://127.0.0.1:1/none"];
        let nowhere = setup.command(&nowhere).await.expect_code(1).expect_output("the other database");
        nowhere.expect_output("refused");
        let app = setup.start().await;
        app.client().login(&ada(24)).await.expect(200);
    }
}
