//! Which values of name, email and password are refused, and that nothing else is.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Person, TestApp};

/// A registration with one member replaced.
fn registration_with(member: &str, value: impl Into<Value>) -> Value {
    let mut body = Person::named("Ada").registration();
    body[member] = value.into();
    body
}

async fn refused(client: &Client, path: &str, body: &Value) -> Answer {
    client.post(path, body).await.expect_problem(422, "validation_failed")
}

#[tokio::test]
async fn signup_refuses_what_the_rules_forbid() {
    let app = TestApp::start().await;
    let client = app.client();
    let forbidden = [
        ("name", String::new()),
        ("name", "   ".to_owned()),
        ("name", "n".repeat(101)),
        ("name", "Ada\nLovelace".to_owned()),
        ("name", "Ada\u{7f}".to_owned()),
        ("email", String::new()),
        ("email", "ada".to_owned()),
        ("email", "ada@".to_owned()),
        ("email", "@example.com".to_owned()),
        ("email", "ada lovelace@example.com".to_owned()),
        // 255 characters.
        ("email", format!("ada@{}.com", "e".repeat(247))),
        ("password", "1234567".to_owned()),
        // Characters are counted, not bytes: there must be eight.
        ("password", "ключей7".to_owned()),
        ("password", "p".repeat(73)),
        // 25 characters of three bytes each.
        ("password", "€".repeat(25)),
        ("password", "with a \0 within".to_owned()),
    ];
    for (member, value) in forbidden {
        let answer = refused(&client, "/signup", &registration_with(member, value)).await;
        assert_eq!(answer.fields(), [member], "{answer}");
    }
}

#[tokio::test]
async fn signup_takes_what_the_rules_just_allow() {
    let app = TestApp::start().await;
    let mut allowed = [
        registration_with("name", "n"),
        // A hundred characters, three hundred bytes.
        registration_with("name", "€".repeat(100)),
        registration_with("password", "x7 q9 kz"),
        registration_with("password", "ключей 8"),
        registration_with("password", "p".repeat(72)),
        registration_with("password", "€".repeat(24)),
    ];
    for (number, body) in allowed.iter_mut().enumerate() {
        body["email"] = json!(format!("person{number}@example.com"));
        app.client().signup_with(body).await.expect(201);
        app.client().login_with(body).await.expect(200);
    }
}

#[tokio::test]
async fn a_long_password_is_refused_and_never_cut() {
    let app = TestApp::start().await;
    let mut body = registration_with("password", "p".repeat(72));
    app.client().signup_with(&body).await.expect(201);

    body["password"] = json!("p".repeat(73));
    let answer = refused(&app.client(), "/login", &body).await;
    assert_eq!(answer.fields(), ["password"]);
}

#[tokio::test]
async fn a_missing_member_and_null_are_required_and_all_are_told_at_once() {
    let app = TestApp::start().await;
    let client = app.client();
    let everything = ["email", "name", "password"];
    let nulls = json!({"name": null, "email": null, "password": null});
    for body in [json!({}), nulls] {
        let answer = refused(&client, "/signup", &body).await;
        assert_eq!(answer.fields(), everything, "{answer}");
        for error in answer.json["errors"].as_array().unwrap() {
            assert_eq!(error["code"], "required", "{answer}");
        }
    }
    let answer = refused(&client, "/login", &json!({"email": null})).await;
    assert_eq!(answer.fields(), ["email", "password"]);

    let wrong = json!({"name": "", "email": "nobody", "password": "short"});
    let answer = refused(&client, "/signup", &wrong).await;
    assert_eq!(answer.fields(), everything, "{answer}");
}

#[tokio::test]
async fn login_refuses_only_what_no_account_can_have() {
    let app = TestApp::start().await;
    let client = app.client();
    for password in [String::new(), "p".repeat(73), "a \0 within".to_owned()] {
        let body = json!({"email": "ada@example.com", "password": password});
        let answer = refused(&client, "/login", &body).await;
        assert_eq!(answer.fields(), ["password"]);
    }
    for (email, password) in [("ada@example.com", "x"), ("nobody", "long enough")] {
        client
            .post("/login", &json!({"email": email, "password": password}))
            .await
            .expect_problem(401, "invalid_credentials");
    }
}
