//! `POST /introspect` (RFC 7662): is this access token active? The verdict is exactly that of a protected
//! request with the token.

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::extract::form::Form;
use super::extract::operator::{Operator, TokensIntrospect};
use super::problem::{Code, Problem};
use super::resource;
use super::state::AppState;
use crate::actors::session_status::{ActiveSession, SessionStatus};

/// The route's pattern.
pub(super) const PATH: &str = "/introspect";

/// The claims in the response, if the token has them. The session token, which binds the access token to its
/// session, is not among them.
const CLAIMS: [&str; 12] =
    ["sub", "sid", "role", "iss", "aud", "client_id", "iat", "exp", "jti", "auth_time", "acr", "amr"];

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource(PATH, "POST").route(web::post().to(introspect)));
}

async fn introspect(
    _: Operator<TokensIntrospect>,
    state: web::Data<AppState>,
    form: Form,
) -> Result<HttpResponse, Problem> {
    let token = form.0.one("token")?.ok_or_else(|| Problem::new(Code::InvalidRequest))?;
    Ok(match session_of(&state, token).await? {
        Some(found) => HttpResponse::Ok().json(active(&state, token, &found)),
        None => HttpResponse::Ok().json(json!({"active": false})),
    })
}

async fn session_of(state: &AppState, token: &str) -> Result<Option<ActiveSession>, Problem> {
    let now = state.now();
    let Ok(claims) = state.access_tokens.verify(token, now) else { return Ok(None) };
    let (user, session, token) = (claims.user, claims.session, Some(claims.token));
    let status = match state.registry.cached_status(user, session, token, now) {
        Some(status) => status,
        None => state.registry.status(user, session, token).await?,
    };
    Ok(match status {
        SessionStatus::Active(found) => {
            state.registry.note_sighting(&found.session, claims.generation, now);
            Some(found)
        }
        SessionStatus::Over(_) | SessionStatus::TokenMismatch => None,
    })
}

/// The claims as they were signed, but the current role.
fn active(state: &AppState, token: &str, found: &ActiveSession) -> Map<String, Value> {
    let mut claims = state.access_tokens.signed_claims(token);
    let told = CLAIMS.into_iter().filter_map(|name| Some((name.to_owned(), claims.remove(name)?)));
    let mut answer: Map<_, _> = told.collect();
    answer.insert("active".to_owned(), Value::Bool(true));
    answer.insert("role".to_owned(), json!(found.snapshot.role));
    answer.insert("token_type".to_owned(), json!("Bearer"));
    answer
}
