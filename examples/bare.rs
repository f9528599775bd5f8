//! The framework alone: what `scripts/bench` compares the service with. It answers `GET /session` and
//! `POST /activity` with the same JSON as the service, `GET /events` with a stream, and does nothing
//! else: no token, no state, no log, no metrics.
//!
//!     cargo run --release --example bare -- 127.0.0.1:4000 2      address, workers

use std::convert::Infallible;
use std::env;

use actix_web::{App, HttpResponse, HttpServer, web};
use futures_util::{StreamExt, stream};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    session: Session,
    idle_expires_at: &'static str,
    remaining_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: &'static str,
    device_info: Device,
    ip_address: &'static str,
    created_at: &'static str,
    last_activity: &'static str,
    expires_at: &'static str,
    idle_expires_at: &'static str,
    current: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: Option<&'static str>,
    browser: &'static str,
    os: &'static str,
    device_type: &'static str,
    user_agent: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    last_activity: &'static str,
    idle_expires_at: &'static str,
}

const NOW: &str = "2026-01-01T00:00:00.000Z";
const LATER: &str = "2026-01-01T00:05:00.000Z";

async fn session() -> HttpResponse {
    let device_info = Device {
        name: None,
        browser: "Chrome",
        os: "Linux",
        device_type: "desktop",
        user_agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    };
    let session = Session {
        id: "0198f0a0-0000-7000-8000-000000000001",
        device_info,
        ip_address: "127.0.0.1",
        created_at: NOW,
        last_activity: NOW,
        expires_at: "2026-01-02T00:00:00.000Z",
        idle_expires_at: LATER,
        current: true,
    };
    HttpResponse::Ok().json(Body { session, idle_expires_at: LATER, remaining_seconds: 300 })
}

async fn activity() -> HttpResponse {
    HttpResponse::Ok().json(Activity { last_activity: NOW, idle_expires_at: LATER })
}

/// A stream that begins and then sends nothing more.
async fn events() -> HttpResponse {
    let first = stream::once(async { Ok::<_, Infallible>(web::Bytes::from_static(b"data: {}\n\n")) });
    HttpResponse::Ok().content_type("text/event-stream").streaming(first.chain(stream::pending()))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| String::from("127.0.0.1:4000"));
    let workers = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(2);
    let routes = || {
        App::new()
            .route("/session", web::get().to(session))
            .route("/activity", web::post().to(activity))
            .route("/events", web::get().to(events))
    };
    HttpServer::new(routes).workers(workers).bind(address)?.run().await
}
