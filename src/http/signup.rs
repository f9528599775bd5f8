//! `POST /signup`: rate limit → password pool → account and first session, in one transaction → tokens.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::problem::{Code, Problem};
use super::signed_in::{self, open_for, parse_delivery};
use super::state::AppState;
use super::{new_password, resource};
use crate::actors::sign_up::{SignUp, SignUpError};
use crate::domain::device::parse_device_name;
use crate::domain::event::OpenedBy;
use crate::domain::session::Delivery;
use crate::domain::user::{Email, parse_name};
use crate::io::IoGone;
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
}

struct Request {
    name: String,
    email: Email,
    password: Password,
    device_name: Option<String>,
    delivery: Delivery,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/signup", "POST").route(web::post().to(sign_up)));
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
    let password_hash = state.passwords.hash(request.password).await?;
    let occasion = OpenedBy::Signup { email: Arc::from(request.email.as_str()) };
    let open = open_for(&client, request.device_name, request.delivery, occasion);
    let sign_up = SignUp { name: request.name, email: request.email, password_hash, open };
    let registry = state.registry.clone();
    let signing_up = run_to_completion(async move { registry.sign_up(sign_up).await });
    let (user, opened) = signing_up.await.unwrap_or_else(|| Err(StorageError::from(IoGone).into()))?;
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
        match (name, email, password) {
            (Some(name), Some(email), Some(password)) if members.are_fit() => Ok(Self {
                name,
                email,
                password,
                device_name: device_name.flatten(),
                delivery: delivery.unwrap_or_default(),
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
