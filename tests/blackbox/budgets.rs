//! What a client may send and receive, and that others do not notice those who exceed it.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::time::Stopwatch;
use crate::support::{Closing, Connection, Database, Person, Setup, TestApp, Transport, eventually};

const TIMEOUT: Duration = Duration::from_secs(20);
/// The service waits 10 s for a complete head; the rest is for slow machines.
const HEAD_WITHIN: Duration = Duration::from_secs(16);

/// Waits for the line that has all these parts, and asserts that there is no second one by then.
async fn expect_one_line(app: &TestApp, parts: &[&str]) {
    eventually("it is in the log once", TIMEOUT, async || {
        let logs = app.logs();
        let count = logs.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count();
        if count == 1 { Ok(()) } else { Err(format!("{count} lines with {parts:?} in {logs}")) }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_messages_without_pause_is_closed() {
    let app = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ENABLED", true).start().await;
    let ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    for message in [
        Message::text(r#"{"type":"activity"}"#),
        Message::text("anything"),
        Message::Binary(vec![1, 2, 3].into()),
        Message::Ping(b"x".to_vec().into()),
    ] {
        let mut connection = Connection::open(Transport::WebSocket, &ada).await;
        for _ in 0..200 {
            connection.say(message.clone()).await;
        }
        assert_eq!(connection.closing().await, Closing::Frame(1008, "too many messages".to_owned()));
    }
    expect_one_line(&app, &["rate_limit.hit", "\"messages\""]).await;
}

#[tokio::test]
async fn a_burst_of_messages_is_let_be() {
    let app = TestApp::start().await;
    let ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let mut connection = Connection::open(Transport::WebSocket, &ada).await;
    for _ in 0..50 {
        connection.say(r#"{"type":"activity"}"#).await;
    }
    // The allowance grows with time, by 20 a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for _ in 0..30 {
        connection.say(r#"{"type":"activity"}"#).await;
    }
    ada.terminate_others().await.expect(200);
    let mut ada = ada;
    ada.logout().await.expect(204);
    connection.expect("session.deleted").await;
}

/// Refusals write one line per client, kind and minute, so that strangers cannot fill the disk.
#[tokio::test]
async fn refused_requests_write_one_line() {
    let setup = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ENABLED", true);
    let app = setup.set("RATE_LIMIT_API_PER_MINUTE", 5).start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for _ in 0..300 {
        ada.send(ada.cookie_refresh("garbage")).await.expect(401);
        ada.session().await;
        ada.get("/nothing").await.expect(404);
    }
    ada.session().await.expect(429);
    for (route, status) in [("/refresh", "401"), ("/session", "429"), ("unmatched", "404")] {
        let parts = ["request.finished", &format!("\"route\":\"{route}\""), &format!("\"status\":{status}")];
        expect_one_line(&app, &parts).await;
    }
    expect_one_line(&app, &["rate_limit.hit", "\"api\""]).await;
}

/// After each response the other connections get their turn.
#[tokio::test]
async fn those_who_pipeline_do_not_hold_up_others() {
    let app = Setup::on(Database::Sqlite).await.set("HTTP_WORKERS", 1).start().await;
    for path in ["/health/live", "/metrics", "/refresh"] {
        let head = if path == "/refresh" {
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nCookie: a={}\r\n\r\n", "x".repeat(10_000))
        } else {
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        };
        let greedy: Vec<_> =
            (0..2).map(|_| tokio::spawn(pipeline(app.address().to_owned(), head.clone()))).collect();
        let client = app.client();
        let mut took = Vec::new();
        for _ in 0..40 {
            let watch = Stopwatch::start();
            client.get("/config").await.expect(200);
            took.push(watch.elapsed());
        }
        took.sort_unstable();
        println!("beside {path}: median {:?}, slowest {:?}", took[took.len() / 2], took[took.len() - 1]);
        assert!(took[took.len() / 2] < Duration::from_millis(150), "beside {path}: {took:?}");
        greedy.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Answers to one pipelined batch on one connection, and how long they took.
async fn batch(app: &TestApp, head: &str, count: usize) -> Duration {
    let mut connection = TcpStream::connect(app.address()).await.unwrap();
    let watch = Stopwatch::start();
    connection.write_all(head.repeat(count).as_bytes()).await.unwrap();
    let (mut read, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while String::from_utf8_lossy(&read).matches("HTTP/1.1 ").count() < count {
        let length = connection.read(&mut buffer).await.unwrap();
        assert!(
            length > 0,
            "closed after {} responses",
            String::from_utf8_lossy(&read).matches("HTTP/1.1 ").count()
        );
        read.extend(&buffer[..length]);
    }
    watch.elapsed()
}

/// 5 ms each, so that 20 connections cannot occupy a small machine.
#[tokio::test]
async fn every_pipelined_request_waits() {
    let app = TestApp::start().await;
    let took = batch(&app, "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", 100).await;
    assert!(took >= Duration::from_millis(5) * 99, "{took:?}");
}

/// Asks as a gateway does that passes the requests of one client on.
async fn ask_for(address: &str, app: &TestApp, path: &str) {
    let client = app.client();
    client.send(client.request(Method::GET, path).header("X-Forwarded-For", address)).await;
}

/// How many requests on that number of connections are answered in that time.
async fn answered(address: &str, app: &TestApp, path: &str, connections: u32, within: Duration) -> u32 {
    let asking = (0..connections).map(|_| async {
        let (client, watch, mut count) = (app.client(), Stopwatch::start(), 0);
        while watch.elapsed() < within {
            client.send(client.request(Method::GET, path).header("X-Forwarded-For", address)).await;
            count += 1;
        }
        count
    });
    join_all(asking).await.into_iter().sum()
}

/// For refusals, and for what needs no credentials.
#[tokio::test]
async fn a_client_that_asks_without_end_waits() {
    const SECONDS: u32 = 3;
    const CONNECTIONS: u32 = 10;
    /// 40 in each 100 ms and one window more, and one on each connection in 100 ms.
    const MOST: u32 = 40 * (10 * SECONDS + 1) + CONNECTIONS * (10 * SECONDS + 1);
    let setup = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ENABLED", true);
    let app = setup.set("TRUSTED_PROXIES", "127.0.0.1").set("RATE_LIMIT_API_PER_MINUTE", 0).start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for path in ["/health/live", "/nothing", "/sessions/nothing", "/config"] {
        let stranger = format!("203.0.113.{}", path.len());
        let count = answered(&stranger, &app, path, CONNECTIONS, Duration::from_secs(SECONDS.into())).await;
        println!("{path}: {count} in {SECONDS} s");
        assert!(count <= MOST, "{path}: {count}");
        // Others do not wait, and neither do requests with credentials: the fastest takes less than the
        // pause.
        let mut fastest = [Duration::MAX; 2];
        for _ in 0..10 {
            let watch = Stopwatch::start();
            ada.session().await.expect(200);
            fastest[0] = fastest[0].min(watch.elapsed());
            let watch = Stopwatch::start();
            ask_for("198.51.100.7", &app, "/health/live").await;
            fastest[1] = fastest[1].min(watch.elapsed());
        }
        assert!(fastest.iter().all(|took| *took < Duration::from_millis(100)), "{fastest:?}");
    }
}

/// Sends the same request repeatedly without waiting for the responses, which it does read.
async fn pipeline(address: String, head: String) {
    let requests = head.repeat(200);
    loop {
        let (mut reading, mut writing) = TcpStream::connect(&address).await.unwrap().into_split();
        let read = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while reading.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
        });
        while writing.write_all(requests.as_bytes()).await.is_ok() {}
        read.abort();
    }
}

async fn is_ended_within(line: &mut TcpStream, within: Duration) -> bool {
    let mut buffer = vec![0; 4096];
    let reading = async { while line.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    tokio::time::timeout(within, reading).await.is_ok()
}

#[tokio::test]
async fn a_second_request_that_does_not_come_whole_is_not_waited_for() {
    let app = TestApp::start().await;
    let whole = b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    // Refused, so that the connection is still one for requests.
    let handshake = b"GET /api/auth/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let body = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Content-Length: 100\r\n\r\n{\"email\":";
    let chunk = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n5\r\n{\"em";
    let mut begins = Vec::new();
    for (first, part) in [
        (&whole[..], &b"GET /health"[..]),
        (whole, b"GET / HTTP/1.1\r\nHost: a\r\nX: "),
        (whole, b"G"),
        (whole, body),
        (whole, chunk),
        (handshake, b"GET /api/auth/health"),
        (handshake, body),
    ] {
        let mut line = TcpStream::connect(app.address()).await.unwrap();
        line.write_all(first).await.unwrap();
        let mut answer = [0; 4096];
        assert!(line.read(&mut answer).await.unwrap() > 0);
        line.write_all(part).await.unwrap();
        begins.push(line);
    }
    // An idle connection and a stream are not mistaken for it.
    let ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    let mut stream = Connection::open(Transport::Sse, &ada).await;
    let mut socket = Connection::open(Transport::WebSocket, &ada).await;
    socket.say("hello").await;
    let mut idle = TcpStream::connect(app.address()).await.unwrap();
    idle.write_all(whole).await.unwrap();
    let ended = join_all(begins.iter_mut().map(|line| is_ended_within(line, HEAD_WITHIN))).await;
    assert_eq!(ended, [true; 7]);
    idle.write_all(whole).await.unwrap();
    assert!(!is_ended_within(&mut idle, Duration::from_millis(500)).await, "an idle one was ended");
    let mut ada = ada;
    ada.logout().await.expect(204);
    stream.expect("session.deleted").await;
    socket.expect("session.deleted").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_of_open_files_is_raised_as_far_as_may_be() {
    let limits = |app: &TestApp| {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", app.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        let numbers: Vec<_> = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).collect();
        (numbers[0], numbers[1])
    };
    for (limit, is_told) in [("ulimit -Sn 256", false), ("ulimit -n 700", true)] {
        let setup = Setup::on(Database::Sqlite).await.set("MAX_CONNECTIONS_PER_NODE", 600);
        let script = format!("{limit}; exec \"$0\" \"$@\"");
        let app = setup.run_by(&["sh", "-c", &script]).start().await;
        let (soft, hard) = limits(&app);
        assert_eq!(soft, hard, "{limit}");
        assert_eq!(app.logs().contains("limit of open files"), is_told, "{limit}: {}", app.logs());
    }
}

/// Files are sent in pieces: a client that does not read costs one piece, and not one file per request.
#[tokio::test]
async fn readers_that_do_not_read_cost_little_memory() {
    const READERS: usize = 100;
    let app = TestApp::start().await;
    let client = app.client();
    for (path, header) in [
        ("/docs/swagger-ui-bundle.js", ""),
        ("/docs/swagger-ui-bundle.js", "Accept-Encoding: gzip\r\n"),
        ("/openapi.json", ""),
        ("/openapi.json", "Range: bytes=0-9\r\n"),
        ("/", ""),
    ] {
        let whole = client.request(Method::GET, path).send().await.unwrap().bytes().await.unwrap().len();
        let before = app.resident_memory();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n").repeat(8);
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let mut reader = TcpStream::connect(app.address()).await.unwrap();
            reader.write_all(ask.as_bytes()).await.unwrap();
            readers.push(reader);
        }
        for _ in 0..10 {
            client.get("/health/live").await.expect(200);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let grown = app.resident_memory().saturating_sub(before);
        println!("{} kB for {READERS} readers of {path} {header:?}", grown / 1024);
        assert!(grown < 20 * 1024 * 1024, "{path} {header:?}: {grown} bytes");
        if header.contains("gzip") {
            continue;
        }
        // A client that reads gets the whole file, whatever part it asked for.
        let mut reader = readers.pop().unwrap();
        let mut read = 0;
        let mut buffer = vec![0; 64 * 1024];
        eventually("all of it is read", TIMEOUT, async || {
            while read < 8 * whole {
                read += reader.read(&mut buffer).await.map_err(|cause| cause.to_string())?;
            }
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn failed_logins_with_long_and_distinct_addresses_leave_little_behind() {
    let setup = Setup::on(Database::Sqlite).await.set("RATE_LIMIT_ENABLED", true);
    let app = setup.set("RATE_LIMIT_LOGIN_PER_MINUTE", 0).start().await;
    let client = app.client();
    let login =
        async |email: String| client.post("/login", &json!({"email": email, "password": "wrong"})).await;
    let too_long = login(format!("{}@example.com", "a".repeat(16_000))).await;
    assert_eq!(too_long.expect_problem(422, "validation_failed").fields(), ["email"]);
    login(format!("{}@example.com", "a".repeat(243))).await.expect(422);
    for number in 0..200 {
        login(format!("{}{number:06}@example.com", "a".repeat(236))).await.expect(401);
    }
    let before = app.resident_memory();
    for number in 200..2_000 {
        login(format!("{}{number:06}@example.com", "a".repeat(236))).await.expect(401);
    }
    let grown = app.resident_memory().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "{grown} bytes");
}
