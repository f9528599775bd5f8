//! `POST /factors/recovery-codes`: ten new codes, which replace all earlier ones.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::caller::FreshCaller;
use super::outdated;
use crate::config::Feature;
use crate::domain::mail::{MailKind, NewMail};
use crate::domain::user::User;
use crate::http::extract::client::Client;
use crate::http::notice::factor_notice;
use crate::http::problem::{Code, Problem};
use crate::http::proof::keys;
use crate::http::state::AppState;
use crate::http::{completing, needs};
use crate::security::recovery_code::{COUNT, RecoveryCode};
use crate::telemetry::audit::AuditEvent;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let codes = completing("/factors/recovery-codes", "POST").guard(needs(Feature::Totp));
    scope.service(codes.route(web::post().to(give)));
}

async fn give(
    caller: FreshCaller,
    state: web::Data<AppState>,
    client: Client,
) -> Result<HttpResponse, Problem> {
    let user = caller.account(&state).await?;
    if user.factors == 0 {
        return Err(Problem::new(Code::NoSecondFactor));
    }
    let mail = factor_notice(&state, &client, MailKind::FactorAdded, user.id, "recovery_codes");
    let codes = give_recovery_codes(&state, &user, mail).await?.ok_or_else(|| outdated(&state))?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(json!({"recoveryCodes": codes})))
}

/// Generates new codes.
pub(super) fn new_recovery_codes() -> Result<Vec<RecoveryCode>, Problem> {
    let codes = (0..COUNT).map(|_| RecoveryCode::generate()).collect::<Option<_>>();
    codes.ok_or_else(Problem::unavailable_for_now)
}

/// Stores new codes, with the mail that reports them, and returns them to be shown only this once. `None` if
/// the credentials or the factors have changed since `user` was read.
pub(in crate::http) async fn give_recovery_codes(
    state: &AppState,
    user: &User,
    mail: Option<NewMail>,
) -> Result<Option<Vec<String>>, Problem> {
    let keys = keys(state)?;
    let codes = new_recovery_codes()?;
    let hashes = codes.iter().map(|code| code.hash(user.id, keys).map(Vec::from)).collect::<Result<_, _>>();
    let hashes = hashes.map_err(Problem::unavailable)?;
    let mails = mail.into_iter().collect();
    if !state.store().replace_recovery_codes(user, hashes, mails, state.now()).await? {
        return Ok(None);
    }
    state.registry.signal_mail();
    AuditEvent::FactorAdded(user.id, "recovery_codes").record(state.metrics());
    Ok(Some(codes.iter().map(RecoveryCode::expose).collect()))
}
