//! Keyboards differ in how they enter an `ä`: as one character, or as two. A password is known in either
//! form, wherever it is asked for, and is held to the rules in both.

use serde_json::{Value, json};

use super::password_rules::breach_list;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

const COMPOSED: &str = "p\u{e4}ssw\u{f6}rd of hers";
const DECOMPOSED: &str = "pa\u{308}sswo\u{308}rd of hers";
const EACH_WAY: [(&str, &str); 2] = [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)];

fn known_by(name: &str, password: &str) -> Person {
    Person { password: password.to_owned(), ..Person::named(name) }
}

async fn signed_up(app: &TestApp, person: &Person) -> Client {
    let mut device = app.client();
    device.signup(person).await.expect(201);
    device
}

#[tokio::test]
async fn a_login_takes_either() {
    let app = TestApp::start().await;
    for (number, (first, second)) in EACH_WAY.into_iter().enumerate() {
        let name = format!("Ada{number}");
        signed_up(&app, &known_by(&name, first)).await;
        app.client().login(&known_by(&name, first)).await.expect(200);
        app.client().login(&known_by(&name, second)).await.expect(200);
        let other = known_by(&name, "password of hers");
        app.client().login(&other).await.expect_problem(401, "invalid_credentials");
    }
}

#[tokio::test]
async fn a_proof_and_a_change_take_either() {
    let app = TestApp::start().await;
    for (number, (first, second)) in EACH_WAY.into_iter().enumerate() {
        let name = format!("Ada{number}");
        let mut device = signed_up(&app, &known_by(&name, first)).await;
        let wrong = json!({"password": "password of hers"});
        device.post("/reauthenticate", &wrong).await.expect_problem(403, "wrong_password");
        device.send_and_keep("/reauthenticate", &json!({"password": second})).await.expect(200);
        let change = json!({"currentPassword": second, "newPassword": "a much better passphrase"});
        device.send_and_keep("/password/change", &change).await.expect(200);
        app.client().login(&known_by(&name, "a much better passphrase")).await.expect(200);
        app.client().login(&known_by(&name, first)).await.expect_problem(401, "invalid_credentials");
    }
}

/// bcrypt sees 72 bytes: a form that is longer is no password, and the one that fits must still do.
#[tokio::test]
async fn the_form_that_fits_is_the_password() {
    let app = TestApp::start().await;
    let (composed, decomposed) = ("\u{e4}".repeat(30), "a\u{308}".repeat(30));
    assert_eq!((composed.len(), decomposed.len()), (60, 90));
    signed_up(&app, &known_by("Ada", &composed)).await;
    app.client().login(&known_by("Ada", &composed)).await.expect(200);
    let too_long = app.client().login(&known_by("Ada", &decomposed)).await;
    assert_eq!(too_long.expect_problem(422, "validation_failed").fields(), ["password"]);
    // 72 bytes in both ways of counting up to it.
    let fits = ("\u{e4}".repeat(24), "a\u{308}".repeat(24));
    assert_eq!((fits.0.len(), fits.1.len()), (48, 72));
    signed_up(&app, &known_by("Bob", &fits.1)).await;
    app.client().login(&known_by("Bob", &fits.0)).await.expect(200);
}

fn registration(name: &str, password: &str) -> Value {
    json!({"name": name, "email": "ada@example.com", "password": password})
}

#[track_caller]
fn expect_weak(answer: Answer, code: &str) {
    let answer = answer.expect_problem(422, "validation_failed");
    assert_eq!(answer.json["errors"][0]["code"], code, "{answer}");
}

#[tokio::test]
async fn a_name_gives_a_password_away_in_either_form() {
    let app = TestApp::start().await;
    let client = app.client();
    for name in ["Zo\u{eb} M\u{fc}llerin", "Zoe\u{308} Mu\u{308}llerin"] {
        for password in ["M\u{fc}llerin1815", "Mu\u{308}llerin1815"] {
            expect_weak(client.post("/signup", &registration(name, password)).await, "too_guessable");
        }
    }
}

/// SHA-1 of `COMPOSED`, without its first 5 digits.
const RANGE: &str = "454C393EF51DC1DF13499B4E88B6BEC3D83:7\r\n";

#[tokio::test]
async fn a_breach_is_known_in_either_form() {
    let url = breach_list(RANGE, std::time::Duration::ZERO).await;
    let app = Setup::on(Database::Sqlite).await.set("PASSWORD_BREACH_URL", url).start().await;
    for password in [COMPOSED, DECOMPOSED] {
        expect_weak(app.client().post("/signup", &registration("Ada", password)).await, "breached");
    }
}
