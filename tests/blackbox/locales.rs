//! The language of mails: the request's, else the account's, which is set by the first sign-up or login that
//! names one.

use serde_json::json;

use super::mail::with_mail;
use crate::support::{Database, Person, on_each_database};

on_each_database!(
    mails_are_in_the_language_that_was_asked_for,
    an_unverified_address_is_asked_for_in_the_logins_language
);

async fn mails_are_in_the_language_that_was_asked_for(db: Database) {
    let (setup, server) = with_mail(db).await;
    let app = setup.start().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    let mut body = ada.registration();
    body["locale"] = json!("de");
    let signup = device.signup_with(&body).await.expect(201);
    assert_eq!(signup.json["user"]["locale"], "de");
    let mail = server.mail(&ada.email, 1).await;
    assert!(mail.text.contains("<html lang=\"de\">"), "{}", mail.text);

    // A login sets the language only of an account that has none.
    let bob = Person::named("Bob");
    app.client().signup(&bob).await.expect(201);
    for (person, locale, kept) in [(&bob, "de", "de"), (&bob, "en", "de"), (&ada, "en", "de")] {
        let mut body = person.credentials();
        body["locale"] = json!(locale);
        let login = device.login_with(&body).await.expect(200);
        assert_eq!(login.json["user"]["locale"], kept, "{} {locale}", person.name);
        assert_eq!(device.me().await.expect(200).json["user"]["locale"], kept);
    }
    let change = json!({"currentPassword": ada.password, "newPassword": "a much better passphrase"});
    device.post("/password/change", &change).await.expect(200);
    server.mail_about(&ada.email, "Passwort").await;
    let mut body = ada.credentials();
    body["locale"] = json!("../de");
    let refused = app.client().login_with(&body).await.expect_problem(422, "validation_failed");
    assert_eq!(refused.fields(), ["locale"]);
}

async fn an_unverified_address_is_asked_for_in_the_logins_language(db: Database) {
    let (setup, server) = with_mail(db).await;
    let mut app = setup.start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    server.mail(&ada.email, 1).await;
    app.restart_with(&[("REQUIRE_VERIFIED_EMAIL", "true")]).await;
    let mut body = ada.credentials();
    body["locale"] = json!("de");
    let asked = app.client().login_with(&body).await.expect_problem(403, "email_verification_required");
    let mail = server.mail(&ada.email, 2).await;
    assert!(mail.text.contains("<html lang=\"de\">"), "{}", mail.text);
    let body = json!({"loginTicket": asked.json["loginTicket"], "emailCode": mail.code()});
    let login = app.client().post("/login/continue", &body).await.expect(200);
    assert_eq!(login.json["user"]["locale"], "de");
}
