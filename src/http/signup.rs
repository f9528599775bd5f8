//! `POST /signup`: an account and its first session, in one transaction.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{JsonObject, Members};
use super::limits::tell;
use super::problem::{Code, Problem};
use super::resource;
use super::signed_in::{self, Delivery, open_for};
use super::state::AppState;
use crate::clock::new_uuid;
use crate::domain::command::decide;
use crate::domain::device::parse_device_name;
use crate::domain::event::{LedgerEvent, Occasion};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::user::{Email, Role, User, parse_name};
use crate::events::announcement::Announcer;
use crate::io::IoGone;
use crate::security::password::Password;
use crate::storage::StorageError;
use crate::storage::users::{RegisterError, Registration};
use crate::telemetry::audit::Act;
use crate::telemetry::serving::see_through;

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
    state.admit()?;
    tell(&http, state.limits.signup(client.address, state.now()).await?);
    let password_hash = state.passwords.hash(request.password).await?;

    let now = state.now();
    let user = User {
        id: UserId::new(new_uuid()),
        name: request.name,
        email: request.email,
        role: Role::default(),
        last_activity_at: now,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    // A user that does not exist yet has no actor; the first session is decided by the same rule as any other.
    let occasion = Occasion::Signup { email: Arc::from(user.email.as_str()) };
    let ledger = Ledger::new(user.id, user.role, 0, now, Vec::new());
    let open = open_for(&client, request.device_name, occasion);
    let decision = decide(&open, &ledger, now, state.registry.policy_ref(user.role));
    let opened = decision.reply.map_err(|_| Problem::new(Code::SessionLimitReached))?;

    let service = state.config.service_name.as_str();
    let announcer = Announcer { service, user: user.id, now, new_id: new_uuid };
    let registration = Registration {
        user: user.clone(),
        password_hash,
        session: opened.session.clone(),
        announcements: announcer.announce(&decision.events),
    };
    let ledger = ledger_after(ledger, &decision.events);
    see_through(store(state.clone(), registration, ledger))
        .await
        .unwrap_or_else(|| Err(StorageError::from(IoGone).into()))?;
    signed_in::answer(&state, StatusCode::CREATED, &user, &opened, request.delivery)
}

async fn store(
    state: web::Data<AppState>,
    registration: Registration,
    ledger: Ledger,
) -> Result<(), RegisterError> {
    let news = state.registry.news();
    state.registry.store().add_user(registration).await?;
    Act::SignedUp(ledger.user).record(state.metrics());
    state.registry.welcome(ledger, news).await;
    Ok(())
}

fn ledger_after(mut ledger: Ledger, events: &[LedgerEvent]) -> Ledger {
    events.iter().for_each(|event| ledger.apply(event));
    ledger
}

impl TryFrom<Body> for Request {
    type Error = Problem;

    fn try_from(body: Body) -> Result<Self, Problem> {
        let mut members = Members::default();
        let name = members.required("name", body.name, |text| parse_name(&text));
        let email = members.required("email", body.email, |text| Email::parse(&text));
        let password = members.required("password", body.password, Password::parse_new);
        let device_name = members.optional("deviceName", body.device_name, |text| parse_device_name(&text));
        let delivery = members
            .optional("refreshTokenDelivery", body.refresh_token_delivery, |text| Delivery::parse(&text));
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

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::EmailTaken => Self::new(Code::EmailTaken),
            RegisterError::Storage(error) => error.into(),
        }
    }
}
