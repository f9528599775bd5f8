//! A service that accepts the auth service's access tokens, with actix-web.
//!
//!     JWT_ACCESS_SECRET=… cargo run --example actix_service

use std::env;
use std::error::Error;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use auth_service_verifier::{AuthError, Check, Identity, Options, Verifier};
use serde_json::{Value, json};

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let auth_url = setting("AUTH_URL", "http://localhost:4001");
    let secret = env::var("JWT_ACCESS_SECRET").ok();
    // Session endings are followed over HTTP if there is an API key, otherwise over Redis.
    let api_key = env::var("AUTH_API_KEY").ok();
    let verifier = Verifier::new(Options {
        issuer: setting("JWT_ISSUER", "auth-service"),
        audience: env::var("JWT_AUDIENCE").ok(),
        jwks_url: secret.is_none().then(|| format!("{auth_url}/.well-known/jwks.json")),
        secrets: secret.into_iter().collect(),
        redis_url: api_key.is_none().then(|| setting("REDIS_URL", "redis://localhost:6379")),
        revocations_url: env::var("REVOCATIONS_URL").ok(),
        api_key,
        service_url: Some(auth_url),
        ..Options::default()
    })?;
    let app = move || {
        App::new()
            .app_data(web::Data::new(verifier.clone()))
            .route("/health", web::get().to(health))
            .route("/orders", web::get().to(orders))
            .route("/payments", web::post().to(payments))
    };
    let server = HttpServer::new(app).bind(("127.0.0.1", setting("PORT", "5001").parse()?))?;
    say(&format!("listening on {}", server.addrs()[0]));
    Ok(server.run().await?)
}

async fn health(verifier: web::Data<Verifier>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok", "eventsUpToDate": verifier.status().up_to_date}))
}

/// The extractor checks the token.
async fn orders(caller: Identity) -> HttpResponse {
    HttpResponse::Ok().json(json!({"caller": view(&caller), "orders": []}))
}

/// Accepting a session that has just ended would cost more here than a query to the auth service.
async fn payments(verifier: web::Data<Verifier>, request: HttpRequest) -> Result<HttpResponse, AuthError> {
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let check = Check { exact: true, ..Check::default() };
    let caller = verifier.verify_header(authorization, &check).await?;
    Ok(HttpResponse::Created().json(json!({"caller": view(&caller)})))
}

fn view(caller: &Identity) -> Value {
    json!({"user": caller.user_id, "session": caller.session_id, "role": caller.role})
}

#[expect(clippy::print_stdout, reason = "a program on its own says where it listens")]
fn say(text: &str) {
    println!("{text}");
}
