//! `POST /login`: rate limit → user by email → password pool → the user's actor → tokens.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::problem::{Code, Problem};
use super::resource;
use super::shown::sessions_of_cookies;
use super::signed_in::{self, open_for, parse_delivery};
use super::state::AppState;
use crate::actors::messages::ActorError;
use crate::domain::command::{EndReplaced, Open, OpenRefusal, Opened, Replaces};
use crate::domain::device::parse_device_name;
use crate::domain::event::OpenedBy;
use crate::domain::ids::UserId;
use crate::domain::session::Delivery;
use crate::domain::user::{EMAIL_MAX_BYTES, Email, FieldProblem, User};
use crate::security::password::{Password, Verdict};
use crate::storage::users::Credentials;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::serving::run_to_completion;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    email: Option<String>,
    password: Option<String>,
    device_name: Option<String>,
    refresh_token_delivery: Option<String>,
    remember: Option<bool>,
    keep_session: Option<bool>,
}

struct Request {
    /// As addresses are stored; it need not be one.
    email: String,
    password: Password,
    device_name: Option<String>,
    delivery: Delivery,
    remember: Option<bool>,
    keep_session: bool,
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
    // Guesses made at the same time may have used the failures up meanwhile.
    state.limits.check_login_failures(&request.email, client.address, now).await?;
    let replaced = if request.keep_session { None } else { session_before(&state, &http, &client) };
    let open = Open {
        remember: request.remember,
        shown: user.credentials_changed_at,
        replaces: replaced.filter(|(owner, _)| *owner == user.id).map(|(_, replaces)| replaces),
        ..open_for(&client, request.device_name, request.delivery, OpenedBy::Login)
    };
    let asking = run_to_completion(ask(state.clone(), user.id, open, replaced));
    let opened = match asking.await.unwrap_or(Err(ActorError::NoAnswer)) {
        Ok(Ok(opened)) => opened,
        Ok(Err(OpenRefusal::LimitReached { .. })) => return Err(Problem::new(Code::SessionLimitReached)),
        // Disabled, or given another password, while this one was looked at.
        Ok(Err(OpenRefusal::Disabled | OpenRefusal::Outdated)) => {
            return Err(Problem::new(Code::InvalidCredentials));
        }
        Err(ActorError::NoSuchUser) => return Err(Problem::new(Code::InvalidCredentials)),
        Err(error) => return Err(error.into()),
    };
    signed_in::answer(&state, StatusCode::OK, &user, &opened)
}

/// The session that the browser was signed in with, and whose it is.
fn session_before(state: &AppState, http: &HttpRequest, client: &Client) -> Option<(UserId, Replaces)> {
    let claims = sessions_of_cookies(state, http, client).into_iter().next()?;
    Some((claims.user, Replaces { session: claims.session, generation: claims.generation }))
}

async fn ask(
    state: web::Data<AppState>,
    user: UserId,
    open: Open,
    replaced: Option<(UserId, Replaces)>,
) -> Result<Result<Opened, OpenRefusal>, ActorError> {
    let opened = state.registry.ask(user, open).await;
    if let Ok(Ok(opened)) = &opened {
        // Somebody else's session ends by itself; the new one does not depend on that.
        if let Some((owner, replaces)) = replaced.filter(|(owner, _)| *owner != user)
            && let Err(error) = state.registry.ask(owner, EndReplaced(replaces)).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "login.replaced_not_ended");
        }
        AuditEvent::LoggedIn(user, opened.session.id()).record(state.metrics());
    }
    opened
}

/// The user, if there is one and the password is theirs. It takes the same time if there is none, or if the account is
/// disabled: that one is looked at no further.
async fn check_password(state: &AppState, email: &str, password: Password) -> Result<Option<User>, Problem> {
    let found = if email.len() <= EMAIL_MAX_BYTES {
        state.registry.store().lookup_credentials(email.to_owned()).await?
    } else {
        None
    };
    let found = found.filter(|found| found.user.disabled_at.is_none());
    let hash = found.as_ref().map(|found| found.password_hash.clone());
    match (state.passwords.verify(password, hash).await?, found) {
        (Verdict::Right { rehashed }, Some(Credentials { user, password_hash })) => {
            if let Some(new) = rehashed {
                state.registry.store().replace_password_hash(user.id, password_hash, new).await?;
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
        let device_name = members.optional("deviceName", body.device_name, |text| parse_device_name(&text));
        let delivery = members
            .optional("refreshTokenDelivery", body.refresh_token_delivery, |text| parse_delivery(&text));
        match (email, password) {
            (Some(email), Some(password)) if members.are_fit() => Ok(Self {
                email,
                password,
                device_name: device_name.flatten(),
                delivery: delivery.unwrap_or_default(),
                remember: body.remember,
                keep_session: body.keep_session.unwrap_or(false),
            }),
            _ => Err(members.into_problem()),
        }
    }
}

/// Anything an account may be looked up by: a malformed address is simply nobody's.
fn parse_given_email(text: &str) -> Result<String, FieldProblem> {
    match Email::lookup_key(text) {
        email if email.is_empty() => Err(FieldProblem::Required),
        email if email.len() > EMAIL_MAX_BYTES => Err(FieldProblem::TooLong),
        email if email.contains('\0') => Err(FieldProblem::Invalid),
        email => Ok(email),
    }
}
