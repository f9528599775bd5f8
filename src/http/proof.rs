//! Checks a presented second factor: a code of an authenticator app, a recovery code, a passkey. A correct
//! one is used up by one write, so it is valid once over all nodes; a wrong one is counted if it could be
//! guessed.

use std::borrow::Cow;

use actix_web::HttpRequest;
use serde_json::json;
use uuid::Uuid;

use super::extract::client::Client;
use super::limits::Guesser;
use super::notice::notice;
use super::problem::{Code, FieldError, Problem};
use super::state::AppState;
use crate::config::PasskeyConfig;
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, NewMail};
use crate::domain::sign_in::Factor;
use crate::domain::user::FieldProblem;
use crate::security::challenge::{Challenge, Purpose};
use crate::security::encryption::Encryption;
use crate::security::recovery_code::RecoveryCode;
use crate::security::totp::{Place, TotpSecret};
use crate::security::webauthn::{self, CredentialJson, Expected, Known};
use crate::storage::factors::Factors;
use crate::storage::passkeys::PasskeyUse;
use crate::storage::totp::TotpTry;
use crate::telemetry::audit::AuditEvent;

/// How often a passkey is read again because its counter changed meanwhile.
const MAX_TRIES: usize = 5;

/// The error for a wrong factor in a member of the body: the same for a wrong, a used and an unknown one.
pub(super) fn wrong(field: &'static str) -> Problem {
    Problem::validation(vec![FieldError::new(field, FieldProblem::Invalid)])
}

/// The keys, if the feature is on.
pub(super) fn keys(state: &AppState) -> Result<&Encryption, Problem> {
    state.encryption()
}

/// The second factors that a user can present now, as `methods` in responses. A blocked one is left out.
pub(super) fn methods(factors: &Factors) -> Vec<&'static str> {
    let app = factors.totp.is_some_and(|totp| !totp.blocked);
    let methods = [
        (app, "totp"),
        (factors.recovery_codes > 0, "recovery_code"),
        (!factors.passkeys.is_empty(), "passkey"),
    ];
    methods.into_iter().filter(|(there, _)| *there).map(|(_, method)| method).collect()
}

/// Counts the outcome of presenting a factor.
pub(super) fn count(state: &AppState, method: &str, outcome: &str) {
    state.metrics().second_factors.with_label_values(&[method, outcome]).inc();
}

/// Checks a code of the user's authenticator app.
pub(super) async fn show_code(
    state: &AppState,
    client: &Client,
    user: UserId,
    code: &str,
) -> Result<Factor, Problem> {
    let (keys, store, now) = (keys(state)?, state.store(), state.now());
    let guesser = Guesser::User(user);
    state.limits.check_code_failures(guesser, now).await?;
    let right = match store.try_totp(user).await? {
        TotpTry::Absent => false,
        TotpTry::Blocked => {
            count(state, "totp", "blocked");
            let factors = store.list_factors(user).await?;
            return Err(Problem::new(Code::FactorBlocked).with("methods", json!(methods(&factors))));
        }
        TotpTry::Counted { sealed, added_at } => {
            let secret =
                TotpSecret::open(keys, user, Place::Confirmed, &sealed).map_err(Problem::unavailable)?;
            match secret.matching_step(code, now) {
                Some(step) => {
                    // Guesses made at the same time may have used the failures up meanwhile.
                    state.limits.check_code_failures(guesser, now).await?;
                    store.use_totp_step(user, added_at, step, now).await?
                }
                None => false,
            }
        }
    };
    if !right {
        refused(state, client, user, "totp");
        state.limits.code_failed(guesser, now).await?;
        return Err(wrong("code"));
    }
    count(state, "totp", "success");
    Ok(Factor::Totp)
}

/// Checks a recovery code. Nobody can guess one, so wrong ones are not counted.
pub(super) async fn show_recovery_code(
    state: &AppState,
    client: &Client,
    user: UserId,
    code: &str,
) -> Result<Factor, Problem> {
    let keys = keys(state)?;
    let right = match RecoveryCode::parse(code) {
        Some(code) => {
            let hashes = code.hashes(user, keys).map_err(Problem::unavailable)?;
            let hashes = hashes.into_iter().map(Vec::from).collect();
            state.store().use_recovery_code(user, hashes).await?
        }
        None => false,
    };
    if !right {
        refused(state, client, user, "recovery_code");
        return Err(wrong("recoveryCode"));
    }
    count(state, "recovery_code", "success");
    Ok(Factor::RecoveryCode)
}

/// Checks a passkey of the user, with a challenge that was bound to that login ticket.
pub(super) async fn show_passkey(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    user: UserId,
    credential: &CredentialJson,
    ticket: Uuid,
) -> Result<Factor, Problem> {
    let shown = verify_passkey(state, http, client, user, credential, ticket).await?;
    match shown {
        Some(factor) => {
            count(state, "passkey", "success");
            Ok(factor)
        }
        None => {
            refused(state, client, user, "passkey");
            Err(Problem::new(Code::InvalidCredentials))
        }
    }
}

/// The configuration of passkeys, if they are on.
pub(super) fn passkeys(state: &AppState) -> Result<&PasskeyConfig, Problem> {
    state.config.second_factors.passkeys.as_ref().ok_or_else(Problem::not_found)
}

/// The user whose passkey a credential claims to be.
pub(super) fn user_of(credential: &CredentialJson) -> Option<UserId> {
    let handle = credential.user_handle()?;
    Uuid::from_slice(&handle).ok().map(UserId::new)
}

async fn verify_passkey(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    user: UserId,
    credential: &CredentialJson,
    ticket: Uuid,
) -> Result<Option<Factor>, Problem> {
    let config = passkeys(state)?;
    let (store, now) = (state.store(), state.now());
    let (Some(id), Some(challenge)) = (credential.id(), credential.challenge()) else { return Ok(None) };
    // Without a user handle it is a passkey of the ticket's user; with one it must name the same user.
    let is_theirs = credential.user_handle().is_none() || user_of(credential) == Some(user);
    let asked = state.challenges.verify(&challenge, Purpose::Authenticate, ticket, now);
    let Some(asked) = asked.filter(|_| is_theirs) else { return Ok(None) };
    for _ in 0..MAX_TRIES {
        let Some(passkey) = store.lookup_passkey(user, id.clone()).await? else { return Ok(None) };
        let allows_origin = |origin: &str| is_allowed(config, http, origin);
        let expected =
            Expected { rp_id: &config.rp_id, challenge: &challenge, allows_origin: &allows_origin };
        let known = Known { public_key: &passkey.public_key, backup_eligible: passkey.backup_eligible };
        let signed = match webauthn::authenticate(credential, known, &expected) {
            Ok(signed) => signed,
            Err(refused) => {
                tracing::debug!(error = &refused as &dyn std::error::Error, "passkey.refused");
                return Ok(None);
            }
        };
        let regressed = is_regressed(passkey.backup_eligible, passkey.counter, signed.counter);
        let suspicion = regressed.then(|| notice(state, client, MailKind::PasskeySuspicious, user)).flatten();
        if regressed && config.reject_regressed_counter {
            reject_copy(state, user, asked, suspicion).await?;
            return Ok(None);
        }
        let (counter_before, counter, backed_up) = (passkey.counter, signed.counter, signed.backed_up);
        let used = PasskeyUse { counter_before, counter, backed_up, now };
        if store.use_passkey(user, id.clone(), used, suspicion.into_iter().collect()).await? {
            if regressed {
                AuditEvent::CounterRegressed(user).record(state.metrics());
                state.registry.signal_mail();
            }
            let synced = passkey.backup_eligible;
            return Ok(Some(if synced { Factor::SyncedPasskey } else { Factor::DevicePasskey }));
        }
    }
    Err(Problem::unavailable_for_now())
}

/// Spends the challenge with the mail that tells of a copied passkey: sent again, the same signature mails
/// nothing more.
async fn reject_copy(
    state: &AppState,
    user: UserId,
    asked: Challenge,
    mail: Option<NewMail>,
) -> Result<(), Problem> {
    let (mails, now) = (mail.into_iter().collect(), state.now());
    if state.store().spend_ticket_and_mail(user, asked.id, asked.valid_until, mails, now).await? {
        AuditEvent::CounterRegressed(user).record(state.metrics());
        state.registry.signal_mail();
    }
    Ok(())
}

/// Whether a device-bound passkey counts as copied: its counter stands still or went back. Synced ones and
/// those without a counter have none to compare.
fn is_regressed(backup_eligible: bool, stored: u32, signed: u32) -> bool {
    !backup_eligible && (stored, signed) != (0, 0) && signed <= stored
}

/// Each refusal is counted; a line is written of a client's first in a minute.
fn refused(state: &AppState, client: &Client, user: UserId, method: &'static str) {
    count(state, method, "failure");
    let event = AuditEvent::FactorRefused(user, method);
    event.count(state.metrics());
    // A passkey may name any user, so that name makes no other line.
    let whose = if method == "passkey" { String::new() } else { user.to_string() };
    if state.limits.may_log(client.address, &format!("factor.refused {method} {whose}"), state.now()) {
        event.log();
    }
}

/// Whether pages of that origin may use passkeys: a listed origin, or the service's own, which is the host
/// that the request names if that host is exactly the RP ID. A mere subdomain of it could be anybody's.
pub(super) fn is_allowed(config: &PasskeyConfig, http: &HttpRequest, origin: &str) -> bool {
    if config.origins.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let host = http.headers().get(actix_web::http::header::HOST).and_then(|host| host.to_str().ok());
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let plain = |authority: &str| -> Option<Cow<'static, str>> {
        let authority = authority.to_ascii_lowercase();
        let name = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
        let host = name.rsplit_once(':').map_or(name.as_str(), |(host, _)| host);
        (host == config.rp_id).then_some(Cow::Owned(name))
    };
    let (own, asked) = (host.and_then(plain), plain(authority));
    own.is_some() && own == asked
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn own_pages_are_those_of_the_very_site() {
        let config = PasskeyConfig {
            rp_id: "example.com".to_owned(),
            origins: vec!["https://app.example.com".to_owned()],
            reject_regressed_counter: false,
        };
        for (host, origin, allowed) in [
            ("auth.internal", "https://app.example.com", true),
            ("example.com", "https://example.com", true),
            ("example.com:443", "https://example.com", true),
            ("example.com:4001", "http://example.com:4001", true),
            ("example.com", "http://example.com:4001", false),
            ("evil.example.com", "https://evil.example.com", false),
            ("evil.com", "https://evil.com", false),
            ("example.com", "https://app.example.com.evil.com", false),
            ("example.com", "capacitor://example.com", false),
            ("example.com", "example.com", false),
        ] {
            let http = TestRequest::default().insert_header(("host", host)).to_http_request();
            assert_eq!(is_allowed(&config, &http, origin), allowed, "{host} {origin}");
        }
    }

    #[test]
    fn a_counter_regresses_only_where_there_is_one() {
        for (backup_eligible, stored, signed, regressed) in [
            (false, 5, 6, false),
            (false, 5, 5, true),
            (false, 5, 4, true),
            (false, 5, 0, true),
            (false, 0, 0, false),
            (false, 0, 1, false),
            (true, 5, 4, false),
        ] {
            assert_eq!(is_regressed(backup_eligible, stored, signed), regressed, "{stored} {signed}");
        }
    }
}
