//! `GET /ws`: what a device may say, and what becomes of what it may not.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Client, Closing, Connection, Database, Person, TestApp, Transport, eventually, on_each_database,
    timestamp,
};

on_each_database!(activity_counts_as_the_request_does);

async fn connected(app: &TestApp) -> (Client, Connection) {
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let connection = Connection::open(Transport::WebSocket, &device).await;
    (device, connection)
}

async fn activity_counts_as_the_request_does(db: Database) {
    let app = TestApp::on(db).await;
    let (device, mut connection) = connected(&app).await;
    let before = device.session().await.expect(200).json;
    eventually("the deadline moves", Duration::from_secs(5), async || {
        connection.say(r#"{"type":"activity","from":"a newer client"}"#).await;
        let after = device.session().await.expect(200).json;
        let moved = ["/idleExpiresAt", "/session/lastActivity", "/session/idleExpiresAt"]
            .iter()
            .all(|time| timestamp(after.pointer(time).unwrap()) > timestamp(before.pointer(time).unwrap()));
        if moved { Ok(()) } else { Err(after.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn what_it_does_not_know_is_not_heard() {
    let app = TestApp::start().await;
    let (mut device, mut connection) = connected(&app).await;
    let before = device.session().await.json["session"]["lastActivity"].clone();
    for odd in
        ["", "activity", "{}", r#"{"type":null}"#, r#"{"type":"logout"}"#, "[\"type\"]", "\u{0}\u{1F600}"]
    {
        connection.say(odd).await;
    }
    connection.say(Message::Binary(br#"{"type":"activity"}"#.to_vec().into())).await;
    // The answer to a ping comes after all that was said before it was heard.
    connection.say(Message::Ping(b"still there?".to_vec().into())).await;
    let pong = connection.socket().next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(b"still there?".to_vec().into()));
    assert_eq!(device.session().await.json["session"]["lastActivity"], before);
    device.logout().await.expect(204);
    connection.expect("session.deleted").await;
}

#[tokio::test]
async fn too_long_a_message_ends_the_connection_and_nothing_else() {
    let app = TestApp::start().await;
    let (device, mut connection) = connected(&app).await;
    // The service may have closed before all of it is written.
    let _ = connection.socket().send(Message::Text("x".repeat(1024 * 1024).into())).await;
    let closing = connection.closing().await;
    assert_ne!(closing, Closing::Frame(4401, String::new()), "the session is not over");
    device.session().await.expect(200);
    Connection::open(Transport::WebSocket, &device).await;
}

#[tokio::test]
async fn a_device_that_leaves_in_order_is_answered_in_order() {
    let app = TestApp::start().await;
    let (_device, mut connection) = connected(&app).await;
    connection.socket().close(None).await.unwrap();
    loop {
        match connection.socket().next().await {
            Some(Ok(_)) => {}
            Some(Err(cause)) => panic!("no orderly end: {cause}"),
            None => break,
        }
    }
}

#[tokio::test]
async fn a_plain_request_is_told_so() {
    let app = TestApp::start().await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    device.get("/ws").await.expect_problem(426, "upgrade_required");
}
