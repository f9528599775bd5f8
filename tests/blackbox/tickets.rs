//! POST `/events/ticket`: connecting without a header, once.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::answer::members;
use crate::support::app::{ACCESS_SECRET, REFRESH_SECRET};
use crate::support::time::unix_millis;
use crate::support::token::Token;
use crate::support::{Client, Connection, Database, Person, TestApp, Transport, on_each_database};

on_each_database!(
    a_ticket_connects_its_session_once,
    a_ticket_does_not_outlive_its_session,
    what_was_never_given_is_refused,
    a_ticket_is_good_for_thirty_seconds,
    no_token_passes_for_another,
    a_ticket_wants_an_access_token,
);

async fn ticket(device: &Client) -> String {
    let answer = device.send(device.request(Method::POST, "/events/ticket")).await.expect(201);
    assert_eq!(members(&answer.json), ["expiresIn", "ticket"]);
    assert_eq!(answer.json["expiresIn"], 30);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

async fn a_ticket_connects_its_session_once(db: Database) {
    let app = TestApp::on(db).await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    for (transport, other) in Transport::EACH.into_iter().zip(Transport::EACH.into_iter().rev()) {
        let ticket = ticket(&device).await;
        let connection = Connection::open_by(transport, transport.request_by(&device, &ticket)).await;
        assert_eq!(connection.snapshot["sessionId"], device.session_id);
        for again in [transport, other] {
            let answer = again.refusal(&device, again.request_by(&device, &ticket)).await;
            let answer = answer.expect_problem(401, "token_invalid");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"), "{answer}");
        }
    }
}

async fn a_ticket_does_not_outlive_its_session(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let mut device = app.devices(&Person::named(&format!("Ada{transport:?}")), 1).await.remove(0);
        let ticket = ticket(&device).await;
        device.logout().await.expect(204);
        let answer = transport.refusal(&device, transport.request_by(&device, &ticket)).await;
        answer.expect_problem(401, "session_logged_out");
    }
}

async fn what_was_never_given_is_refused(db: Database) {
    let app = TestApp::on(db).await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let unknown = Uuid::new_v4().to_string();
    // An access token is not accepted as a ticket: it would end up in logs.
    let access = device.access.clone().unwrap();
    for transport in Transport::EACH {
        for ticket in
            [&unknown, "", "x", "*", "%00", "..%2F..", "%F0%9F%98%80", access.as_str(), &"7".repeat(4000)]
        {
            let answer = transport.refusal(&device, transport.request_by(&device, ticket)).await;
            answer.expect_problem(401, "token_invalid");
        }
    }
}

/// The time is in the ticket, so a test need not wait for it to pass.
async fn a_ticket_is_good_for_thirty_seconds(db: Database) {
    let app = TestApp::on(db).await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let before = unix_millis();
    let given = Token::open(&ticket(&device).await, REFRESH_SECRET);
    let valid_until = given.claims["good_until"].as_i64().unwrap();
    assert!((before + 30_000..=unix_millis() + 30_000).contains(&valid_until), "{}", given.claims);
    for transport in Transport::EACH {
        let good = given.with("jti", Uuid::new_v4().to_string()).sign(REFRESH_SECRET);
        Connection::open_by(transport, transport.request_by(&device, &good)).await;
        let old = given.with("good_until", unix_millis() - 1).sign(REFRESH_SECRET);
        let answer = transport.refusal(&device, transport.request_by(&device, &old)).await;
        answer.expect_problem(401, "token_invalid");
    }
}

async fn no_token_passes_for_another(db: Database) {
    let app = TestApp::on(db).await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let ticket = ticket(&device).await;
    let given = Token::open(&ticket, REFRESH_SECRET);
    let refresh_token = device.cookie.clone().unwrap();
    // Apart from the one thing that is changed in each, they would be valid.
    let given = given.with("jti", Uuid::new_v4().to_string());
    let no_tickets = [
        refresh_token,
        given.with_header(|header| header.typ = Some("refresh+jwt".into())).sign(REFRESH_SECRET),
        given.with_header(|header| header.typ = None).sign(REFRESH_SECRET),
        given.sign(ACCESS_SECRET),
        given.with("spent_in", "nowhere").sign(REFRESH_SECRET),
        given.with("good_until", unix_millis() + 3_600_000).sign(REFRESH_SECRET),
    ];
    for transport in Transport::EACH {
        for no_ticket in &no_tickets {
            let answer = transport.refusal(&device, transport.request_by(&device, no_ticket)).await;
            answer.expect_problem(401, "token_invalid");
        }
    }
    let mut bearer = device.clone();
    bearer.access = Some(ticket.clone());
    bearer.session().await.expect_problem(401, "token_invalid");
    let answer = app.client().post("/refresh", &json!({"refreshToken": ticket})).await;
    answer.expect_problem(401, "refresh_token_invalid");
    let unchanged = given.sign(REFRESH_SECRET);
    for good in [&ticket, &unchanged] {
        Connection::open_by(Transport::Sse, Transport::Sse.request_by(&device, good)).await;
    }
}

async fn a_ticket_wants_an_access_token(db: Database) {
    let app = TestApp::on(db).await;
    let mut device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let stranger = app.client();
    let answer = stranger.post("/events/ticket", &Value::Null).await;
    answer.expect_problem(401, "token_missing");
    device.logout().await.expect(204);
    let answer = device.post("/events/ticket", &Value::Null).await;
    answer.expect_problem(401, "session_logged_out");
}
