//! Users and sessions as clients see them. No hash, no session token.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use serde::Serialize;

use crate::actors::live_session::LiveSession;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::user::{Role, User};
use crate::events::session_view::SessionView;

/// A user.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView<'a> {
    id: UserId,
    name: &'a str,
    email: &'a str,
    role: Role,
    last_activity_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
    email_verified: bool,
    email_verified_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
}

impl<'a> UserView<'a> {
    /// The view of a user whose sessions were last active at that time.
    #[must_use]
    pub fn new(user: &'a User, last_activity_at: Timestamp) -> Self {
        Self {
            id: user.id,
            name: &user.name,
            email: user.email.as_str(),
            role: user.role,
            last_activity_at: last_activity_at.max(user.last_activity_at),
            created_at: user.created_at,
            updated_at: user.updated_at,
            email_verified: user.email_verified_at.is_some(),
            email_verified_at: user.email_verified_at,
            locale: user.locale.as_deref(),
        }
    }
}

/// Capacity for the JSON of a session, so that the buffer is not reallocated repeatedly while it is written.
const SESSION_BYTES: usize = 1024;

/// A response that contains about `count` sessions.
pub fn sessions_answer(body: &impl Serialize, count: usize) -> HttpResponse {
    let mut text = Vec::with_capacity(SESSION_BYTES * count.max(1));
    match serde_json::to_writer(&mut text, body) {
        Ok(()) => HttpResponse::Ok().content_type(ContentType::json()).body(text),
        Err(error) => HttpResponse::from_error(error),
    }
}

/// A session as this node knows it now.
#[must_use]
pub fn session_view(session: &LiveSession, current: SessionId) -> SessionView<'_> {
    SessionView::new(&session.profile, session.times(), session.shown_activity(), current)
}
