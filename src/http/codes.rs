//! Codes that are mailed: requesting one, and checking whether one is correct.

use std::net::IpAddr;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::extract::client::Client;
use super::extract::json::Fields;
use super::limits::Guesser;
use super::problem::{Code, FieldError, Problem};
use super::state::AppState;
use crate::actors::messages::ActorError;
use crate::clock::new_uuid;
use crate::config::is_locale;
use crate::domain::command::{ChangeByCode, CodeVoid};
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind, MailTo, NewMail};
use crate::domain::user::FieldProblem;
use crate::security::codes::CodeOf;
use crate::storage::mail_requests::{MailRequest, MailedCode};

/// A request for a code to be mailed.
pub(super) struct Asking {
    /// What the code may be used for.
    pub(super) purpose: CodePurpose,
    /// The mail that carries it.
    pub(super) kind: MailKind,
    /// The address it is sent to.
    pub(super) address: String,
    /// The account it is for, if known.
    pub(super) user: Option<UserId>,
    /// Language of the mail.
    pub(super) locale: Option<String>,
    /// Data stored with the request until the code is used.
    pub(super) payload: Option<String>,
    /// Other mails to send together with it.
    pub(super) notices: Vec<NewMail>,
}

/// The response to a request for a code.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    request_id: Uuid,
    expires_in: u64,
}

impl Asked {
    /// Which request the code belongs to.
    pub(super) fn request(self) -> Uuid {
        self.request_id
    }

    pub(super) fn answer(self) -> HttpResponse {
        HttpResponse::Accepted().json(self)
    }
}

/// A code that is to be stored with the change it belongs to.
pub(super) struct Prepared {
    /// What the client gets to know.
    pub(super) asked: Asked,
    /// What is stored.
    pub(super) code: MailedCode,
}

/// Stores the request and its mail.
pub(super) async fn ask(state: &AppState, client: &Client, asking: Asking) -> Result<Asked, Problem> {
    let Prepared { asked, code } = prepare(state, client, asking).await;
    let purpose = code.request.purpose;
    state.store().add_mail_request(code.request, code.mails).await?;
    stored(state, purpose);
    Ok(asked)
}

/// The request and its mail. Whether there may be another mail to that address changes nothing that can be
/// seen.
pub(super) async fn prepare(state: &AppState, client: &Client, asking: Asking) -> Prepared {
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
    let mail = NewMail {
        id: new_uuid(),
        kind: asking.kind,
        to: MailTo::Address(asking.address, asking.user),
        locale: asking.locale,
        values: serde_json::Map::new(),
        request: Some(request.id),
        useful_until: request.expires_at,
    };
    let mut mails = asking.notices;
    mails.push(mail);
    if !is_sent {
        mails.clear();
    }
    let asked = Asked { request_id: request.id, expires_in: good_for.as_secs() };
    Prepared { asked, code: MailedCode { request, mails } }
}

/// Has the mail of a stored request sent, and counts it.
pub(super) fn stored(state: &AppState, purpose: CodePurpose) {
    state.registry.signal_mail();
    state.metrics().codes.with_label_values(&[purpose.as_str(), "asked"]).inc();
}

/// A code as the person typed it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CodeBody {
    request_id: Option<String>,
    code: Option<String>,
}

impl CodeBody {
    /// Request id and code, not parsed any further: they are correct or they are not.
    pub(super) fn parse(self, fields: &mut Fields) -> Option<(String, String)> {
        let request = fields.required("requestId", self.request_id, parse_shown);
        request.zip(fields.required("code", self.code, parse_shown))
    }
}

/// The request of a correct code, which is yet to be spent. No password is hashed and no account looked up
/// before the code is correct.
///
/// # Errors
/// 422, the same whatever is wrong with the code; 429 after too many from that client.
pub(super) async fn check(
    state: &AppState,
    address: Option<IpAddr>,
    purposes: &[CodePurpose],
    request: &str,
    code: &str,
) -> Result<MailRequest, Problem> {
    let (now, guesser) = (state.now(), Guesser::Client(address));
    state.limits.check_code_failures(guesser, now).await?;
    if let Some(request) = try_code(state, purposes, request, code).await? {
        return Ok(request);
    }
    let purpose = purposes.first().map_or("", |purpose| purpose.as_str());
    state.metrics().codes.with_label_values(&[purpose, "wrong"]).inc();
    state.limits.code_failed(guesser, now).await?;
    Err(wrong_code("code"))
}

async fn try_code(
    state: &AppState,
    purposes: &[CodePurpose],
    request: &str,
    code: &str,
) -> Result<Option<MailRequest>, Problem> {
    let Ok(id) = Uuid::try_parse(request) else { return Ok(None) };
    let keys = state.encryption()?;
    for purpose in purposes {
        let Some(request) = state.store().try_mail_code(id, *purpose, state.now()).await? else {
            continue;
        };
        let MailRequest { purpose, address, created_at, .. } = &request;
        let of = CodeOf { purpose: *purpose, address, at: *created_at, request: id };
        let is_right = keys.is_code(of, code).map_err(Problem::unavailable)?;
        return Ok(is_right.then_some(request));
    }
    Ok(None)
}

/// Gives back the try that a correct code cost, when the code is not used because the new password was
/// refused.
pub(super) async fn give_back(state: &AppState, request: &MailRequest) -> Result<(), Problem> {
    Ok(state.store().give_back_mail_try(request.id).await?)
}

/// Counts a correct code.
pub(super) fn count_right(state: &AppState, request: &MailRequest) {
    state.metrics().codes.with_label_values(&[request.purpose.as_str(), "right"]).inc();
}

/// Spends a correct code: only once, even if it is sent several times at the same moment.
///
/// # Errors
/// 422, as for a wrong code.
pub(super) async fn spend(state: &AppState, request: &MailRequest) -> Result<(), Problem> {
    if !state.store().spend_mail_code(request.id, state.now()).await? {
        return Err(wrong_code("code"));
    }
    count_right(state, request);
    Ok(())
}

/// Has the user's actor do what the code is for, to completion even if the client disconnects.
///
/// # Errors
/// 422 if the code was requested before the credentials last changed; 409 if the new address now belongs to
/// somebody else.
pub(super) async fn change(
    state: &web::Data<AppState>,
    user: UserId,
    command: ChangeByCode,
) -> Result<(), Problem> {
    match state.registry.ask(user, command).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(CodeVoid)) | Err(ActorError::NoSuchUser) => Err(wrong_code("code")),
        Err(ActorError::Unavailable(error)) if error.is_duplicate() => Err(Problem::new(Code::EmailTaken)),
        Err(error) => Err(error.into()),
    }
}

/// The response to a wrong, used, expired or foreign code, and to one of an unknown address: the same for
/// all.
#[must_use]
pub(super) fn wrong_code(field: &'static str) -> Problem {
    Problem::validation(vec![FieldError::new(field, FieldProblem::Invalid)])
}

/// Text that is not parsed any further: it is correct or it is not.
fn parse_shown(text: String) -> Result<String, FieldProblem> {
    if text.is_empty() { Err(FieldProblem::Required) } else { Ok(text) }
}

/// A language, as `en` or `pt-BR`.
pub(super) fn parse_locale(text: String) -> Result<String, FieldProblem> {
    if is_locale(&text) { Ok(text) } else { Err(FieldProblem::Invalid) }
}
