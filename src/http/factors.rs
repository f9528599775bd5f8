//! `/factors` and `/passkeys`: setting up, listing and removing what a person can present besides the
//! password.
//!
//! In reading order: `caller`, `view`, [`enrolment`] (setting up, also during a sign-in), `totp`,
//! [`recovery_codes`], [`passkeys`]. A change ends sign-ins that are under way and is noticed by every node.

mod caller;
pub(super) mod enrolment;
pub(super) mod passkeys;
pub(super) mod recovery_codes;
mod totp;
mod view;

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::extract::client::Client;
use super::extract::session::Authenticated;
use super::notice::factor_notice;
use super::problem::{Code, Problem};
use super::state::AppState;
use super::{needs, resource};
use crate::config::Feature;
use crate::domain::account_change::ChangedBy;
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, NewMail};
use crate::domain::user::User;
use crate::events::announcement::Announcer;
use crate::storage::factors::{FactorChange, FactorOutcome, Keep};
use crate::telemetry::audit::AuditEvent;
use view::{PasskeyView, TotpView};

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let factors = resource("/factors", "GET").guard(needs(Feature::Totp));
    scope
        .service(factors.route(web::get().to(list)))
        .configure(totp::configure)
        .configure(recovery_codes::configure)
        .configure(passkeys::configure);
}

async fn list(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let store = state.store();
    let factors = store.list_factors(caller.user()).await?;
    let has_any = factors.totp.is_some() || !factors.passkeys.is_empty();
    Ok(HttpResponse::Ok().json(json!({
        "password": factors.password,
        "totp": factors.totp.map(TotpView::from),
        "recoveryCodes": (has_any && factors.recovery_codes > 0).then(|| json!({"left": factors.recovery_codes})),
        "passkeys": factors.passkeys.iter().map(PasskeyView::from).collect::<Vec<_>>(),
    })))
}

/// A change of that user's factors, and the mail about it.
fn change(state: &AppState, user: &User, keep: Keep, mail: Option<NewMail>) -> FactorChange {
    let (shown, user, now) = (Some(user.credentials_changed_at), user.id, state.now());
    let announcer = Announcer::new(&state.config.service_name, user, now);
    let announcements = announcer.factors_changed(ChangedBy::User);
    FactorChange { user, now, shown, keep, announcements, mails: mail.into_iter().collect() }
}

/// The credentials changed while the request was served: what was presented before proves nothing now.
fn outdated(state: &AppState) -> Problem {
    Problem::fresh_authentication_required(state.config.sessions.fresh_auth, false)
}

/// The removal of one of that user's factors.
fn removal(state: &AppState, client: &Client, user: &User, factor: &str) -> FactorChange {
    let mail = factor_notice(state, client, MailKind::FactorRemoved, user.id, factor);
    change(state, user, keep(state, user), mail)
}

/// Which of a user's factors must remain when the person removes one.
fn keep(state: &AppState, user: &User) -> Keep {
    match state.config.second_factors.is_required_of(user.role) {
        true => Keep::SecondFactor,
        false => Keep::WayToSignIn,
    }
}

/// The error for a factor that the user does not have.
fn no_such_factor() -> Problem {
    Problem::not_found().saying("No such factor.")
}

/// The response to a removal.
fn removed(
    state: &AppState,
    user: UserId,
    method: &'static str,
    outcome: FactorOutcome,
) -> Result<HttpResponse, Problem> {
    match outcome {
        FactorOutcome::Changed(changed) => {
            state.registry.factors_changed(user, changed.version, ChangedBy::User);
            AuditEvent::FactorRemoved(user, method).record(state.metrics());
            Ok(HttpResponse::NoContent().finish())
        }
        FactorOutcome::Unchanged => Err(no_such_factor()),
        FactorOutcome::Outdated => Err(outdated(state)),
        FactorOutcome::LastMethod => Err(Problem::new(Code::LastSignInMethod)),
    }
}
