//! The limits of live connections: which origins, how many, how slow, and until when.

use std::time::Duration;

use crate::support::live::{narrow_stream, narrow_websocket};
use crate::support::metrics::Metrics;
use crate::support::time::Stopwatch;
use crate::support::{
    Client, Closing, Connection, Database, Person, Setup, TestApp, Transport, eventually, on_each_database,
};

on_each_database!(so_many_and_no_more_for_each_session, shutdown_ends_each_in_its_way);

const SOON: Duration = Duration::from_secs(5);

async fn signed_in(app: &TestApp) -> Client {
    app.devices(&Person::named("Ada"), 1).await.remove(0)
}

async fn so_many_and_no_more_for_each_session(db: Database) {
    let app = Setup::on(db).await.set("MAX_CONNECTIONS_PER_SESSION", 2).start().await;
    let devices = app.devices(&Person::named("Ada"), 2).await;
    let stream = Connection::open(Transport::Sse, &devices[0]).await;
    let mut socket = Connection::open(Transport::WebSocket, &devices[0]).await;
    for transport in Transport::EACH {
        let refused = transport.refusal(&devices[0], transport.request(&devices[0])).await;
        refused.expect_problem(429, "rate_limited");
    }
    let _others = Connection::open(Transport::Sse, &devices[1]).await;

    drop(stream);
    eventually("the stream's place is free again", SOON, async || has_place(&devices[0]).await).await;
    app.client().login(&Person::named("Ada")).await.expect(200);
    socket.expect("session.created").await;
}

/// Whether a WebSocket is accepted; it disconnects at once.
async fn has_place(device: &Client) -> Result<(), String> {
    let answer = Transport::WebSocket.refusal(device, Transport::WebSocket.request(device)).await;
    if answer.status == 101 { Ok(()) } else { Err(answer.to_string()) }
}

#[tokio::test]
async fn a_full_node_sends_elsewhere() {
    let app = Setup::on(Database::Sqlite).await.set("MAX_CONNECTIONS_PER_NODE", 1).start().await;
    let device = signed_in(&app).await;
    let open = Connection::open(Transport::WebSocket, &device).await;
    for transport in Transport::EACH {
        let refused = transport.refusal(&device, transport.request(&device)).await;
        refused.expect_problem(503, "overloaded");
    }
    drop(open);
    eventually("the place is free again", SOON, async || has_place(&device).await).await;
}

#[tokio::test]
async fn only_the_services_own_pages_and_the_named_ones_may_connect() {
    let named = "https://app.example.com";
    let app = Setup::on(Database::Sqlite).await.set("CORS_ORIGIN", named).start().await;
    let device = signed_in(&app).await;
    let own = app.base().to_owned();
    for transport in Transport::EACH {
        for foreign in
            ["https://evil.example.net", "https://app.example.com.evil.net", "null", "http://localhost"]
        {
            let refused =
                transport.refusal(&device, transport.request(&device).header("Origin", foreign)).await;
            refused.expect_problem(403, "origin_not_allowed");
        }
        for allowed in [named, &own] {
            Connection::open_by(transport, transport.request(&device).header("Origin", allowed)).await;
        }
        // A ticket does not help a foreign page, and the attempt does not use it up.
        let ticket = device.post("/events/ticket", &serde_json::Value::Null).await.expect(201);
        let request = transport.request_by(&device, ticket.json["ticket"].as_str().unwrap());
        let foreign = request.try_clone().unwrap().header("Origin", "https://evil.example.net");
        transport.refusal(&device, foreign).await.expect_problem(403, "origin_not_allowed");
        Connection::open_by(transport, request.header("Origin", &own)).await;
    }
}

async fn shutdown_ends_each_in_its_way(db: Database) {
    let mut app = TestApp::on(db).await;
    let device = signed_in(&app).await;
    let mut socket = Connection::open(Transport::WebSocket, &device).await;
    let mut stream = Connection::open(Transport::Sse, &device).await;
    app.signal("TERM");
    match socket.closing().await {
        Closing::Frame(1012, _) => {}
        other => panic!("not told that it is a restart: {other:?}"),
    }
    assert_eq!(stream.closing().await, Closing::End);
    let ended = app.end().await.expect_code(0);
    assert!(ended.took < SOON, "it took {:?}", ended.took);
    // The session continues.
    app.restart().await;
    let mut device = device;
    device.follow(app.base());
    Connection::open(Transport::WebSocket, &device).await;
}

#[tokio::test]
async fn open_connections_are_counted() {
    let app = TestApp::start().await;
    let mut device = signed_in(&app).await;
    expect_connected(&app, 0.0).await;
    let socket = Connection::open(Transport::WebSocket, &device).await;
    expect_connected(&app, 1.0).await;
    let mut stream = Connection::open(Transport::Sse, &device).await;
    expect_connected(&app, 2.0).await;
    drop(socket);
    expect_connected(&app, 1.0).await;
    device.logout().await.expect(204);
    stream.expect("session.deleted").await;
    expect_connected(&app, 0.0).await;
}

async fn expect_connected(app: &TestApp, wanted: f64) {
    let operator = app.client();
    eventually(&format!("{wanted} connected"), SOON, async || {
        match Metrics::read(&operator).await.sum("auth_connected_devices") {
            Some(count) if count == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// More events than fit into the queue of a device and the buffers of its transport and connection.
const EVENTS_AT_MOST: usize = 2_000;
/// How long a device that reads may have to wait for an event on a busy machine. The service waits 10 s for
/// one that does not read.
const WITHOUT_DELAY: Duration = Duration::from_secs(6);

#[tokio::test]
async fn who_does_not_read_is_dropped_and_delays_nobody() {
    let app = TestApp::start().await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 4).await;
    let _unread_socket = narrow_websocket(&devices[0]).await;
    let _unread_stream = narrow_stream(&devices[1]).await;
    let mut reading = [
        Connection::open(Transport::WebSocket, &devices[2]).await,
        Connection::open(Transport::Sse, &devices[3]).await,
    ];
    expect_connected(&app, 4.0).await;

    let operator = app.client();
    // As long as can be stored, so that each event is as large as possible.
    let mut coming_and_going = app.client().with_user_agent(&"Mozilla/5.0 ".repeat(60));
    let mut told = 0;
    while Metrics::read(&operator).await.sum("auth_devices_dropped_total") != Some(2.0) {
        assert!(told < EVENTS_AT_MOST, "after {told} events, they are still waited for");
        for _ in 0..8 {
            coming_and_going.login(&ada).await.expect(200);
            expect_at_once(&mut reading, "session.created").await;
            coming_and_going.logout().await.expect(204);
            coming_and_going.access = None;
            expect_at_once(&mut reading, "session.deleted").await;
            told += 2;
        }
    }
    // Their sessions are not over, and can connect again.
    for device in &devices[..2] {
        Connection::open(Transport::WebSocket, device).await;
    }
}

async fn expect_at_once(connections: &mut [Connection], kind: &str) {
    let watch = Stopwatch::start();
    for connection in connections {
        connection.expect(kind).await;
    }
    assert!(watch.elapsed() < WITHOUT_DELAY, "{kind} took {:?}", watch.elapsed());
}
