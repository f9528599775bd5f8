//! `/email/…`: verifying the account's address, and changing it. The old address stays until the new one has
//! been verified; whether the new one already has an account is disclosed only to its owner.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::codes::{self, Asking, CodeBody};
use super::extract::client::Client;
use super::extract::fresh::Fresh;
use super::extract::json::{Fields, JsonObject};
use super::extract::session::Authenticated;
use super::limits::note_usage;
use super::notice::{masked, notice};
use super::problem::{Code, FieldError, Problem};
use super::state::AppState;
use super::view::UserView;
use super::{completing, needs, resource};
use crate::config::Feature;
use crate::domain::account_change::AccountChange;
use crate::domain::command::ChangeByCode;
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::user::{Email, User};
use crate::storage::mail_requests::MailRequest;
use crate::telemetry::audit::AuditEvent;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let mail = || needs(Feature::Mail);
    let (verification, confirmation) =
        (resource("/email/verification", "POST"), completing("/email/verification/confirm", "POST"));
    let (change_of, confirmed_change) =
        (resource("/email/change", "POST"), completing("/email/change/confirm", "POST"));
    scope
        .service(verification.guard(mail()).route(web::post().to(ask_for_verification)))
        .service(confirmation.guard(mail()).route(web::post().to(verify)))
        .service(change_of.guard(mail()).route(web::post().to(ask_for_change)))
        .service(confirmed_change.guard(mail()).route(web::post().to(change)));
}

async fn ask_for_verification(
    caller: Authenticated,
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
) -> Result<HttpResponse, Problem> {
    state.shed_load()?;
    let user = account(&state, caller.user()).await?;
    if user.email_verified_at.is_some() {
        return Ok(HttpResponse::NoContent().finish());
    }
    note_usage(&http, state.limits.mail_request(client.address, state.now()).await?);
    Ok(codes::ask(&state, &client, verification_of_user(&user)).await?.answer())
}

/// The code with which a person verifies the account's address.
pub(super) fn verification_of_user(user: &User) -> Asking {
    verification_of(user.id, user.email.as_str(), user.locale.clone())
}

/// The same of an account that need not be there yet.
pub(super) fn verification_of(user: UserId, email: &str, locale: Option<String>) -> Asking {
    Asking {
        purpose: CodePurpose::EmailVerification,
        kind: MailKind::EmailVerification,
        address: email.to_owned(),
        user: Some(user),
        locale,
        payload: None,
        notices: Vec::new(),
    }
}

async fn verify(
    caller: Authenticated,
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<CodeBody>,
) -> Result<HttpResponse, Problem> {
    let request = own_request(&caller, &state, &client, body.0, CodePurpose::EmailVerification).await?;
    let user = account(&state, caller.user()).await?;
    // The address may have changed since the code was requested.
    if user.email.as_str() != request.address {
        return Err(codes::wrong_code("code"));
    }
    codes::spend(&state, &request).await?;
    let change = AccountChange {
        email_verified_at: user.email_verified_at.is_none().then(|| Some(state.now())),
        ..AccountChange::default()
    };
    apply(&caller, &state, &request, change).await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeBody {
    new_email: Option<String>,
}

async fn ask_for_change(
    caller: Fresh,
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<ChangeBody>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let email = fields.required("newEmail", body.0.new_email, |text| Email::parse(&text));
    let Some(email) = email else { return Err(fields.into_problem()) };
    state.shed_load()?;
    let user = account(&state, caller.user()).await?;
    if user.email == email {
        let message = "This is the address of the account already.";
        return Err(Problem::validation(vec![FieldError { field: "newEmail", code: "unchanged", message }]));
    }
    note_usage(&http, state.limits.mail_request(client.address, state.now()).await?);
    let mut told = notice(&state, &client, MailKind::EmailChangeNotice, user.id);
    if let Some(mail) = &mut told {
        mail.values.insert("new_address".to_owned(), json!(masked(email.as_str())));
    }
    let asking = Asking {
        purpose: CodePurpose::EmailChange,
        kind: MailKind::EmailChange,
        address: email.as_str().to_owned(),
        user: Some(user.id),
        locale: user.locale.clone(),
        payload: None,
        notices: told.into_iter().collect(),
    };
    Ok(codes::ask(&state, &client, asking).await?.answer())
}

async fn change(
    caller: Authenticated,
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<CodeBody>,
) -> Result<HttpResponse, Problem> {
    let request = own_request(&caller, &state, &client, body.0, CodePurpose::EmailChange).await?;
    let owner = state.store().lookup_account(request.address.clone()).await?;
    codes::spend(&state, &request).await?;
    // Finding it here saves a commit; the database decides between two at the same time.
    if owner.is_some_and(|owner| owner.user.id != caller.user()) {
        return Err(Problem::new(Code::EmailTaken));
    }
    let change = AccountChange {
        email: Some(Email::from_stored(request.address.clone())),
        email_verified_at: Some(Some(state.now())),
        ..AccountChange::default()
    };
    apply(&caller, &state, &request, change).await
}

/// The request of a correct code, if it is this account's.
async fn own_request(
    caller: &Authenticated,
    state: &AppState,
    client: &Client,
    body: CodeBody,
    purpose: CodePurpose,
) -> Result<MailRequest, Problem> {
    let mut fields = Fields::default();
    let Some((id, code)) = body.parse(&mut fields) else { return Err(fields.into_problem()) };
    state.shed_load()?;
    let request = codes::check(state, client.address, &[purpose], &id, &code).await?;
    if request.user == Some(caller.user()) { Ok(request) } else { Err(codes::wrong_code("code")) }
}

async fn apply(
    caller: &Authenticated,
    state: &web::Data<AppState>,
    request: &MailRequest,
    change: AccountChange,
) -> Result<HttpResponse, Problem> {
    let command =
        ChangeByCode { change, asked_at: request.created_at, spends: None, end_all: None, mails: Vec::new() };
    let act = match command.change.email {
        Some(_) => AuditEvent::EmailChanged(caller.user()),
        None => AuditEvent::EmailVerified(caller.user()),
    };
    codes::change(state, caller.user(), command).await?;
    act.record(state.metrics());
    let user = account(state, caller.user()).await?;
    let last_activity_at = caller.0.snapshot.last_activity_at();
    Ok(HttpResponse::Ok().json(json!({"user": UserView::new(&user, last_activity_at)})))
}

async fn account(state: &AppState, user: UserId) -> Result<User, Problem> {
    let found = state.store().lookup_user(user).await?;
    found.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())
}
