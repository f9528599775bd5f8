//! Sets up second factors: from a fresh session, or during a sign-in with a login ticket whose step it is.

use actix_web::HttpRequest;
use uuid::Uuid;

use super::{change, outdated};
use crate::clock::new_uuid;
use crate::domain::account_change::ChangedBy;
use crate::domain::device::DeviceInfo;
use crate::domain::mail::MailKind;
use crate::domain::user::{FieldProblem, User, parse_name};
use crate::http::extract::client::Client;
use crate::http::notice::factor_notice;
use crate::http::problem::{Code, FieldError, Problem};
use crate::http::proof::{count, is_allowed, keys, passkeys, wrong};
use crate::http::state::AppState;
use crate::security::challenge::Purpose;
use crate::security::recovery_code::RecoveryCode;
use crate::security::totp::{Place, TotpSecret};
use crate::security::webauthn::{self, CredentialJson, Expected};
use crate::storage::factors::{FactorOutcome, FactorsChanged, Keep};
use crate::storage::passkeys::{AddedPasskey, Passkey};
use crate::telemetry::audit::AuditEvent;

/// How long a secret waits for its first code.
pub(super) const PENDING_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// Confirms the app that was set up last, if this is one of its codes. The code's time step is then used up.
/// Returns the new state of the credentials.
pub(in crate::http) async fn confirm_totp(
    state: &AppState,
    client: &Client,
    user: &User,
    code: &str,
    codes: &[RecoveryCode],
) -> Result<FactorsChanged, Problem> {
    let (keys, store, now) = (keys(state)?, state.store(), state.now());
    let refused = || {
        count(state, "totp", "failure");
        wrong("code")
    };
    let pending = store.pending_totp(user.id, now.minus(PENDING_FOR)).await?.ok_or_else(refused)?;
    let secret = TotpSecret::open(keys, user.id, Place::Pending, &pending).map_err(Problem::unavailable)?;
    let step = secret.matching_step(code, now).ok_or_else(refused)?;
    let sealed = secret.seal(keys, user.id, Place::Confirmed).map_err(Problem::unavailable)?;
    let hashes = codes.iter().map(|code| code.hash(user.id, keys).map(Vec::from)).collect::<Result<_, _>>();
    let hashes = hashes.map_err(Problem::unavailable)?;
    let mail = factor_notice(state, client, MailKind::FactorAdded, user.id, "totp");
    let change = change(state, user, Keep::Nothing, mail);
    match store.confirm_totp(change, pending, sealed, step, hashes).await? {
        FactorOutcome::Changed(changed) => {
            state.registry.factors_changed(user.id, changed.version, ChangedBy::User);
            count(state, "totp", "success");
            AuditEvent::FactorAdded(user.id, "totp").record(state.metrics());
            Ok(changed)
        }
        // Another request has confirmed it, or has set up another app.
        FactorOutcome::Unchanged | FactorOutcome::LastMethod => Err(refused()),
        FactorOutcome::Outdated => Err(outdated(state)),
    }
}

/// A passkey that a browser has created.
#[derive(Debug)]
pub(in crate::http) struct NewPasskey {
    /// The credential from the browser.
    pub(in crate::http) credential: CredentialJson,
    /// The request whose challenge was used, if the client names it.
    pub(in crate::http) request_id: Option<String>,
    /// The name to give it.
    pub(in crate::http) name: Option<String>,
}

/// Adds a passkey whose challenge was bound to `bound_to`: the login ticket, or the user of a session. Also
/// returns the new state of the credentials.
pub(in crate::http) async fn add_passkey(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    user: &User,
    new: NewPasskey,
    bound_to: Uuid,
) -> Result<(Passkey, FactorsChanged), Problem> {
    let (config, store, now) = (passkeys(state)?, state.store(), state.now());
    let name = new.name.map(|name| parse_name(&name)).transpose();
    let name = name.map_err(|unfit| Problem::validation(vec![FieldError::new("name", unfit)]))?;
    let refused = || {
        count(state, "passkey", "failure");
        Problem::new(Code::InvalidCredentials)
    };
    let signed = new.credential.challenge().ok_or_else(refused)?;
    if new.request_id.as_ref().is_some_and(|id| *id != signed) {
        return Err(refused());
    }
    let challenge = state.challenges.verify(&signed, Purpose::Register, bound_to, now);
    let challenge = challenge.ok_or_else(|| wrong("requestId"))?;
    let allows_origin = |origin: &str| is_allowed(config, http, origin);
    let expected = Expected { rp_id: &config.rp_id, challenge: &signed, allows_origin: &allows_origin };
    let registered = webauthn::register(&new.credential, &expected).map_err(|cause| {
        tracing::debug!(error = &cause as &dyn std::error::Error, "passkey.refused");
        refused()
    })?;
    if !store.spend_ticket(user.id, challenge.id, challenge.valid_until).await? {
        return Err(wrong("requestId"));
    }
    let passkey = Passkey {
        id: new_uuid(),
        credential_id: registered.id,
        name: name.unwrap_or_else(|| default_name(http)),
        public_key: registered.public_key,
        counter: registered.counter,
        backup_eligible: registered.backup_eligible,
        backed_up: registered.backed_up,
        transports: new.credential.transports().into_iter().map(str::to_owned).collect(),
        added_at: now,
        last_used_at: None,
    };
    let mail = factor_notice(state, client, MailKind::FactorAdded, user.id, "passkey");
    let change = change(state, user, Keep::Nothing, mail);
    match store.add_passkey(change, passkey.clone()).await? {
        AddedPasskey::Added(changed) => {
            state.registry.factors_changed(user.id, changed.version, ChangedBy::User);
            count(state, "passkey", "success");
            AuditEvent::FactorAdded(user.id, "passkey").record(state.metrics());
            Ok((passkey, changed))
        }
        AddedPasskey::Outdated => Err(outdated(state)),
        AddedPasskey::Present => Err(Problem::new(Code::PasskeyExists)),
        AddedPasskey::TooMany => Err(Problem::new(Code::TooManyPasskeys)),
    }
}

/// A description of the device, for a passkey without a name.
fn default_name(http: &HttpRequest) -> String {
    let agent = http.headers().get(actix_web::http::header::USER_AGENT);
    let agent = agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let device = DeviceInfo::from_user_agent(agent.as_deref(), None);
    match (device.browser, device.os) {
        (Some(browser), Some(os)) => format!("{browser}, {os}"),
        (Some(one), None) | (None, Some(one)) => one.into(),
        (None, None) => "Passkey".to_owned(),
    }
}

/// The error for a required member that is missing.
pub(super) fn missing(field: &'static str) -> Problem {
    Problem::validation(vec![FieldError::new(field, FieldProblem::Required)])
}
