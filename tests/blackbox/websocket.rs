//! `GET /ws`: what a device may send, and what happens if it sends anything else.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::live::narrow_websocket;
use crate::support::metrics::Metrics;
use crate::support::{
    Client, Closing, Connection, Database, Person, TestApp, Transport, eventually, on_each_database,
    timestamp,
};

/// The service waits at most 10 s for a write; the rest is for slow machines.
const LET_GO_WITHIN: Duration = Duration::from_secs(25);

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
    // The reply to a ping arrives after the service has handled everything sent before the ping.
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
    // The service may close the connection before all of it is written.
    let _ = connection.socket().send(Message::Text("x".repeat(1024 * 1024).into())).await;
    match connection.closing().await {
        Closing::Frame(code, _) => assert_eq!(code, 1009, "too big to process (RFC 6455, 7.4.1)"),
        Closing::End | Closing::Broken(_) => {}
    }
    device.session().await.expect(200);
    Connection::open(Transport::WebSocket, &device).await;
}

/// The replies to its pings no longer fit into the connection: it is not waited for, and its slot is freed.
#[tokio::test]
async fn who_pings_and_reads_nothing_is_let_go() {
    let app = TestApp::start().await;
    let device = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let mut socket = narrow_websocket(&device).await;
    let pinging = async {
        let ping = Message::Ping(vec![0; 125].into());
        while socket.send(ping.clone()).await.is_ok() {}
    };
    let its_place_is_free = eventually("its place is free", LET_GO_WITHIN, async || {
        match Metrics::read(&device).await.sum("auth_connected_devices") {
            Some(0.0) => Ok(()),
            count => Err(format!("{count:?} connected")),
        }
    });
    // In the end nobody reads its pings either, so its writes may block forever.
    tokio::select! {
        () = its_place_is_free => {}
        () = async { pinging.await; std::future::pending().await } => {}
    }
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
