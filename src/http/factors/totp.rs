//! `/factors/totp`: sets up an authenticator app, confirms it by its first code, and removes it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::caller::FreshCaller;
use super::enrolment::{PENDING_FOR, confirm_totp, missing};
use super::passkeys::Enroller;
use super::recovery_codes::new_recovery_codes;
use super::{removal, removed};
use crate::config::Feature;
use crate::domain::sign_in::Factor;
use crate::http::extract::client::Client;
use crate::http::extract::json::{JsonObject, OptionalJsonObject};
use crate::http::problem::Problem;
use crate::http::proof::keys;
use crate::http::state::AppState;
use crate::http::{completing, needs};
use crate::security::recovery_code::RecoveryCode;
use crate::security::totp::{Place, TotpSecret};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetUp {
    login_ticket: Option<String>,
}

#[derive(Deserialize)]
struct Confirm {
    code: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let app = completing("/factors/totp", "POST, DELETE").guard(needs(Feature::Totp));
    let confirmation = completing("/factors/totp/confirm", "POST").guard(needs(Feature::Totp));
    scope
        .service(app.route(web::post().to(set_up)).route(web::delete().to(remove)))
        .service(confirmation.route(web::post().to(confirm)));
}

async fn set_up(
    state: web::Data<AppState>,
    http: HttpRequest,
    body: OptionalJsonObject<SetUp>,
) -> Result<HttpResponse, Problem> {
    let keys = keys(&state)?;
    let ticket = body.0.and_then(|body| body.login_ticket);
    let enroller = Enroller::of(&state, &http, ticket).await?;
    let user = enroller.user();
    let secret = TotpSecret::generate().map_err(Problem::unavailable)?;
    let sealed = secret.seal(keys, user.id, Place::Pending).map_err(Problem::unavailable)?;
    let uri = secret.otpauth_uri(&state.config.service_name, user.email.as_str());
    let uri = uri.map_err(Problem::unavailable)?;
    state.store().put_pending_totp(user.id, sealed, state.now()).await?;
    let body = json!({"secret": secret.base32(), "otpauthUri": uri, "expiresIn": PENDING_FOR.as_secs()});
    Ok(HttpResponse::build(StatusCode::CREATED).json(body))
}

async fn confirm(
    caller: FreshCaller,
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<Confirm>,
) -> Result<HttpResponse, Problem> {
    let code = body.0.code.ok_or_else(|| missing("code"))?;
    let user = caller.account(&state).await?;
    let codes = new_recovery_codes()?;
    confirm_totp(&state, &client, &user, &code, &codes).await?;
    caller.has_shown(&state, Factor::Totp).await?;
    let codes: Vec<_> = codes.iter().map(RecoveryCode::expose).collect();
    Ok(HttpResponse::Ok().json(json!({"recoveryCodes": codes})))
}

async fn remove(
    caller: FreshCaller,
    state: web::Data<AppState>,
    client: Client,
) -> Result<HttpResponse, Problem> {
    let user = caller.account(&state).await?;
    let removal = removal(&state, &client, &user, "totp");
    let outcome = state.store().delete_totp(removal).await?;
    removed(&state, user.id, "totp", outcome)
}
