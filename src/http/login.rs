//! `POST /login`: rate limit → user by email → password pool → the next step, or the user's actor → tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::problem::{Code, Problem};
use super::resource;
use super::sign_in::{LoginOptionsBody, SignIn};
use super::state::AppState;
use crate::domain::email::EMAIL_MAX_BYTES;
use crate::domain::password_hash::PasswordHash;
use crate::domain::user::{Email, FieldProblem, User};
use crate::security::login_ticket::LoginOptions;
use crate::security::password::{Password, Verdict};
use crate::storage::accounts::Account;
use crate::telemetry::audit::AuditEvent;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    email: Option<String>,
    password: Option<String>,
    #[serde(flatten)]
    options: LoginOptionsBody,
}

struct Request {
    /// Normalized as addresses are stored, but not necessarily a valid address.
    email: String,
    password: Password,
    options: LoginOptions,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/login", "POST").route(web::post().to(log_in)));
}

async fn log_in(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let request = Request::try_from(body.0)?;
    state.shed_load()?;
    let now = state.now();
    note_usage(&http, state.limits.login(client.address, now).await?);
    state.limits.check_login_failures(&request.email, client.address, now).await?;
    let Some(user) = check_password(&state, &request.email, request.password).await? else {
        let account = state.limits.pseudonyms().account(&request.email, now);
        AuditEvent::LoginFailed(account).record(state.metrics());
        state.limits.login_failed(&request.email, client.address, now).await?;
        return Err(Problem::new(Code::InvalidCredentials));
    };
    // Concurrent guesses may have used up the allowed failures meanwhile.
    state.limits.check_login_failures(&request.email, client.address, now).await?;
    SignIn::by_password(user, request.options).proceed(&state, &http, &client).await
}

/// The user, if there is one and the password is theirs. It takes the same time for an unknown address and
/// for a disabled account; the latter is always refused.
async fn check_password(state: &AppState, email: &str, password: Password) -> Result<Option<User>, Problem> {
    let found = if email.len() <= EMAIL_MAX_BYTES {
        state.store().lookup_account(email.to_owned()).await?
    } else {
        None
    };
    let found = found.filter(|found| found.user.disabled_at.is_none());
    // An account that was created without a password has none yet.
    let hash = found.as_ref().map(|found| found.password_hash.clone()).filter(PasswordHash::is_some);
    match (state.passwords.verify(password, hash).await?, found) {
        (Verdict::Right { rehashed }, Some(Account { user, password_hash })) => {
            if let Some(new) = rehashed {
                state.store().replace_password_hash(user.id, password_hash, new).await?;
            }
            Ok(Some(user))
        }
        (Verdict::Wrong | Verdict::Right { .. }, _) => Ok(None),
    }
}

impl TryFrom<Body> for Request {
    type Error = Problem;

    fn try_from(body: Body) -> Result<Self, Problem> {
        let mut members = Fields::default();
        let email = members.required("email", body.email, |text| parse_given_email(&text));
        let password = members.required("password", body.password, Password::parse_attempt);
        let options = body.options.read(&mut members);
        match (email, password) {
            (Some(email), Some(password)) if members.are_fit() => Ok(Self { email, password, options }),
            _ => Err(members.into_problem()),
        }
    }
}

/// Any text can be used for the lookup: a malformed address simply belongs to nobody.
fn parse_given_email(text: &str) -> Result<String, FieldProblem> {
    match Email::lookup_key(text) {
        email if email.is_empty() => Err(FieldProblem::Required),
        email if email.len() > EMAIL_MAX_BYTES => Err(FieldProblem::TooLong),
        email if email.contains('\0') => Err(FieldProblem::Invalid),
        email => Ok(email),
    }
}
