//! Codes that are mailed: asking for one.

use actix_web::HttpResponse;
use serde_json::{Value, json};
use uuid::Uuid;

use super::extract::client::Client;
use super::problem::Problem;
use super::state::AppState;
use crate::clock::new_uuid;
use crate::config::is_locale;
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind, MailTo, NewMail};
use crate::domain::user::FieldProblem;
use crate::storage::mail_requests::MailRequest;

/// A code to be mailed.
pub(super) struct Asking {
    /// What it is good for.
    pub(super) purpose: CodePurpose,
    /// The mail that carries it.
    pub(super) kind: MailKind,
    /// Where it goes.
    pub(super) address: String,
    /// The account it is for, where that is known.
    pub(super) user: Option<UserId>,
    /// Language of the mail.
    pub(super) locale: Option<String>,
    /// What waits with it.
    pub(super) payload: Option<String>,
    /// Other mails of the same act.
    pub(super) notices: Vec<NewMail>,
}

/// What the asker is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) request: Uuid,
    pub(super) expires_in: u64,
}

impl Asked {
    pub(super) fn as_json(self) -> Value {
        json!({"requestId": self.request, "expiresIn": self.expires_in})
    }

    pub(super) fn answer(self) -> HttpResponse {
        HttpResponse::Accepted().json(self.as_json())
    }
}

/// Stores the request and its mail. Whether there may be another mail to that address changes nothing that can be seen.
pub(super) async fn ask(state: &AppState, client: &Client, asking: Asking) -> Result<Asked, Problem> {
    let now = state.now();
    let (purpose, good_for) = (asking.purpose, asking.purpose.good_for());
    let is_sent = state.limits.mail(&asking.address, client.address, now).await;
    let request = MailRequest {
        id: Uuid::new_v4(),
        purpose,
        address: asking.address.clone(),
        user: asking.user,
        created_at: now,
        expires_at: now.plus(good_for),
        payload: asking.payload,
    };
    let id = request.id;
    let mail = NewMail {
        id: new_uuid(),
        kind: asking.kind,
        to: MailTo::Address(asking.address, asking.user),
        locale: asking.locale,
        values: serde_json::Map::new(),
        request: Some(id),
        useful_until: request.expires_at,
    };
    let mut mails = asking.notices;
    mails.push(mail);
    if !is_sent {
        mails.clear();
    }
    state.registry.store().add_mail_request(request, mails).await?;
    state.registry.ring_mail_bell();
    state.metrics().codes.with_label_values(&[purpose.as_str(), "asked"]).inc();
    Ok(Asked { request: id, expires_in: good_for.as_secs() })
}

/// A language, as `en` or `pt-BR`.
pub(super) fn parse_locale(text: String) -> Result<String, FieldProblem> {
    if is_locale(&text) { Ok(text) } else { Err(FieldProblem::Invalid) }
}
