//! Accounts and sessions as operators see them. No hash, no token.

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::ETAG;
use actix_web::{HttpResponse, HttpResponseBuilder};
use serde::Serialize;
use serde_json::json;

use crate::actors::operators::entity_tag;
use crate::domain::authentication::Methods;
use crate::domain::device::Device;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::policy::OwnPolicy;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};

/// An account.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserView<'a> {
    id: UserId,
    name: &'a str,
    email: &'a str,
    role: Role,
    disabled: bool,
    disabled_at: Option<Timestamp>,
    email_verified: bool,
    email_verified_at: Option<Timestamp>,
    locale: Option<&'a str>,
    second_factors: u32,
    password_change_required: bool,
    policy: Option<&'a OwnPolicy>,
    delete_at: Option<Timestamp>,
    last_activity_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl<'a> UserView<'a> {
    pub(super) fn new(user: &'a User) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            email: user.email.as_str(),
            role: user.role,
            disabled: user.disabled_at.is_some(),
            disabled_at: user.disabled_at,
            email_verified: user.email_verified_at.is_some(),
            email_verified_at: user.email_verified_at,
            locale: user.locale.as_deref(),
            second_factors: user.factors,
            password_change_required: user.password_change_required,
            policy: user.policy.as_ref(),
            delete_at: user.delete_at,
            last_activity_at: user.last_activity_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

/// The response `{user}`, with the entity tag of its current state.
pub(super) fn user_answer(status: StatusCode, user: &User) -> HttpResponse {
    with_tag(HttpResponse::build(status), user).json(json!({"user": UserView::new(user)}))
}

fn with_tag(mut answer: HttpResponseBuilder, user: &User) -> HttpResponseBuilder {
    answer.insert_header((ETAG, entity_tag(user)));
    answer
}

/// A live session.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionView<'a> {
    id: SessionId,
    user_id: UserId,
    device_info: &'a Device,
    ip_address: Option<IpAddr>,
    acr: &'static str,
    amr: Methods,
    created_at: Timestamp,
    last_activity: Timestamp,
    expires_at: Timestamp,
    idle_expires_at: Timestamp,
}

impl<'a> SessionView<'a> {
    pub(super) fn new(user: UserId, session: &'a Session) -> Self {
        Self {
            id: session.id(),
            user_id: user,
            device_info: &session.profile.device,
            ip_address: session.profile.ip_address,
            acr: session.authentication.methods.level().as_str(),
            amr: session.authentication.methods,
            created_at: session.profile.created_at,
            last_activity: session.last_activity,
            expires_at: session.times.expires_at,
            idle_expires_at: session.idle_expires_at(),
        }
    }
}
