//! Health for people, probes and gateways: what it is about, whether it lives, whether it can serve.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, Resource, web};
use serde_json::json;

use super::resource;
use super::state::AppState;

/// How long the database may take to answer before it counts as away.
const DATABASE_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(probe("/health").route(web::get().to(health)).route(web::head().to(health)))
        .service(probe("/health/live").route(web::get().to(live)).route(web::head().to(live)))
        .service(probe("/health/ready").route(web::get().to(ready)).route(web::head().to(ready)));
}

/// Probes like to ask with HEAD.
fn probe(path: &'static str) -> Resource {
    resource(path, "GET, HEAD")
}

async fn health(state: web::Data<AppState>) -> HttpResponse {
    let (database, latency) = database(&state).await;
    let events = state.registry.tools().bus.is_up();
    let (status, word) = match (database, events) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ok"),
    };
    HttpResponse::build(status).json(json!({
        "status": word,
        "service": state.config.service_name,
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": state.started.elapsed().as_secs(),
        "checks": {
            "database": {"status": up_or_down(database), "latencyMs": (latency.as_secs_f64() * 1e6).round() / 1e3},
            "events": {"status": up_or_down(events)},
        },
    }))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn ready(state: web::Data<AppState>) -> HttpResponse {
    // Until the feed of changes was read, every protected request would be refused.
    let can_serve = !state.is_shutting_down() && state.registry.freshness().is_fresh();
    if can_serve && database(&state).await.0 {
        HttpResponse::Ok().json(json!({"status": "ok"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "unavailable"}))
    }
}

async fn database(state: &AppState) -> (bool, Duration) {
    let started = Instant::now();
    let answer = tokio::time::timeout(DATABASE_PATIENCE, state.registry.store().ping()).await;
    (matches!(answer, Ok(Ok(()))), started.elapsed())
}

fn up_or_down(up: bool) -> &'static str {
    if up { "ok" } else { "unavailable" }
}
