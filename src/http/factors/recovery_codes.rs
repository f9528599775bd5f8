//! `POST /factors/recovery-codes`: ten new codes, which replace all earlier ones.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::caller::{FreshCaller, TotpOn};
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, NewMail};
use crate::http::completing;
use crate::http::extract::client::Client;
use crate::http::notice::factor_notice;
use crate::http::problem::{Code, Problem};
use crate::http::proof::keys;
use crate::http::state::AppState;
use crate::security::recovery_code::{COUNT, RecoveryCode};
use crate::telemetry::audit::AuditEvent;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(completing("/factors/recovery-codes", "POST").route(web::post().to(give)));
}

async fn give(
    _: TotpOn,
    caller: FreshCaller,
    state: web::Data<AppState>,
    client: Client,
) -> Result<HttpResponse, Problem> {
    let factors = state.store().list_factors(caller.user()).await?;
    if factors.totp.is_none() && factors.passkeys.is_empty() {
        return Err(Problem::new(Code::NoSecondFactor));
    }
    let mail = factor_notice(&state, &client, MailKind::FactorAdded, caller.user(), "recovery_codes");
    let codes = give_recovery_codes(&state, caller.user(), mail).await?;
    Ok(HttpResponse::build(StatusCode::CREATED).json(json!({"recoveryCodes": codes})))
}

/// Generates new codes.
pub(super) fn new_recovery_codes() -> Result<Vec<RecoveryCode>, Problem> {
    let codes = (0..COUNT).map(|_| RecoveryCode::generate()).collect::<Option<_>>();
    codes.ok_or_else(Problem::unavailable_for_now)
}

/// Stores new codes, with the mail that reports them, and returns them to be shown only this once.
pub(in crate::http) async fn give_recovery_codes(
    state: &AppState,
    user: UserId,
    mail: Option<NewMail>,
) -> Result<Vec<String>, Problem> {
    let keys = keys(state)?;
    let codes = new_recovery_codes()?;
    let hashes = codes.iter().map(|code| code.hash(user, keys).map(Vec::from)).collect::<Result<_, _>>();
    let hashes = hashes.map_err(Problem::unavailable)?;
    let mails = mail.into_iter().collect();
    state.store().replace_recovery_codes(user, hashes, mails, state.now()).await?;
    state.registry.ring_mail_bell();
    AuditEvent::FactorAdded(user, "recovery_codes").record(state.metrics());
    Ok(codes.iter().map(RecoveryCode::expose).collect())
}
