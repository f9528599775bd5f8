//! `GET /config`: the numbers a client needs to know before anybody signs in.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::open_resource;
use super::state::AppState;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(open_resource("/config", "GET").route(web::get().to(config)));
}

async fn config(state: web::Data<AppState>) -> HttpResponse {
    let (sessions, tokens) = (&state.config.sessions, &state.config.tokens);
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=60")).json(json!({
        "sessionTimeoutMinutes": number(sessions.timeout.as_secs_f64() / 60.0),
        "sessionLifetimeHours": number(sessions.lifetime.as_secs_f64() / 3600.0),
        "maxSessionsPerUser": sessions.max_per_user,
        "maxSessionsPolicy": sessions.at_limit.as_str(),
        "accessTokenExpirySeconds": tokens.access_expiry.as_secs(),
        "refreshTokenExpirySeconds": tokens.refresh_expiry.as_secs(),
        "passwordMinLength": state.config.password.min_length,
        "features": state.config.features(),
    }))
}

/// A whole number is written as an integer: 5, not 5.0.
fn number(value: f64) -> serde_json::Value {
    let rounded = (value * 1e6).round() / 1e6;
    // Exact: an integer of this size is a whole f64.
    if rounded.fract() == 0.0 && rounded < 1e15 { json!(rounded as u64) } else { json!(rounded) }
}
