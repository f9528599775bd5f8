//! Mails: from a change to the server or to a file, whatever the server does.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{self, pki_types::PrivateKeyDer};

use crate::support::smtp::{MailServer, Manner};
use crate::support::time::Stopwatch;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    a_mail_arrives_once_with_a_code_and_a_link,
    a_refusal_is_final_and_a_delay_is_not,
    slow_receivers_hold_up_nobody_else,
    a_mail_whose_text_was_sent_is_left_alone_for_a_while
);

/// A service with mail, and its server.
pub(crate) async fn with_mail(database: Database) -> (Setup, MailServer) {
    let server = MailServer::start().await;
    let setup = Setup::on(database)
        .await
        .set("SMTP_URL", server.url())
        .set("MAIL_FROM", "Example <no-reply@example.com>")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c");
    (setup, server)
}

/// Signs up, and waits for the mail that a sign-up causes.
async fn sign_up(app: &TestApp, server: &MailServer, name: &str) -> Person {
    let person = Person::named(name);
    app.client().signup(&person).await.expect(201);
    server.mail(&person.email, 1).await;
    person
}

async fn ask_for_reset(client: &Client, email: &str) -> Value {
    client.post("/password/reset", &json!({"email": email})).await.expect(202).json
}

/// A mail is counted a moment after it has arrived: once the server's reply has been read.
async fn resets_are_counted(app: &TestApp, outcome: &str) {
    let line = format!("auth_mails_total{{kind=\"password_reset\",outcome=\"{outcome}");
    eventually(&line, Duration::from_secs(10), async || {
        let metrics = app.client().get("/metrics").await.expect(200).text;
        if metrics.contains(&line) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

async fn a_mail_arrives_once_with_a_code_and_a_link(database: Database) {
    let (setup, server) = with_mail(database).await;
    let app = setup.start().await;
    let ada = sign_up(&app, &server, "Ada").await;
    let body = json!({"email": "ADA@Example.com ", "locale": "de"});
    let asked = app.client().post("/password/reset", &body).await.expect(202).json;
    assert_eq!(asked["expiresIn"], 600);

    let mail = server.mail_about(&ada.email, "Passwort").await;
    let link = format!(
        "https://app.example.com/reset-password#requestId={}&code={}",
        asked["requestId"].as_str().unwrap(),
        mail.code()
    );
    assert!(mail.text.contains(&link), "no {link} in {}", mail.text);
    assert_eq!(mail.header("From"), "Example <no-reply@example.com>");
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
    assert!(mail.text.contains("text/plain") && mail.text.contains("<html lang=\"de\">"));

    // The next mail has arrived, and none arrived twice.
    let eve = sign_up(&app, &server, "Eve").await;
    ask_for_reset(&app.client(), &eve.email).await;
    server.mail_about(&eve.email, "Set a new password").await;
    let resets = server.received(&ada.email).into_iter().filter(|it| it.text.contains("reset-password"));
    assert_eq!(resets.count(), 1);
    resets_are_counted(&app, "sent\"} 2").await;
}

async fn a_refusal_is_final_and_a_delay_is_not(database: Database) {
    let (setup, server) = with_mail(database).await;
    let app = setup.start().await;
    let (ada, eve) = (sign_up(&app, &server, "Ada").await, sign_up(&app, &server, "Eve").await);
    server.always(&ada.email, Manner::Refuse);
    server.next(&eve.email, &[Manner::Defer]);
    let watch = Stopwatch::start();
    ask_for_reset(&app.client(), &ada.email).await;
    ask_for_reset(&app.client(), &eve.email).await;
    server.mail_about(&eve.email, "Set a new password").await;
    assert!(watch.elapsed() >= Duration::from_secs(10), "tried again too soon: {:?}", watch.elapsed());
    assert_eq!((server.tries(&ada.email), server.tries(&eve.email)), (1 + 1, 1 + 2));
    for outcome in ["failed\"} 1", "deferred\"} 1", "sent\"} 1"] {
        resets_are_counted(&app, outcome).await;
    }
    assert!(!app.logs().contains(&eve.email) && !app.logs().contains("no such mailbox"));
}

async fn slow_receivers_hold_up_nobody_else(database: Database) {
    let (setup, server) = with_mail(database).await;
    let app = setup.set("RATE_LIMIT_ENABLED", false).start().await;
    for number in 0..100 {
        let person = sign_up(&app, &server, &format!("Slow{number}")).await;
        let manner = if number % 2 == 0 { Manner::HangAtRecipient } else { Manner::HangAfterText };
        server.always(&person.email, manner);
        ask_for_reset(&app.client(), &person.email).await;
    }
    let ada = sign_up(&app, &server, "Ada").await;
    let watch = Stopwatch::start();
    ask_for_reset(&app.client(), &ada.email).await;
    server.mail_about(&ada.email, "Set a new password").await;
    println!("sent past 100 slow receivers in {:?}", watch.elapsed());
}

async fn a_mail_whose_text_was_sent_is_left_alone_for_a_while(database: Database) {
    let (setup, server) = with_mail(database).await;
    let app = setup.start().await;
    for (name, manner) in [("Ada", Manner::BreakAfterText), ("Eve", Manner::DeferText)] {
        let person = sign_up(&app, &server, name).await;
        server.next(&person.email, &[manner]);
        ask_for_reset(&app.client(), &person.email).await;
    }
    // A text that the server deferred is sent again soon; one without a reply may have been accepted.
    server.mail_about("eve@example.com", "Set a new password").await;
    assert_eq!((server.tries("ada@example.com"), server.tries("eve@example.com")), (1 + 1, 1 + 2));
}

#[tokio::test]
async fn without_a_server_a_mail_is_a_file_of_its_owner_alone() {
    let setup = Setup::on(Database::Sqlite).await;
    let app = setup.set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c").start().await;
    let config = app.client().get("/config").await.expect(200).json;
    assert!(config["features"].as_array().unwrap().contains(&json!("mail")), "{config}");
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    ask_for_reset(&app.client(), &ada.email).await;
    let folder = app.setup.data_dir().join("mails");
    let file = eventually("the mail is a file", Duration::from_secs(10), async || {
        let files = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
        let mut names = files.map(|file| file.unwrap().path());
        names.find(|path| path.display().to_string().ends_with("-password_reset.eml")).ok_or_else(String::new)
    })
    .await;
    eventually("the log tells where", Duration::from_secs(10), async || {
        let told = app.logs().contains(file.file_name().unwrap().to_str().unwrap());
        if told { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("To: ada@example.com") && text.contains("Auto-Submitted: auto-generated"),
        "{text}"
    );
}

#[tokio::test]
async fn without_mail_there_are_no_such_routes() {
    let app = TestApp::start().await;
    let client = app.client();
    client.post("/password/reset", &json!({"email": "a@example.com"})).await.expect_problem(404, "not_found");
    client.post("/password/reset", &json!([])).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn templates_are_tried_out_at_start() {
    let (setup, _server) = with_mail(Database::Sqlite).await;
    let folder = setup.data_dir().join("templates/en");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("password_reset.txt"), "{{ code }} {{ nothing_of_that_name }}").unwrap();
    let setup = setup.set("MAIL_TEMPLATES_DIR", "templates");
    setup.run().await.expect_code(2).expect_output("en/password_reset.txt");
    setup.command(&["config", "check"]).await.expect_code(2).expect_output("en/password_reset.txt");
    let (setup, _server) = with_mail(Database::Sqlite).await;
    setup.set("MAIL_FROM", "nobody").run().await.expect_code(2).expect_output("MAIL_FROM");
}

#[tokio::test]
async fn operators_try_the_server_out_and_look_after_what_failed() {
    let (setup, server) = with_mail(Database::Sqlite).await;
    let app = setup.start().await;
    app.setup.command(&["mail", "test", "ada@example.com"]).await.expect_code(0);
    assert!(server.mail("ada@example.com", 1).await.header("Subject").contains("A test"));
    server.always("eve@example.com", Manner::Refuse);
    let refused = app.setup.command(&["mail", "test", "eve@example.com"]).await.expect_code(1);
    refused.expect_output("smtp_550");
    app.setup.command(&["mail", "test", "nobody"]).await.expect_code(1);

    let eve = Person::named("Eve");
    app.client().signup(&eve).await.expect(201);
    ask_for_reset(&app.client(), &eve.email).await;
    eventually("they are refused", Duration::from_secs(10), async || {
        if server.tries(&eve.email) >= 3 { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    let mut app = app;
    app.terminate().await.expect_code(0);
    let list = app.setup.command(&["mail", "list", "--failed", "--json"]).await.expect_code(0).json();
    assert_eq!((&list[0]["outcome"], &list[0]["error"]), (&json!("failed"), &json!("smtp_550")), "{list}");
    app.setup.command(&["mail", "retry"]).await.expect_code(0).expect_output("2 mails tried again");
    server.always(&eve.email, Manner::Take);
    app.restart().await;
    server.mail_about(&eve.email, "Set a new password").await;
}

/// Nothing can be stored in that table until the trigger is gone.
async fn refuse_rows(app: &TestApp, table: &str) {
    let raise = "BEGIN SELECT RAISE(ABORT, 'refused'); END";
    app.execute(&format!("CREATE TRIGGER refuse BEFORE INSERT ON {table} {raise}")).await;
}

/// An account and the mail that belongs to it are stored together or not at all, so a retry is possible.
#[tokio::test]
async fn an_account_is_not_made_without_its_mail() {
    let (setup, server) = with_mail(Database::Sqlite).await;
    let key = setup.api_key(&["users:write"]).await;
    for rest in ["", "STARTER"] {
        let app = setup_of(rest).await.start().await;
        let ada = Person::named("Ada");
        refuse_rows(&app, "mail_requests").await;
        app.client().signup(&ada).await.expect_problem(503, "unavailable");
        assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 0);
        app.execute("DROP TRIGGER refuse").await;
        let answer = app.client().signup(&ada).await;
        assert!(answer.json["emailVerification"]["requestId"].is_string(), "{answer}");
    }
    let app = setup.start().await;
    let mut operator = app.client();
    operator.access = Some(key);
    let guest = json!({"name": "Guest", "email": "guest@example.com", "invite": true});
    refuse_rows(&app, "mails").await;
    operator.post("/admin/users", &guest).await.expect_problem(503, "unavailable");
    assert_eq!(app.count("SELECT COUNT(*) FROM users").await, 0);
    app.execute("DROP TRIGGER refuse").await;
    operator.post("/admin/users", &guest).await.expect(201);
    server.mail("guest@example.com", 1).await;
}

/// Mail as files, and roles that must have a second factor.
async fn setup_of(roles: &str) -> Setup {
    let setup = Setup::on(Database::Sqlite).await.set("SECOND_FACTOR_ROLES", roles);
    setup.set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
}

/// Speaks TLS for the mail server, with a certificate that is its own authority (PEM). Gives the port.
async fn with_tls(server: &MailServer) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let (acceptor, target) = (tokio_rustls::TlsAcceptor::from(Arc::new(config)), server.address());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the server goes away.
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut server = TcpStream::connect(target).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    (port, made.cert.pem())
}

/// The system's authorities are trusted, and `SMTP_CA_FILE` adds to them.
#[tokio::test]
async fn a_mail_server_is_trusted_by_the_system_and_by_the_file() {
    for variable in ["SSL_CERT_FILE", "SMTP_CA_FILE"] {
        let (setup, server) = with_mail(Database::Sqlite).await;
        let (port, authority) = with_tls(&server).await;
        let file = setup.data_dir().join("authority.pem");
        std::fs::write(&file, authority).unwrap();
        let setup = setup.set("SMTP_URL", format!("smtps://localhost:{port}")).set(variable, file.display());
        sign_up(&setup.start().await, &server, "Ada").await;
    }
}

/// A stranger's certificate is trusted by nobody.
#[tokio::test]
async fn a_mail_server_that_nobody_vouches_for_gets_no_mail() {
    let (setup, server) = with_mail(Database::Sqlite).await;
    let (port, _) = with_tls(&server).await;
    let app = setup.set("SMTP_URL", format!("smtps://localhost:{port}")).start().await;
    app.client().signup(&Person::named("Ada")).await.expect(201);
    app.expect_log("mail.not_sent").await;
    assert!(server.all().is_empty());
}
