//! The response to a sign-up or a login, and how the refresh token is delivered.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::codes::Asked;
use super::cookie;
use super::extract::client::Client;
use super::problem::Problem;
use super::state::AppState;
use super::view::UserView;
use crate::clock::new_uuid;
use crate::domain::authentication::Methods;
use crate::domain::command::{Open, Opened};
use crate::domain::device::{Device, DeviceInfo};
use crate::domain::event::OpenedBy;
use crate::domain::ids::{SessionId, SessionToken};
use crate::domain::session::Delivery;
use crate::domain::user::{FieldProblem, User};
use crate::events::session_view::SessionView;
use crate::security::access_token::AccessToken;
use crate::security::refresh_token::RefreshToken;

/// Parses the word for it in a body.
pub(super) fn parse_delivery(text: &str) -> Result<Delivery, FieldProblem> {
    match text {
        "cookie" => Ok(Delivery::Cookie),
        "body" => Ok(Delivery::Body),
        _ => Err(FieldProblem::Invalid),
    }
}

/// The command that opens a session for that client.
pub(super) fn open_for(
    state: &AppState,
    client: &Client,
    device_name: Option<String>,
    delivery: Delivery,
    occasion: OpenedBy,
) -> Open {
    Open {
        id: SessionId::new(new_uuid()),
        token: SessionToken::new(Uuid::new_v4()),
        device: Device::new(DeviceInfo::from_request(
            client.user_agent.as_deref(),
            client.platform_version.as_deref(),
            device_name,
        )),
        ip_address: state.config.http.addresses.of(client.address),
        occasion,
        methods: Methods::PASSWORD,
        remember: None,
        delivery,
        shown: None,
        ends: Vec::new(),
        replaces: Vec::new(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedIn<'a> {
    user: UserView<'a>,
    session: SessionView<'a>,
    access_token: &'a AccessToken,
    token_type: &'static str,
    expires_in: i64,
    evicted_session_ids: &'a [SessionId],
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a RefreshToken>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verification: Option<Asked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<String>>,
}

/// What some sign-ins return in addition.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The request for the code that has been mailed to verify the address.
    pub(super) email_verification: Option<Asked>,
    /// Recovery codes of a second factor that was set up during the sign-in.
    pub(super) recovery_codes: Option<Vec<String>>,
}

/// Signs tokens for the new session and responds with them.
pub(super) fn answer(
    state: &AppState,
    status: StatusCode,
    user: &User,
    opened: &Opened,
) -> Result<HttpResponse, Problem> {
    answer_with(state, status, user, opened, Extras::default())
}

/// The same, with extras.
pub(super) fn answer_with(
    state: &AppState,
    status: StatusCode,
    user: &User,
    opened: &Opened,
    extras: Extras,
) -> Result<HttpResponse, Problem> {
    let (session, delivery) = (&opened.session, opened.session.profile.delivery);
    let (access_token, refresh_token) = state.sign_tokens(user.id, user.role, session)?;
    let body = SignedIn {
        user: UserView::new(user, session.last_activity),
        session: SessionView::new(&session.profile, session.times, session.last_activity, session.id()),
        access_token: &access_token,
        token_type: "Bearer",
        expires_in: state.access_tokens.expiry_seconds(),
        evicted_session_ids: &opened.evicted,
        refresh_token: (delivery == Delivery::Body).then_some(&refresh_token),
        email_verification: extras.email_verification,
        recovery_codes: extras.recovery_codes,
    };
    let mut answer = HttpResponse::build(status);
    if delivery == Delivery::Cookie {
        let good_for = state.refresh_tokens.expiry();
        cookie::set(&mut answer, &state.config.cookie, &session.profile, &refresh_token, good_for);
    }
    Ok(answer.json(body))
}
