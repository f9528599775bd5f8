//! A reset discloses nothing about accounts, whatever the mail server does; and following links in mails
//! changes nothing.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::mail::with_mail;
use crate::support::answer::members;
use crate::support::smtp::{MailServer, Manner};
use crate::support::time::Stopwatch;
use crate::support::{Answer, Client, Database, Person, TestApp, on_each_database};

on_each_database!(a_reset_takes_the_same_time_for_anybody, links_that_are_followed_change_nothing);

/// Resets of each kind; set `DISCLOSURE_ROUNDS` for more.
const ROUNDS: usize = 300;
const PEOPLE: usize = 10;
/// The factor by which the medians may differ.
const FACTOR: f64 = 1.1;
/// Another program may occupy the processor for a while: then the measurement is repeated.
const TRIES: usize = 4;

async fn ask(client: &Client, email: &str) -> (Answer, Duration) {
    let watch = Stopwatch::start();
    let answer = client.post("/password/reset", &json!({"email": email})).await;
    (answer.expect(202), watch.elapsed())
}

/// The part of a response that does not depend on its ids and its time.
fn shape(answer: &Answer) -> (Vec<String>, usize, Vec<String>) {
    let varies = ["date", "x-request-id"];
    let headers = answer.headers.iter().filter(|(name, _)| !varies.contains(&name.as_str()));
    let headers =
        headers.map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    let members = members(&answer.json).into_iter().map(str::to_owned).collect();
    (members, answer.text.len(), headers)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The medians for known and for unknown addresses, requested alternately.
async fn measure(client: &Client, round: &mut usize, rounds: usize) -> (Duration, Duration) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        *round += 1;
        let number = *round;
        let addresses = [
            format!("person{}@example.com", number % PEOPLE),
            format!("nobody{}@example.com", number % PEOPLE),
        ];
        // The order alternates, so that neither is always second.
        let order = if number.is_multiple_of(2) { [0, 1] } else { [1, 0] };
        let mut shapes = Vec::new();
        for which in order {
            let (answer, took) = ask(client, &addresses[which]).await;
            shapes.push(shape(&answer));
            if which == 0 { known.push(took) } else { unknown.push(took) }
        }
        assert_eq!(shapes[0], shapes[1]);
    }
    (median(known), median(unknown))
}

async fn a_reset_takes_the_same_time_for_anybody(db: Database) {
    let rounds = std::env::var("DISCLOSURE_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for state in ["up", "slow", "dead"] {
        let (setup, server) = with_mail(db).await;
        let app = setup.start().await;
        for number in 0..PEOPLE {
            let person = Person::named(&format!("Person{number}"));
            app.client().signup(&person).await.expect(201);
            if state == "slow" {
                server.always(&person.email, Manner::HangAtRecipient);
            }
        }
        let _server = (state != "dead").then_some(server);
        let (client, mut round) = (app.client(), 0);
        measure(&client, &mut round, 20).await;
        let mut seen = Vec::new();
        let fits = loop {
            let (known, unknown) = measure(&client, &mut round, rounds).await;
            let ratio = known.as_secs_f64() / unknown.as_secs_f64();
            println!("mail server {state}: known {known:?}, unknown {unknown:?}, ratio {ratio:.3}");
            seen.push(ratio);
            if (1.0 / FACTOR..=FACTOR).contains(&ratio) {
                break true;
            }
            if seen.len() == TRIES {
                break false;
            }
        };
        assert!(fits, "mail server {state}: {seen:?}");
    }
}

/// Every link in every mail so far.
fn links(server: &MailServer) -> Vec<String> {
    let mut found = Vec::new();
    for mail in server.all() {
        for part in mail.text.split("https://app.example.com").skip(1) {
            let end = part.find(|c: char| c.is_whitespace() || "\"<>".contains(c)).unwrap_or(part.len());
            found.push(part[..end].replace("&amp;", "&"));
        }
    }
    found
}

async fn links_that_are_followed_change_nothing(db: Database) {
    let (setup, server) = with_mail(db).await;
    let key = setup.api_key(&["users:write"]).await;
    let app = setup.start().await;
    let (ada, mut device) = (Person::named("Ada"), app.client());
    let signup = device.signup(&ada).await.expect(201).json;
    let verification = server.mail(&ada.email, 1).await;
    let reset = device.post("/password/reset", &json!({"email": ada.email})).await.expect(202).json;
    let reset_code = server.mail_about(&ada.email, "Set a new password").await.code();
    let change = device.post("/email/change", &json!({"newEmail": "new@example.com"})).await.expect(202).json;
    let change_code = server.mail("new@example.com", 1).await.code();
    let mut operator = app.client();
    operator.access = Some(key);
    let guest = json!({"name": "Guest", "email": "guest@example.com", "invite": true});
    operator.post("/admin/users", &guest).await.expect(201);
    server.mail("guest@example.com", 1).await;

    let links = links(&server);
    assert!(links.iter().filter(|link| link.contains("requestId=")).count() >= 2, "{links:?}");
    follow(&app, &links, &[&signup["emailVerification"], &reset, &change], &reset_code).await;

    // Every code is as valid as before.
    let confirm = |asked: &Value, code: &str| json!({"requestId": asked["requestId"], "code": code});
    let body = confirm(&signup["emailVerification"], &verification.code());
    device.post("/email/verification/confirm", &body).await.expect(200);
    device.post("/email/change/confirm", &confirm(&change, &change_code)).await.expect(200);
    // The address it was for no longer belongs to the account; that alone makes it invalid.
    let mut body = confirm(&reset, &reset_code);
    body["newPassword"] = json!("a much better passphrase");
    app.client().post("/password/reset/confirm", &body).await.expect_problem(422, "validation_failed");
    let again = device.post("/password/reset", &json!({"email": "new@example.com"})).await.expect(202).json;
    let code = server.mail_about("new@example.com", "Set a new password").await.code();
    let body =
        json!({"requestId": again["requestId"], "code": code, "newPassword": "a much better passphrase"});
    app.client().post("/password/reset/confirm", &body).await.expect(204);
}

/// Sends GET and HEAD to every link, and to every route that takes a code, with the mail's values as query.
async fn follow(app: &TestApp, links: &[String], asked: &[&Value], code: &str) {
    let client = app.client();
    for link in links {
        for path in [link.clone(), link.replace('#', "?")] {
            for method in [Method::GET, Method::HEAD] {
                // Pages of the service itself are among them: their responses do not matter here.
                client.request(method, &path).send().await.unwrap();
            }
        }
    }
    let routes = [
        "/password/reset/confirm",
        "/email/verification/confirm",
        "/email/change/confirm",
        "/signup/confirm",
    ];
    for (path, asked) in routes.iter().flat_map(|path| asked.iter().map(move |asked| (path, asked))) {
        let id = asked["requestId"].as_str().unwrap();
        let path = format!("{path}?requestId={id}&code={code}&newPassword=a%20much%20better%20passphrase");
        for method in [Method::GET, Method::HEAD] {
            let answer = client.send(client.request(method, &path)).await;
            assert!([404, 405].contains(&answer.status), "{path}: {}", answer.status);
        }
    }
}
