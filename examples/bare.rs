//! The framework alone: what `scripts/bench` compares the service with. It answers `GET /session` and `POST /activity`
//! with JSON of the same size as the service's, and does nothing else: no log, no token, no state.
//!
//!     cargo run --release --example bare -- 127.0.0.1:4000 2      address, workers

use std::env;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    user: User,
    session: Session,
}

#[derive(Serialize)]
struct User {
    id: &'static str,
    email: &'static str,
    role: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    id: &'static str,
    last_activity: &'static str,
    expires_at: &'static str,
}

async fn answer() -> HttpResponse {
    HttpResponse::Ok().json(Body {
        user: User {
            id: "0198f0a0-0000-7000-8000-000000000000",
            email: "bench@example.com",
            role: "STARTER",
        },
        session: Session {
            id: "0198f0a0-0000-7000-8000-000000000001",
            last_activity: "2026-01-01T00:00:00.000Z",
            expires_at: "2026-01-08T00:00:00.000Z",
        },
    })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| String::from("127.0.0.1:4000"));
    let workers = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(2);
    let routes =
        || App::new().route("/session", web::get().to(answer)).route("/activity", web::post().to(answer));
    HttpServer::new(routes).workers(workers).bind(address)?.run().await
}
