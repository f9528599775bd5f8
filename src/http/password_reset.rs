//! `POST /password/reset`: the same response, in the same time, for an address with an account and for one
//! without. The account is looked up only when the mail is sent. `POST /password/reset/confirm`: a new
//! password for the correct code; all sessions end.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::codes::{self, Asking, CodeBody, parse_locale};
use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::notice::notice;
use super::problem::Problem;
use super::state::AppState;
use super::{completing, needs, new_password, resource};
use crate::config::Feature;
use crate::domain::account_change::AccountChange;
use crate::domain::command::ChangeByCode;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::reason::EndReason;
use crate::domain::user::Email;
use crate::security::password::Password;
use crate::telemetry::audit::AuditEvent;

/// The codes that set a password without the old one.
const PURPOSES: [CodePurpose; 2] = [CodePurpose::PasswordReset, CodePurpose::Invitation];

#[derive(Deserialize)]
struct Body {
    email: Option<String>,
    locale: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let ask = resource("/password/reset", "POST").guard(needs(Feature::Mail));
    scope.service(ask.route(web::post().to(ask_for_reset)));
    let confirm = completing("/password/reset/confirm", "POST").guard(needs(Feature::Mail));
    scope.service(confirm.route(web::post().to(reset)));
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmBody {
    #[serde(flatten)]
    code: CodeBody,
    new_password: Option<String>,
}

async fn reset(
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<ConfirmBody>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let code = body.0.code.parse(&mut fields);
    let password = fields.required("newPassword", body.0.new_password, Password::parse_new);
    let (Some((id, code)), Some(password)) = (code, password) else { return Err(fields.into_problem()) };
    state.shed_load()?;
    // Rules that need no account come first; a refusal costs no try. No other service is called before
    // the code has been checked.
    new_password::check_here(&state, "newPassword", &password, &[])?;
    let request = codes::check(&state, client.address, &PURPOSES, &id, &code).await?;
    let found = state.store().lookup_account(request.address.clone()).await?;
    // There is no account: the code was correct, although nobody can have received it.
    let user = found.ok_or_else(|| codes::wrong_code("code"))?.user;
    let person = [user.name.as_str(), user.email.as_str()];
    let hashing = async {
        new_password::check(&state, "newPassword", &password, &person).await?;
        Ok::<_, Problem>(state.passwords.hash(password).await?)
    };
    let password = match hashing.await {
        Ok(password) => password,
        Err(refused) => {
            codes::give_back(&state, &request).await?;
            return Err(refused);
        }
    };
    let change = AccountChange {
        password: Some(password),
        password_change_required: user.password_change_required.then_some(false),
        email_verified_at: user.email_verified_at.is_none().then(|| Some(state.now())),
        ..AccountChange::default()
    };
    let command = ChangeByCode {
        change,
        asked_at: request.created_at,
        spends: Some(request.id),
        end_all: Some(EndReason::CredentialsChanged),
        mails: notice(&state, &client, MailKind::PasswordChanged, user.id).into_iter().collect(),
    };
    codes::change(&state, user.id, command).await?;
    codes::count_right(&state, &request);
    AuditEvent::PasswordChanged(user.id).record(state.metrics());
    Ok(HttpResponse::NoContent().finish())
}

async fn ask_for_reset(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let (email, locale) = parse(body.0)?;
    state.shed_load()?;
    note_usage(&http, state.limits.mail_request(client.address, state.now()).await?);
    let asking = Asking {
        purpose: CodePurpose::PasswordReset,
        kind: MailKind::PasswordReset,
        address: email.as_str().to_owned(),
        user: None,
        locale,
        payload: None,
        notices: Vec::new(),
    };
    Ok(codes::ask(&state, &client, asking).await?.answer())
}

fn parse(body: Body) -> Result<(Email, Option<String>), Problem> {
    let mut fields = Fields::default();
    let email = fields.required("email", body.email, |text| Email::parse(&text));
    let locale = fields.optional("locale", body.locale, parse_locale);
    match email {
        Some(email) if fields.are_fit() => Ok((email, locale)),
        _ => Err(fields.into_problem()),
    }
}
