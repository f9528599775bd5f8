//! One mailbox, several spellings: sign-up, operators, commands and imports make one account for all of them.

use reqwest::Method;
use serde_json::json;

use super::admin_users::operated;
use super::mail::with_mail;
use crate::support::{Database, Person, Setup, on_each_database};

on_each_database!(an_operator_makes_no_second_account, every_spelling_finds_the_mailbox);

/// The form that is stored, first.
const SPELLINGS: [&str; 4] = [
    "ada@xn--bcher-kva.example",
    "ada@b\u{fc}cher.example",
    "Ada@BU\u{308}CHER.example",
    "ada@b\u{fc}cher\u{3002}example",
];
/// What nobody sees, or what turns what is seen around.
const UNSEEN: [&str; 5] = [
    "bob@example.com\u{200b}",
    "b\u{ad}ob@example.com",
    "bob@exam\u{2060}ple.com",
    "\u{202e}bob@example.com",
    "bob\u{2066}@example.com",
];

fn ada(email: &str) -> Person {
    Person { email: email.to_owned(), ..Person::named("Ada") }
}

async fn an_operator_makes_no_second_account(db: Database) {
    let setup = Setup::on(db).await;
    setup.command(&["migrate"]).await.expect_code(0);
    let create = async |email: &str| {
        let words = ["user", "create", email, "--name", "Ada"];
        setup.command_with_input(&words, "the password of Ada\n").await
    };
    create(SPELLINGS[1]).await.expect_code(0);
    let hash = bcrypt::hash("another password", 4).unwrap();
    let import = async |email: &str| {
        let file = format!("{}\n", json!({"email": email, "name": "Ada", "passwordHash": hash}));
        setup.command_with_input(&["import", "users", "-", "--json"], &file).await
    };
    for spelling in SPELLINGS {
        create(spelling).await.expect_code(1).expect_output("already exists");
        let told = import(spelling).await.expect_code(0).json();
        assert_eq!((&told["added"], &told["present"]), (&json!(0), &json!(1)), "{spelling}: {told}");
    }
    for email in &UNSEEN[..2] {
        create(email).await.expect_code(1);
        assert_eq!(import(email).await.expect_code(1).json()["refused"], 1, "{email:?}");
    }

    let (app, operator) = operated(setup).await;
    let bob = operator.post("/admin/users", &json!({"name": "Bob", "email": "bob@example.com"})).await;
    bob.expect(201);
    for spelling in SPELLINGS {
        let body = json!({"name": "Ada", "email": spelling});
        operator.post("/admin/users", &body).await.expect_problem(409, "email_taken");
        app.client().login(&ada(spelling)).await.expect(200);
        let found = operator.request(Method::GET, "/admin/users").query(&[("email", spelling)]);
        let found = operator.send(found).await.expect(200);
        assert_eq!(found.json["users"][0]["email"], SPELLINGS[0], "{found}");
    }
    for email in UNSEEN {
        let body = json!({"name": "Bob", "email": email});
        let answer = operator.post("/admin/users", &body).await.expect_problem(422, "validation_failed");
        assert_eq!(answer.fields(), ["email"]);
    }
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 2);
}

async fn every_spelling_finds_the_mailbox(db: Database) {
    let (setup, server) = with_mail(db).await;
    let app = setup.start().await;
    let mut device = app.client();
    device.signup(&ada(SPELLINGS[2])).await.expect(201);
    let mut bob = app.client();
    bob.signup(&Person::named("Bob")).await.expect(201);
    for (number, spelling) in SPELLINGS.into_iter().enumerate() {
        app.client().post("/password/reset", &json!({"email": spelling})).await.expect(202);
        // After the one of the sign-up.
        server.mail(SPELLINGS[0], number + 2).await;
        let unchanged = device.post("/email/change", &json!({"newEmail": spelling})).await;
        let unchanged = unchanged.expect_problem(422, "validation_failed");
        assert_eq!(unchanged.json["errors"][0]["code"], "unchanged", "{unchanged}");
    }
    for email in UNSEEN {
        let change = device.post("/email/change", &json!({"newEmail": email})).await;
        assert_eq!(change.expect_problem(422, "validation_failed").fields(), ["newEmail"], "{email:?}");
        let reset = app.client().post("/password/reset", &json!({"email": email})).await;
        assert_eq!(reset.expect_problem(422, "validation_failed").fields(), ["email"], "{email:?}");
    }
}
