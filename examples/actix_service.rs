//! A service that accepts the auth service's access tokens. It verifies them by itself, refuses ended sessions as soon
//! as it hears of them, and asks the auth service where it cannot know. Nothing here is of the auth service's own code.
//!
//!     JWT_ACCESS_SECRET=… cargo run --example actix_service
//!
//! What each check is for is told in docs/verifying-tokens.md; the same in JavaScript is examples/express.

#[path = "actix_service/auth_service.rs"]
mod auth_service;
#[path = "actix_service/ended_sessions.rs"]
mod ended_sessions;
#[path = "actix_service/tokens.rs"]
mod tokens;

use std::error::Error;
use std::fmt;
use std::pin::Pin;

use actix_web::http::{StatusCode, header};
use actix_web::{App, FromRequest, HttpRequest, HttpResponse, HttpServer, ResponseError, dev, rt, web};
use auth_service::AuthService;
use ended_sessions::{EndedSessions, Standing, now};
use serde_json::{Value, json};
use tokens::{Claims, Verifier};

type Failure = Box<dyn Error>;

struct Service {
    auth: AuthService,
    verifier: Verifier,
    sessions: EndedSessions,
}

#[actix_web::main]
async fn main() -> Result<(), Failure> {
    let redis = redis::Client::open(setting("REDIS_URL", "redis://localhost:6379"))?;
    let service = web::Data::new(Service {
        auth: AuthService::from_env()?,
        verifier: Verifier::from_env()?,
        sessions: EndedSessions::default(),
    });
    let reader = service.clone();
    rt::spawn(async move { reader.sessions.follow(&redis).await });
    let app = move || {
        App::new()
            .app_data(service.clone())
            .route("/health", web::get().to(health))
            .route("/orders", web::get().to(orders))
            .route("/payments", web::post().to(payments))
    };
    let server = HttpServer::new(app).bind(("127.0.0.1", setting("PORT", "5001").parse()?))?;
    say(&format!("listening on {}", server.addrs()[0]));
    Ok(server.run().await?)
}

async fn health(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok", "eventsUpToDate": service.sessions.up_to_date()}))
}

async fn orders(SignedIn(caller): SignedIn) -> HttpResponse {
    HttpResponse::Ok().json(json!({"caller": view(&caller), "orders": []}))
}

/// Here a session that ended a moment ago would cost more than a question.
async fn payments(SignedInNow(caller): SignedInNow) -> HttpResponse {
    HttpResponse::Created().json(json!({"caller": view(&caller)}))
}

fn view(caller: &Claims) -> Value {
    json!({"user": caller.sub, "session": caller.sid, "role": caller.role})
}

/// Who called, with a good token of a session that is live as far as is known.
struct SignedIn(Claims);

/// The same, asked of the auth service whatever is known.
struct SignedInNow(Claims);

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>>>>;

impl FromRequest for SignedIn {
    type Error = Refusal;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { admit(&request, false).await.map(Self) })
    }
}

impl FromRequest for SignedInNow {
    type Error = Refusal;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { admit(&request, true).await.map(Self) })
    }
}

async fn admit(request: &HttpRequest, always_ask: bool) -> Result<Claims, Refusal> {
    let service = request.app_data::<web::Data<Service>>().ok_or(Refusal::CannotTell)?;
    let token = bearer_token(request).ok_or(Refusal::unauthorized("token_missing"))?;
    let claims = service.verifier.verify(token, &service.auth).await?;
    match service.sessions.standing(&claims) {
        Standing::Ended => return Err(Refusal::unauthorized("session_ended")),
        Standing::Live if !always_ask => {}
        Standing::Live | Standing::Unsure => {
            let asked = now();
            service.auth.confirm(token).await?;
            service.sessions.confirm(&claims, asked);
        }
    }
    Ok(claims)
}

fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Why a request is not let in.
#[derive(Debug)]
enum Refusal {
    /// 401, with a code for the client.
    Unauthorized(String),
    /// 503: it could not be found out. No reason to let anybody in, nor to sign anybody out.
    CannotTell,
}

impl Refusal {
    fn unauthorized(code: &str) -> Self {
        Self::Unauthorized(code.to_owned())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized(code) => f.write_str(code),
            Self::CannotTell => f.write_str("unavailable"),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::CannotTell => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            // RFC 6750: who sent no token is told no error code.
            Self::Unauthorized(code) if code == "token_missing" => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer"))
            }
            Self::Unauthorized(_) => {
                answer.insert_header((header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\""))
            }
            Self::CannotTell => answer.insert_header((header::RETRY_AFTER, "1")),
        };
        answer.json(json!({"code": self.to_string()}))
    }
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or(default.to_owned())
}

#[expect(clippy::print_stdout, reason = "whoever starts it wants to know where it listens")]
fn say(text: &str) {
    println!("{text}");
}
