//! A service that accepts the auth service's access tokens, with axum.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::env;

use auth_service_verifier::{AuthError, Check, Identity, Options, Verifier};
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn health(State(verifier): State<Verifier>) -> Json<Value> {
    Json(json!({"status": "ok", "eventsUpToDate": verifier.status().up_to_date}))
}

/// The extractor is the check.
async fn orders(caller: Identity) -> Json<Value> {
    Json(json!({"caller": view(&caller), "orders": []}))
}

/// Here a session that ended a moment ago would cost more than a question.
async fn pay(
    State(verifier): State<Verifier>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), AuthError> {
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let caller = verifier.verify_header(authorization, &Check { exact: true, ..Check::default() }).await?;
    Ok((StatusCode::CREATED, Json(json!({"caller": view(&caller)}))))
}

fn view(caller: &Identity) -> Value {
    json!({"user": caller.user_id, "session": caller.session_id, "role": caller.role})
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let setting = |name: &str| env::var(name).ok();
    let service_url = setting("AUTH_URL").unwrap_or_else(|| "http://localhost:4001".to_owned());
    let secret = setting("JWT_ACCESS_SECRET");
    let verifier = Verifier::new(Options {
        issuer: setting("JWT_ISSUER").unwrap_or_else(|| "auth-service".to_owned()),
        audience: setting("JWT_AUDIENCE"),
        jwks_url: secret.is_none().then(|| format!("{service_url}/.well-known/jwks.json")),
        secrets: secret.into_iter().collect(),
        redis_url: setting("REDIS_URL"),
        service_url: Some(service_url),
        ..Options::default()
    })?;
    let app = Router::new()
        .route("/health", get(health))
        .route("/orders", get(orders))
        .route("/payments", post(pay))
        .with_state(verifier);
    let port = setting("PORT").unwrap_or_else(|| "5001".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
