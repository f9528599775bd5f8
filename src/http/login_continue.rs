//! `POST /login/continue`: one endpoint for every step of a sign-in. Ticket → answer to its step → ticket
//! spent → the next step, or the session.
//!
//! The answer is checked before the ticket is spent, so a wrong one does not cost the ticket; a code it used
//! up stays used. Of several correct answers at the same time, only the one that spends the ticket proceeds.

use std::collections::HashSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use uuid::Uuid;

use super::codes;
use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::factors::enrolment;
use super::limits::note_usage;
use super::notice::notice;
use super::problem::{Code, FieldError, Problem};
use super::proof::{passkeys, show_code, show_passkey, show_recovery_code, user_of, wrong};
use super::sign_in::{Choice, SignIn, state_of_credentials};
use super::state::AppState;
use super::{completing, new_password};
use crate::domain::account_change::AccountChange;
use crate::domain::command::{ChangeAccount, Outdated, SetRequiredPassword};
use crate::domain::ids::SessionId;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::sign_in::{Factor, Shown, Step};
use crate::domain::user::{FieldProblem, User};
use crate::security::login_ticket::LoginClaims;
use crate::security::password::Password;
use crate::security::webauthn::CredentialJson;
use crate::storage::factors::FactorsChanged;
use crate::telemetry::audit::AuditEvent;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    login_ticket: Option<String>,
    code: Option<String>,
    recovery_code: Option<String>,
    credential: Option<CredentialJson>,
    request_id: Option<String>,
    email_code: Option<String>,
    new_password: Option<String>,
    end_session_ids: Option<Vec<String>>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(completing("/login/continue", "POST").route(web::post().to(continue_login)));
}

async fn continue_login(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let mut body = body.0;
    let ticket = body.login_ticket.take().ok_or_else(|| missing("loginTicket"))?;
    let claims = verify(&state, &ticket)?;
    state.shed_load()?;
    // Codes are counted by the account; what nobody can guess is counted by the address, like a login.
    if body.recovery_code.is_some() || body.credential.is_some() {
        note_usage(&http, state.limits.login(client.address, state.now()).await?);
    }
    let sign_in = match (claims.progress.user, claims.progress.asked) {
        (None, _) => by_passkey(&state, &http, &client, &claims, body).await?,
        (Some(_), None) => return Err(invalid_ticket()),
        (Some(_), Some(step)) => {
            let user = standing(&state, &claims).await?;
            match step {
                // The change must happen only once, so the ticket is spent before it.
                Step::PasswordChange => {
                    return change_password(&state, &http, &client, &claims, user, body).await;
                }
                Step::EmailVerification => verify_email(&state, &client, &claims, user, body).await?,
                Step::SessionChoice => choose(&state, ticket, &claims, user, body).await?,
                step => answer(&state, &http, &client, &claims, user, step, body).await?,
            }
        }
    };
    spend(&state, &claims).await?;
    sign_in.proceed(&state, &http, &client).await
}

/// The error for a ticket that is unknown, spent or expired, or whose credentials have changed.
pub(super) fn invalid_ticket() -> Problem {
    Problem::new(Code::LoginTicketInvalid)
}

pub(super) fn missing(field: &'static str) -> Problem {
    Problem::validation(vec![FieldError::new(field, FieldProblem::Required)])
}

/// Checks signature and expiry. The rest only the database knows.
pub(super) fn verify(state: &AppState, ticket: &str) -> Result<LoginClaims, Problem> {
    state.login_tickets.verify(ticket, state.now()).map_err(|_| invalid_ticket())
}

/// The user of a ticket, if it is unspent and was issued for the credentials as they are now.
pub(super) async fn standing(state: &AppState, claims: &LoginClaims) -> Result<User, Problem> {
    let store = state.store();
    let id = claims.progress.user.ok_or_else(invalid_ticket)?;
    let user = store.lookup_user(id).await?.filter(|user| user.disabled_at.is_none());
    let user = user.filter(|user| state_of_credentials(user) == claims.progress.credentials);
    let user = user.ok_or_else(invalid_ticket)?;
    check_unspent(state, claims).await?;
    Ok(user)
}

/// A ticket that was spent proves nothing any more.
pub(super) async fn check_unspent(state: &AppState, claims: &LoginClaims) -> Result<(), Problem> {
    let (owner, id) = claims.key();
    let spent = state.store().is_ticket_spent(owner, id).await?;
    if spent { Err(invalid_ticket()) } else { Ok(()) }
}

/// Spends the ticket; only the first caller succeeds.
pub(super) async fn spend(state: &AppState, claims: &LoginClaims) -> Result<(), Problem> {
    let (owner, id) = claims.key();
    let first = state.store().spend_ticket(owner, id, claims.valid_until()).await?;
    // A node that stalled in between may get here after the record of the ticket's use was deleted.
    let in_time = claims.valid_until() > state.now();
    if first && in_time { Ok(()) } else { Err(invalid_ticket()) }
}

/// Signs in with a passkey, which identifies the user and proves both factors.
async fn by_passkey(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    claims: &LoginClaims,
    body: Body,
) -> Result<SignIn, Problem> {
    passkeys(state)?;
    let credential = body.credential.ok_or_else(|| missing("credential"))?;
    check_unspent(state, claims).await?;
    let refused = || Problem::new(Code::InvalidCredentials);
    let id = user_of(&credential).ok_or_else(refused)?;
    // Read first: any change of the credentials from now on ends this sign-in.
    let user = state.store().lookup_user(id).await?;
    let factor = show_passkey(state, http, client, id, &credential, claims.id).await?;
    let user = user.filter(|user| user.disabled_at.is_none()).ok_or_else(refused)?;
    let options = claims.progress.options.clone();
    Ok(SignIn { user, shown: Shown::default().and(factor), options, enrolled: false, choice: None })
}

/// The sign-in that a ticket describes.
fn resume(claims: &LoginClaims, user: User) -> SignIn {
    let progress = &claims.progress;
    SignIn {
        user,
        shown: progress.shown,
        options: progress.options.clone(),
        enrolled: progress.enrolled,
        choice: None,
    }
}

/// Proves access to the mailbox with the code that was mailed to it.
async fn verify_email(
    state: &AppState,
    client: &Client,
    claims: &LoginClaims,
    user: User,
    body: Body,
) -> Result<SignIn, Problem> {
    let code = body.email_code.ok_or_else(|| missing("emailCode"))?;
    let request = claims.progress.mail_request.ok_or_else(invalid_ticket)?.to_string();
    let named = |problem: Problem| match problem.code() {
        Code::ValidationFailed => wrong("emailCode"),
        _ => problem,
    };
    let checked = codes::check(state, client.address, &[CodePurpose::Login], &request, &code).await;
    let request = checked.map_err(named)?;
    if request.user != Some(user.id) || request.address != user.email.as_str() {
        return Err(wrong("emailCode"));
    }
    codes::spend(state, &request).await.map_err(named)?;
    let change = AccountChange { email_verified_at: Some(Some(state.now())), ..AccountChange::default() };
    let command = ChangeAccount::by_user(change);
    state.registry.ask(user.id, command).await?;
    let now = state.store().lookup_user(user.id).await?.ok_or_else(invalid_ticket)?;
    // Credentials that changed meanwhile are not those that were presented.
    Ok(resume(
        claims,
        User { credentials_changed_at: user.credentials_changed_at, factors: user.factors, ..now },
    ))
}

/// Sets the required new password. Every session of the account ends: it may have been opened with a leaked
/// password.
async fn change_password(
    state: &web::Data<AppState>,
    http: &HttpRequest,
    client: &Client,
    claims: &LoginClaims,
    user: User,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let Some(new) = fields.required("newPassword", body.new_password, Password::parse_new) else {
        return Err(fields.into_problem());
    };
    let person = [user.name.as_str(), user.email.as_str()];
    new_password::check(state, "newPassword", &new, &person).await?;
    let password = state.passwords.hash(new).await?;
    spend(state, claims).await?;
    let mails = notice(state, client, MailKind::PasswordChanged, user.id).into_iter().collect();
    let command = SetRequiredPassword { password, shown: user.credentials_changed_at, mails };
    let set = state.registry.ask(user.id, command).await?;
    let credentials_changed_at = set.map_err(|Outdated| invalid_ticket())?;
    AuditEvent::PasswordChanged(user.id).record(state.metrics());
    let user = User { credentials_changed_at, password_change_required: false, ..user };
    resume(claims, user).proceed(state, http, client).await
}

/// Chooses the sessions to end. One that has ended since the list was sent counts as chosen; one that was
/// never the user's is refused.
async fn choose(
    state: &AppState,
    ticket: String,
    claims: &LoginClaims,
    user: User,
    body: Body,
) -> Result<SignIn, Problem> {
    let ids = body.end_session_ids.ok_or_else(|| missing("endSessionIds"))?;
    let parse = |id: &String| Uuid::parse_str(id).map(SessionId::new).map_err(|_| wrong("endSessionIds"));
    let ends = ids.iter().map(parse).collect::<Result<HashSet<_>, _>>()?;
    let known = state.store().count_sessions(user.id, ends.iter().copied().collect()).await?;
    if known < ends.len() as u64 {
        return Err(wrong("endSessionIds"));
    }
    let choice = Choice { ends: ends.into_iter().collect(), ticket, claims: claims.clone() };
    Ok(SignIn { choice: Some(choice), ..resume(claims, user) })
}

/// Handles the answer to the ticket's step.
async fn answer(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    claims: &LoginClaims,
    user: User,
    step: Step,
    body: Body,
) -> Result<SignIn, Problem> {
    let mut sign_in = resume(claims, user);
    match step {
        Step::SecondFactor => {
            let factor = show_factor(state, http, client, &sign_in.user, claims.id, body).await?;
            sign_in.shown = sign_in.shown.and(factor);
        }
        Step::Enrolment => {
            let (factor, changed) = enrol(state, http, client, &sign_in.user, claims.id, body).await?;
            sign_in.shown = sign_in.shown.and(factor);
            sign_in.enrolled = true;
            let now = state.store().lookup_user(sign_in.user.id).await?.ok_or_else(invalid_ticket)?;
            sign_in.user = User { credentials_changed_at: changed.credentials_changed_at, ..now };
        }
        Step::EmailVerification | Step::PasswordChange | Step::SessionChoice => return Err(invalid_ticket()),
    }
    Ok(sign_in)
}

async fn show_factor(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    user: &User,
    ticket: Uuid,
    body: Body,
) -> Result<Factor, Problem> {
    match (body.code, body.recovery_code, body.credential) {
        (Some(code), _, _) => show_code(state, client, user.id, &code).await,
        (None, Some(code), _) => show_recovery_code(state, client, user.id, &code).await,
        (None, None, Some(credential)) => {
            show_passkey(state, http, client, user.id, &credential, ticket).await
        }
        (None, None, None) => Err(missing("code")),
    }
}

/// Confirms a factor that was set up during this sign-in.
async fn enrol(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    user: &User,
    ticket: Uuid,
    body: Body,
) -> Result<(Factor, FactorsChanged), Problem> {
    // The credentials that the ticket was issued for have changed meanwhile.
    let void = |problem: Problem| match problem.code() {
        Code::FreshAuthenticationRequired => invalid_ticket(),
        _ => problem,
    };
    match (body.code, body.credential) {
        (Some(code), _) => {
            // The recovery codes are returned together with the session.
            let changed = enrolment::confirm_totp(state, client, user, &code, &[]).await.map_err(void)?;
            Ok((Factor::Totp, changed))
        }
        (None, Some(credential)) => {
            let given = enrolment::NewPasskey { credential, request_id: body.request_id, name: None };
            let added = enrolment::add_passkey(state, http, client, user, given, ticket).await;
            let (passkey, changed) = added.map_err(void)?;
            let synced = passkey.backup_eligible;
            Ok((if synced { Factor::SyncedPasskey } else { Factor::DevicePasskey }, changed))
        }
        (None, None) => Err(missing("code")),
    }
}
