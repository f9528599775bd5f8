//! Users of another application without a hash: imported, mailed at a steady rate, and able to sign in once
//! they have set a password.

use std::time::Duration;

use serde_json::{Value, json};

use super::mail::with_mail;
use crate::support::time::Stopwatch;
use crate::support::{Database, Person, on_each_database};

on_each_database!(people_without_a_hash_come_in_and_set_a_password);

async fn people_without_a_hash_come_in_and_set_a_password(db: Database) {
    let (setup, server) = with_mail(db).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let file = setup.data_dir().join("users.csv");
    let file = file.to_str().unwrap();
    let hash = bcrypt::hash("whatever it was", 4).unwrap();
    let rows = format!(
        "id,email,name,password\n1,ada@example.com,Ada,\n2,bob@example.com,Bob,$argon2id$v=19$m=1\n\
         3,eve@example.com,Eve,\n4,kay@example.com,Kay,{hash}\n"
    );
    std::fs::write(file, rows).unwrap();
    // Only if that is requested.
    setup
        .command(&["import", "users", file, "--dry-run"])
        .await
        .expect_code(1)
        .expect_output("3 of 4 were refused");
    let import = ["import", "users", file, "--without-hash", "--verified"];
    setup.command(&import).await.expect_code(0).expect_output("4, 3 of them without a password");

    setup
        .command(&["mail", "resets", "--dry-run"])
        .await
        .expect_code(0)
        .expect_output("3 mails would be sent");
    setup.command(&["mail", "resets", "--limit", "1"]).await.expect_code(0).expect_output("1 mail left");
    let watch = Stopwatch::start();
    let ended = setup.command(&["mail", "resets", "--per-minute", "30"]).await.expect_code(0);
    ended.expect_output("2 mails left");
    assert!(watch.elapsed() >= Duration::from_secs(2), "faster than asked for: {:?}", watch.elapsed());
    setup.command(&["mail", "resets"]).await.expect_code(0).expect_output("0 mails left");

    let app = setup.start().await;
    let ada = Person { password: "a much better passphrase".to_owned(), ..Person::named("Ada") };
    app.client().login(&ada).await.expect_problem(401, "invalid_credentials");
    let mail = server.mail(&ada.email, 1).await;
    let link = mail.text.split("requestId=").nth(1).unwrap();
    let request: String = link.chars().take_while(|c| c.is_ascii_hexdigit() || *c == '-').collect();
    let body = json!({"requestId": request, "code": mail.code(), "newPassword": ada.password});
    app.client().post("/password/reset/confirm", &body).await.expect(204);
    let login = app.client().login(&ada).await.expect(200);
    assert_eq!(login.json["user"]["emailVerified"], true);
    for other in ["bob@example.com", "eve@example.com"] {
        server.mail(other, 1).await;
    }
    assert!(server.received("kay@example.com").is_empty());

    // A later import leaves the password that was set here.
    std::fs::write(
        app.setup.data_dir().join("users.csv"),
        "id,email,name,password,updatedAt\n1,ada@example.com,Ada King,,2999-01-01\n",
    )
    .unwrap();
    let mut app = app;
    if db == Database::Sqlite {
        app.terminate().await.expect_code(0);
    }
    let update = ["import", "users", "users.csv", "--without-hash", "--update"];
    app.setup.command(&update).await.expect_code(0).expect_output("updated  1");
    if db == Database::Sqlite {
        app.restart().await;
    }
    let login = app.client().login(&ada).await.expect(200);
    assert_eq!(login.json["user"]["name"], Value::from("Ada King"));
}
