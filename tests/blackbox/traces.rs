//! Traces: what is sent to a collector, that none of it is secret, and that nothing waits for a collector.

use std::net::TcpListener;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::Value;

use crate::support::collector::{Collector, attribute};
use crate::support::redis::RedisServer;
use crate::support::time::Stopwatch;
use crate::support::{Database, Person, Setup, eventually, on_each_database};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// Longer than any request takes, and shorter than any wait for a collector.
const AT_ONCE: Duration = Duration::from_secs(2);

on_each_database!(a_request_is_a_span_and_so_is_what_it_waits_for);

async fn traced(db: Database, endpoint: &str) -> Setup {
    let setup = Setup::on(db).await.set("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    setup.set("OTEL_BSP_SCHEDULE_DELAY", 50)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name:?} is not among {names:?}"))
}

async fn a_request_is_a_span_and_so_is_what_it_waits_for(db: Database) {
    let collector = Collector::start().await;
    let setup = traced(db, &collector.endpoint()).await;
    let setup = setup.set("OTEL_EXPORTER_OTLP_HEADERS", "x-key=let%20me%20in");
    let mut app = setup.set("OTEL_SERVICE_NAME", "logins").start().await;
    let ada = Person::named("Ada");
    let mut device = app.client().under("/api/auth");
    device.signup(&ada).await.expect(201);
    let login = device.request(Method::POST, "/login").json(&ada.credentials());
    let login = login.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).header("x-request-id", "r-1");
    device.send(login).await.expect(200);
    let mut other = app.client();
    other.login(&ada).await.expect(200);
    let ended = other.session_id.clone();
    device.terminate(&ended).await.expect(204);
    let log = app.terminate().await.expect_code(0).output;

    let exports = collector.exports();
    let (first, spans) = (&exports[0], collector.spans());
    assert!(first.head.starts_with("post /v1/traces "), "{}", first.head);
    assert!(first.head.contains("x-key: let me in"), "{}", first.head);
    let resource = first.decode().resource_spans[0].resource.clone().unwrap();
    assert_eq!(attribute(&resource.attributes, "service.name").as_deref(), Some("logins"));

    let here: Vec<_> = spans.iter().filter(|span| hex(&span.trace_id) == TRACE).cloned().collect();
    let login = named(&here, "POST /login");
    assert_eq!((hex(&login.parent_span_id).as_str(), login.kind()), (CALLER, SpanKind::Server));
    let told = |name| attribute(&login.attributes, name);
    assert_eq!(told("http.request.method").as_deref(), Some("POST"));
    assert_eq!(told("http.route").as_deref(), Some("/login"));
    assert_eq!(told("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(told("url.path").as_deref(), Some("/api/auth/login"));
    let (execute, commit) = (named(&here, "actor.execute"), named(&here, "database.commit"));
    assert_eq!(named(&here, "password.verify").parent_span_id, login.span_id);
    assert_eq!(execute.parent_span_id, login.span_id);
    assert_eq!(attribute(&execute.attributes, "auth.command").as_deref(), Some("Open"));
    assert_eq!(commit.parent_span_id, execute.span_id);
    for span in &here {
        assert!(login.start_time_unix_nano <= span.start_time_unix_nano, "{span:?}");
        assert!(span.end_time_unix_nano <= login.end_time_unix_nano, "{span:?}");
    }

    let signup = named(&spans, "POST /signup");
    assert!(signup.parent_span_id.is_empty() && hex(&signup.trace_id) != TRACE, "{signup:?}");
    let terminate = named(&spans, "DELETE /sessions/{id}");
    let path = attribute(&terminate.attributes, "url.path");
    assert_eq!(path, Some(format!("/api/auth/sessions/{ended}")));

    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_login: Vec<_> = lines.filter(|line| line["request_id"] == "r-1").collect();
    assert!(!of_login.is_empty() && of_login.iter().all(|line| line["trace_id"] == TRACE), "{log}");
}

#[tokio::test]
async fn none_holds_a_secret() {
    let collector = Collector::start().await;
    let setup = traced(Database::Sqlite, &collector.endpoint()).await;
    let mut app = setup.set("OTEL_EXPORTER_OTLP_HEADERS", "x-key=the-key").start().await;
    let ada = Person::named("Ada");
    let mut device = app.client().with_user_agent("a-telling-agent");
    device.signup(&ada).await.expect(201);
    device.login(&ada).await.expect(200);
    let mut secrets = vec![ada.email.clone(), ada.password.clone(), "a-telling-agent".to_owned()];
    secrets.extend([device.access.clone(), device.cookie.clone()].into_iter().flatten());
    device.refresh().await.expect(200);
    secrets.extend([device.access.clone(), device.cookie.clone()].into_iter().flatten());
    let ticket = "a-ticket-of-nobody";
    app.client().get(&format!("/events?ticket={ticket}")).await.expect(401);
    app.client().get("/nowhere/ada@example.com").await.expect(404);
    device.terminate("ada@example.com").await.expect(404);
    device.send(device.request(Method::from_bytes(b"HUNTER2").unwrap(), "/login")).await.expect(405);
    secrets.extend([ticket, "127.0.0.1", "the-key", "HUNTER2", "nowhere"].map(str::to_owned));
    app.terminate().await.expect_code(0);

    let spans = collector.spans();
    for name in ["POST /refresh", "GET /events", "GET", "DELETE /sessions/{id}", "HTTP /login"] {
        named(&spans, name);
    }
    for export in collector.exports() {
        let text = String::from_utf8_lossy(&export.body);
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret:?} was sent: {text}");
        }
    }
}

#[tokio::test]
async fn events_name_the_trace_they_come_from() {
    let (redis, collector) = (RedisServer::start().await, Collector::start().await);
    let setup = traced(Database::Sqlite, &collector.endpoint()).await;
    let app = setup.set("REDIS_URL", format!("redis://{}", redis.address())).start().await;
    let ada = Person::named("Ada");
    // One change that the request decides, and one that the actor decides.
    for (path, body, trace) in [
        ("/signup", ada.registration(), TRACE.to_owned()),
        ("/login", ada.credentials(), TRACE.replace('4', "5")),
    ] {
        let request = app.client().request(Method::POST, path).json(&body);
        app.client().send(request.header("traceparent", format!("00-{trace}-{CALLER}-01"))).await;
        let mut tail = app.setup.start_command(&["events", "tail", "--from", "0"]);
        eventually("both events name the trace", Duration::from_secs(15), async || {
            let events = tail.logs();
            let lines = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let named = lines.filter(|event| event["data"]["traceId"] == trace.as_str()).count();
            if named == 2 { Ok(()) } else { Err(events) }
        })
        .await;
        tail.kill();
    }
}

#[tokio::test]
async fn a_caller_that_is_not_sampled_is_not_sent() {
    let collector = Collector::start().await;
    let mut app = traced(Database::Sqlite, &collector.endpoint()).await.start().await;
    let client = app.client();
    let request = client.request(Method::GET, "/session");
    client.send(request.header("traceparent", format!("00-{TRACE}-{CALLER}-00"))).await.expect(401);
    client.get("/me").await.expect(401);
    let log = app.terminate().await.expect_code(0).output;
    let spans = collector.spans();
    named(&spans, "GET /me");
    assert!(spans.iter().all(|span| span.name != "GET /session"), "{spans:?}");
    assert!(log.contains(TRACE), "{log}");
}

#[tokio::test]
async fn nothing_is_traced_without_an_endpoint() {
    let collector = Collector::start().await;
    // An exporter that was started all the same would find this collector.
    let setup = Setup::on(Database::Sqlite).await;
    let setup = setup.set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint());
    let mut app = setup.set("OTEL_BSP_SCHEDULE_DELAY", 50).start().await;
    let client = app.client();
    let request = client.request(Method::POST, "/logout");
    client.send(request.header("traceparent", format!("00-{TRACE}-{CALLER}-01"))).await.expect(401);
    let log = app.terminate().await.expect_code(0).output;
    assert!(log.contains("request_id") && !log.contains("trace_id") && !log.contains(TRACE), "{log}");
    assert_eq!(collector.connections(), 0);
}

#[tokio::test]
async fn nothing_waits_for_a_collector_that_is_away() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = traced(Database::Sqlite, &format!("http://{free}")).await;
    let mut app = setup.start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    eventually("the export fails", Duration::from_secs(10), async || {
        if app.logs().contains("traces.export_failed") { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    let watch = Stopwatch::start();
    app.client().login(&ada).await.expect(200);
    assert!(watch.elapsed() < AT_ONCE, "the login took {:?}", watch.elapsed());
    let ended = app.terminate().await.expect_code(0);
    assert!(ended.took < Duration::from_secs(8), "it took {:?}", ended.took);
    assert_eq!(ended.output.matches("traces.export_failed").count(), 1, "{}", ended.output);
    assert!(!ended.output.contains("the database query failed"), "{}", ended.output);
}

#[tokio::test]
async fn nothing_waits_for_a_collector_that_hangs() {
    let collector = Collector::hanging().await;
    // The queue is so short that nearly all spans are dropped.
    let setup = traced(Database::Sqlite, &collector.endpoint()).await;
    let setup = setup.set("OTEL_BSP_MAX_QUEUE_SIZE", 4).set("SHUTDOWN_TIMEOUT_SECONDS", 5);
    let mut app = setup.start().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    eventually("the collector is asked", Duration::from_secs(10), async || {
        if collector.connections() > 0 { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    let watch = Stopwatch::start();
    for _ in 0..20 {
        app.client().login(&ada).await.expect(200);
    }
    assert!(watch.elapsed() < AT_ONCE * 5, "20 logins took {:?}", watch.elapsed());
    let ended = app.terminate().await.expect_code(0).expect_output("shutdown.finished");
    assert!(ended.took < Duration::from_secs(4), "it took {:?}", ended.took);
}

#[tokio::test]
async fn a_second_signal_waits_for_no_collector() {
    let collector = Collector::hanging().await;
    let setup = traced(Database::Sqlite, &collector.endpoint()).await;
    let mut app = setup.set("SHUTDOWN_DRAIN_SECONDS", 14).start().await;
    eventually("the collector is asked", Duration::from_secs(10), async || {
        app.client().get("/me").await.expect(401);
        if collector.connections() > 0 { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    app.signal("TERM");
    eventually("the first signal is heard", Duration::from_secs(5), async || {
        if app.logs().contains("shutdown.started") { Ok(()) } else { Err(app.logs()) }
    })
    .await;
    let ended = app.terminate().await;
    assert!(ended.took < AT_ONCE, "it took {:?}", ended.took);
}
