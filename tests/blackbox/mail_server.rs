//! Mail through a mail server that nobody here wrote: Debian's Exim.

use std::collections::HashSet;

use serde_json::json;

use crate::support::exim::{Exim, LOGIN};
use crate::support::{Database, Person, Setup};

async fn setup(server: &Exim) -> Setup {
    let setup = Setup::on(Database::Sqlite).await;
    setup
        .set("SMTP_URL", server.url(LOGIN))
        .set("SMTP_CA_FILE", server.authority().display())
        .set("MAIL_FROM", "Grüße <no-reply@example.com>")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
}

#[tokio::test]
#[ignore = "needs Exim: run ./scripts/test"]
async fn a_server_that_greylists_gets_each_mail_once_when_it_lets_it_in() {
    let server = Exim::start().await;
    let app = setup(&server).await.start().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    let asked = device.signup(&ada).await.expect(201).json;
    app.expect_log("smtp_451").await;
    assert!(server.delivered().is_empty());
    server.open();
    let mail = server.mail_about("is your code").await;
    assert_eq!(mail.to, ada.email);
    let body = json!({"requestId": asked["emailVerification"]["requestId"], "code": mail.code()});
    device.post("/email/verification/confirm", &body).await.expect(200);

    // A text with more than ASCII arrives as it was written, and so does its code.
    let body = json!({"email": ada.email, "locale": "de"});
    let asked = app.client().post("/password/reset", &body).await.expect(202).json;
    let mail = server.mail_about("Passwort").await;
    assert!(mail.text.contains("möchte ein neues Passwort"), "{}", mail.text);
    let body = json!({
        "requestId": asked["requestId"], "code": mail.code(), "newPassword": "a much better passphrase"
    });
    app.client().post("/password/reset/confirm", &body).await.expect(204);
    server.mail_about("was changed").await;
    let delivered = server.delivered();
    let ids: HashSet<_> = delivered.iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!((delivered.len(), ids.len()), (3, 3), "{delivered:?}");
}

#[tokio::test]
#[ignore = "needs Exim: run ./scripts/test"]
async fn a_wrong_login_is_named_and_a_right_one_tried_out() {
    let server = Exim::start().await;
    server.open();
    let right = setup(&server).await;
    right.command(&["mail", "test", "ada@example.com"]).await.expect_code(0);
    server.mail_about("A test").await;
    let wrong = right.set("SMTP_URL", server.url((LOGIN.0, "a wrong one")));
    wrong.command(&["mail", "test", "ada@example.com"]).await.expect_code(1).expect_output("smtp_535");
}
