//! Health for people, probes and gateways: the details, liveness, and readiness.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::open_resource;
use super::state::AppState;
use crate::bus::BusCondition;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(open_resource("/health", "GET").route(web::get().to(health)))
        .service(open_resource("/health/live", "GET").route(web::get().to(live)))
        .service(open_resource("/health/ready", "GET").route(web::get().to(ready)));
}

async fn health(state: web::Data<AppState>) -> HttpResponse {
    let (database, latency) = state.probe.look(state.store()).await;
    let events = state.bus().condition();
    let (status, word) = match (database, &events) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (true, BusCondition::Away | BusCondition::Evicts(_)) => (StatusCode::OK, "degraded"),
        (true, BusCondition::Good) => (StatusCode::OK, "ok"),
    };
    HttpResponse::build(status).json(json!({
        "status": word,
        "service": state.config.service_name,
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": state.started.elapsed().as_secs(),
        "checks": {
            "database": {"status": up_or_down(database), "latencyMs": (latency.as_secs_f64() * 1e6).round() / 1e3},
            "events": events_check(&events),
        },
    }))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

async fn ready(state: web::Data<AppState>) -> HttpResponse {
    // Until the feed of changes has been read, every protected request would be refused.
    let can_serve = !state.is_shutting_down() && state.registry.freshness().is_fresh();
    if can_serve && state.probe.look(state.store()).await.0 {
        HttpResponse::Ok().json(json!({"status": "ok"}))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({"status": "unavailable"}))
    }
}

fn events_check(condition: &BusCondition) -> Value {
    match condition {
        BusCondition::Good => json!({"status": "ok"}),
        BusCondition::Away => {
            json!({"status": "unavailable", "reason": "Redis is away; events wait in the outbox"})
        }
        BusCondition::Evicts(policy) => json!({
            "status": "degraded",
            "reason": format!("Redis may forget keys (maxmemory-policy {policy}); set it to noeviction"),
        }),
    }
}

fn up_or_down(up: bool) -> &'static str {
    if up { "ok" } else { "unavailable" }
}
