//! `POST /signup`: rate limit → password pool → account and first session, in one transaction → tokens.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::codes::{self, Asked, Asking, CodeBody, parse_locale};
use super::email::verification_of;
use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::problem::{Code, Problem};
use super::sign_in::{SignIn, end_replaced, sessions_before};
use super::signed_in::{self, Extras, open_for, parse_delivery};
use super::state::AppState;
use super::{completing, needs, new_password, resource};
use crate::actors::sign_up::{SignUp, SignUpError};
use crate::clock::new_uuid;
use crate::config::Feature;
use crate::domain::command::Opened;
use crate::domain::device::parse_device_name;
use crate::domain::event::OpenedBy;
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::password_hash::PasswordHash;
use crate::domain::session::Delivery;
use crate::domain::user::{Email, Role, User, parse_name};
use crate::io::IoGone;
use crate::security::login_ticket::LoginOptions;
use crate::security::password::Password;
use crate::storage::StorageError;
use crate::telemetry::serving::run_to_completion;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
    device_name: Option<String>,
    refresh_token_delivery: Option<String>,
    locale: Option<String>,
}

struct Request {
    name: String,
    email: Email,
    password: Password,
    device_name: Option<String>,
    delivery: Delivery,
    locale: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/signup", "POST").route(web::post().to(sign_up)));
    let confirmation = completing("/signup/confirm", "POST").guard(needs(Feature::VerifiedEmail));
    scope.service(confirmation.route(web::post().to(confirm)));
}

async fn sign_up(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let request = Request::try_from(body.0)?;
    state.shed_load()?;
    note_usage(&http, state.limits.signup(client.address, state.now()).await?);
    let person = [request.name.as_str(), request.email.as_str()];
    new_password::check(&state, "password", &request.password, &person).await?;
    if state.config.has(Feature::VerifiedEmail) {
        note_usage(&http, state.limits.mail_request(client.address, state.now()).await?);
    }
    let password_hash = state.passwords.hash(request.password).await?;
    let pending = Pending {
        name: request.name,
        password_hash: password_hash.expose().to_owned(),
        device_name: request.device_name,
        in_body: request.delivery == Delivery::Body,
        locale: request.locale.clone(),
    };
    if state.config.has(Feature::VerifiedEmail) {
        let asking = asking(request.email.as_str(), &pending, request.locale)?;
        return Ok(codes::ask(&state, &client, asking).await?.answer());
    }
    if must_enrol(&state) {
        let (user, verification) = register(&state, &client, request.email, &pending, false).await?;
        let asked = go_on(&state, &http, &client, user, pending).await;
        return match verification {
            Some(verification) => {
                asked.map_err(|problem| problem.with("emailVerification", json!(verification)))
            }
            None => asked,
        };
    }
    let (user, opened, verification) = make(&state, &http, &client, request.email, pending, false).await?;
    let extras = Extras { email_verification: verification, ..Extras::default() };
    signed_in::answer_with(&state, StatusCode::CREATED, &user, &opened, extras)
}

/// Whether a session is opened only when the person has set a second factor up.
fn must_enrol(state: &AppState) -> bool {
    state.config.second_factors.is_required_of(Role::default())
}

/// The account to be made, and, where mail is on, what the client learns of the code that comes with it.
async fn prepare(
    state: &AppState,
    client: &Client,
    email: Email,
    pending: &Pending,
    email_verified: bool,
) -> (SignUp, Option<Asked>) {
    let password_hash = PasswordHash::from_stored(pending.password_hash.clone());
    let (name, locale) = (pending.name.clone(), pending.locale.clone());
    let id = UserId::new(new_uuid());
    let prepared = if state.config.has(Feature::Mail) && !email_verified {
        let asking = verification_of(id, email.as_str(), locale.clone());
        Some(codes::prepare(state, client, asking).await)
    } else {
        None
    };
    let (asked, code) = prepared.map(|prepared| (prepared.asked, prepared.code)).unzip();
    (SignUp { id, name, email, password_hash, email_verified, locale, code }, asked)
}

/// Makes the account alone.
async fn register(
    state: &AppState,
    client: &Client,
    email: Email,
    pending: &Pending,
    email_verified: bool,
) -> Result<(User, Option<Asked>), Problem> {
    let (sign_up, asked) = prepare(state, client, email, pending, email_verified).await;
    let registry = state.registry.clone();
    let registering = run_to_completion(async move { registry.register(sign_up).await });
    let user = registering.await.unwrap_or_else(|| Err(StorageError::from(IoGone).into()))?;
    mail_is_stored(state, asked);
    Ok((user, asked))
}

fn mail_is_stored(state: &AppState, asked: Option<Asked>) {
    if asked.is_some() {
        codes::stored(state, CodePurpose::EmailVerification);
    }
}

/// The person has just chosen the password: the sign-in continues from there, as after a login.
async fn go_on(
    state: &web::Data<AppState>,
    http: &HttpRequest,
    client: &Client,
    user: User,
    pending: Pending,
) -> Result<HttpResponse, Problem> {
    let options = LoginOptions {
        device_name: pending.device_name,
        refresh_token_in_body: pending.in_body,
        ..LoginOptions::default()
    };
    SignIn::by_password(user, options).proceed(state, http, client).await
}

/// A sign-up as stored until access to its mailbox has been proved.
#[derive(Deserialize, Serialize)]
struct Pending {
    name: String,
    password_hash: String,
    device_name: Option<String>,
    in_body: bool,
    #[serde(default)]
    locale: Option<String>,
}

/// What waits with a sign-up, for the person it may be: without the hash.
pub(super) fn waiting(payload: &str) -> Option<serde_json::Value> {
    let pending: Pending = serde_json::from_str(payload).ok()?;
    let Pending { name, device_name, locale, .. } = pending;
    Some(json!({"name": name, "deviceName": device_name, "locale": locale}))
}

/// Whether the address has an account is looked up when the mail is sent.
fn asking(address: &str, pending: &Pending, locale: Option<String>) -> Result<Asking, Problem> {
    Ok(Asking {
        purpose: CodePurpose::Signup,
        kind: MailKind::EmailVerification,
        address: address.to_owned(),
        user: None,
        locale,
        payload: Some(serde_json::to_string(pending).map_err(Problem::unavailable)?),
        notices: Vec::new(),
    })
}

/// Makes the account, signed in. The sessions that this browser was signed in with end, as at a login.
async fn make(
    state: &web::Data<AppState>,
    http: &HttpRequest,
    client: &Client,
    email: Email,
    pending: Pending,
    email_verified: bool,
) -> Result<(User, Opened, Option<Asked>), Problem> {
    let delivery = if pending.in_body { Delivery::Body } else { Delivery::Cookie };
    let occasion = OpenedBy::Signup { email: Arc::from(email.as_str()) };
    let (sign_up, asked) = prepare(state, client, email, &pending, email_verified).await;
    let open = open_for(state, client, pending.device_name, delivery, occasion);
    let replaced = sessions_before(state, http, client);
    let at = state.clone();
    let signing_up = run_to_completion(async move {
        let signed_up = at.registry.sign_up(sign_up, open).await;
        if signed_up.is_ok() {
            end_replaced(&at, replaced).await;
        }
        signed_up
    });
    let (user, opened) = signing_up.await.unwrap_or_else(|| Err(StorageError::from(IoGone).into()))?;
    mail_is_stored(state, asked);
    Ok((user, opened, asked))
}

async fn confirm(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<CodeBody>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let Some((id, code)) = body.0.parse(&mut fields) else { return Err(fields.into_problem()) };
    state.shed_load()?;
    let request = codes::check(&state, client.address, &[CodePurpose::Signup], &id, &code).await?;
    let pending = request.payload.as_deref().and_then(|payload| serde_json::from_str(payload).ok());
    let pending: Pending = pending.ok_or_else(|| codes::wrong_code("code"))?;
    codes::spend(&state, &request).await?;
    let email = Email::from_stored(request.address);
    if must_enrol(&state) {
        let (user, _) = register(&state, &client, email, &pending, true).await?;
        return go_on(&state, &http, &client, user, pending).await;
    }
    let (user, opened, _) = make(&state, &http, &client, email, pending, true).await?;
    signed_in::answer(&state, StatusCode::CREATED, &user, &opened)
}

impl TryFrom<Body> for Request {
    type Error = Problem;

    fn try_from(body: Body) -> Result<Self, Problem> {
        let mut members = Fields::default();
        let name = members.required("name", body.name, |text| parse_name(&text));
        let email = members.required("email", body.email, |text| Email::parse(&text));
        let password = members.required("password", body.password, Password::parse_new);
        let device_name = members.optional("deviceName", body.device_name, |text| parse_device_name(&text));
        let delivery = members
            .optional("refreshTokenDelivery", body.refresh_token_delivery, |text| parse_delivery(&text));
        let locale = members.optional("locale", body.locale, parse_locale);
        match (name, email, password) {
            (Some(name), Some(email), Some(password)) if members.are_fit() => Ok(Self {
                name,
                email,
                password,
                device_name: device_name.flatten(),
                delivery: delivery.unwrap_or_default(),
                locale,
            }),
            _ => Err(members.into_problem()),
        }
    }
}

impl From<SignUpError> for Problem {
    fn from(error: SignUpError) -> Self {
        match error {
            SignUpError::EmailTaken => Self::new(Code::EmailTaken),
            SignUpError::NoSessionAllowed => Self::new(Code::SessionLimitReached),
            SignUpError::Storage(error) => error.into(),
        }
    }
}
