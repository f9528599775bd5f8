//! Settings of mail.

use super::super::tests::{errors, parse, production, refused};
use super::*;

const SECRET: (&str, &str) = ("ENCRYPTION_SECRET", "1b7f4cc2a0de49f58e6d3b9271f0a8c4");
const APP: (&str, &str) = ("APP_URL", "https://app.example.com/");
const SENDER: (&str, &str) = ("MAIL_FROM", "Example <no-reply@example.com>");

#[test]
fn servers() {
    let smtp = parse(&[("SMTP_URL", "smtps://ada%40example.com:p%3Aw@mail.example.com"), SECRET]).mail.smtp;
    let smtp = smtp.unwrap();
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("mail.example.com", 465, SmtpTls::Implicit));
    let (user, password) = smtp.credentials.unwrap();
    assert_eq!((user.as_str(), password.expose()), ("ada@example.com", "p:w"));
    let smtp = parse(&[("SMTP_URL", "smtp://[::1]:2525?tls=required"), SECRET]).mail.smtp.unwrap();
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("::1", 2525, SmtpTls::StartTls));
    for url in [
        "hunter2",
        "smtp://",
        "http://hunter2",
        "smtp://hunter2@mail",
        "smtp://mail:hunter2",
        "smtp://mail?tls=opportunistic",
        "smtp://mail/hunter2",
    ] {
        let told = errors(&[("SMTP_URL", url), SECRET]).to_string();
        assert!(told.starts_with("SMTP_URL: got a secret of ") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn production_wants_tls_a_secret_a_sender_and_somewhere_to_lead_to() {
    let smtps = ("SMTP_URL", "smtps://mail.example.com");
    assert_eq!(refused(&production(&[smtps])), ["APP_URL", "MAIL_FROM", "ENCRYPTION_SECRET"]);
    let mail = parse(&production(&[smtps, SECRET, APP, SENDER])).mail;
    assert_eq!((mail.app_url.as_deref(), mail.is_on()), (Some("https://app.example.com"), true));
    for plain in ["smtp://mail.example.com", "smtp://192.0.2.1"] {
        let vars = [("SMTP_URL", plain), SECRET, APP, SENDER];
        assert_eq!(refused(&production(&vars)), ["SMTP_URL"]);
    }
    assert!(parse(&production(&[("SMTP_URL", "smtp://127.0.0.1"), SECRET, APP, SENDER])).mail.is_on());
}

#[test]
fn a_secret_alone_makes_mail_outside_production_only() {
    let mail = parse(&[SECRET]).mail;
    assert!(mail.to_files && mail.is_on());
    assert!(!parse(&[]).mail.is_on() && !parse(&production(&[SECRET])).mail.is_on());
    assert!(!parse(&[("SMTP_URL", "smtp://localhost"), SECRET]).mail.to_files);
}

#[test]
fn pages_and_languages() {
    for url in ["app.example.com", "ftp://a.example", "https://a.example/?q", "https://", "https://a b"] {
        assert_eq!(refused(&[("APP_URL", url)]), ["APP_URL"], "{url}");
    }
    assert_eq!(
        parse(&[("APP_URL", "http://localhost:3000/x/")]).mail.app_url.unwrap(),
        "http://localhost:3000/x"
    );
    for locale in ["../en", "EN", "e", "en-", "en_US"] {
        assert_eq!(refused(&[("MAIL_LOCALE", locale)]), ["MAIL_LOCALE"], "{locale}");
    }
    assert_eq!(parse(&[("MAIL_LOCALE", "pt-BR")]).mail.locale, "pt-BR");
}
