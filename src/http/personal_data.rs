//! `GET /me/export` and `DELETE /me`: exports what is stored about the person, and deletes it. Both require a
//! fresh proof.

mod export;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde_json::json;

use super::cookie;
use super::extract::client::Client;
use super::extract::fresh::Fresh;
use super::notice::{notice, notice_to};
use super::problem::{Code, Problem};
use super::refresh::session_over;
use super::resource;
use super::state::AppState;
use crate::actors::operators::{OperatorError, Operators};
use crate::domain::account_change::AccountChange;
use crate::domain::command::{AskForDeletion, ChangeAccount};
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, MailTo, NewMail, readable};
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::telemetry::audit::AuditEvent;

/// An administrator's mark is not due before the deletion that it announces.
const MARK_HOLDS: Duration = Duration::from_secs(3600);

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/me/export", "GET").route(web::get().to(export::export)));
}

/// The DELETE route, to be added to the resource of `/me` beside its other methods.
pub(super) fn deletion() -> actix_web::Route {
    web::delete().to(delete)
}

/// Deletes the account in one commit, or schedules that for the end of the grace period.
async fn delete(
    request: HttpRequest,
    client: Client,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let grace = state.config.sessions.account_deletion.ok_or_else(Problem::not_found)?;
    let caller = Fresh::extract(&request).await?;
    state.shed_load()?;
    if caller.0.snapshot.role == Role::Admin {
        let marked_until = state.now().plus(grace.max(MARK_HOLDS));
        leave_an_admin(&state, caller.user(), marked_until).await?;
    }
    let delete_at = (!grace.is_zero()).then(|| state.now().plus(grace));
    match delete_at {
        Some(delete_at) => delete_later(&state, &client, &caller, delete_at).await?,
        None => delete_now(&state, &client, &caller).await?,
    }
    let status = if delete_at.is_some() { StatusCode::ACCEPTED } else { StatusCode::NO_CONTENT };
    let mut answer = HttpResponse::build(status);
    cookie::clear(&mut answer, &state.config.cookie);
    Ok(match delete_at {
        Some(delete_at) => answer.json(json!({"deleteAt": delete_at})),
        None => answer.finish(),
    })
}

/// Marks the account for deletion before looking for other administrators, and removes the mark if there is
/// none: if two leave at the same time, each sees the other's mark, so they cannot both leave.
async fn leave_an_admin(state: &AppState, user: UserId, marked_until: Timestamp) -> Result<(), Problem> {
    let mark = |delete_at| {
        let change = AccountChange { delete_at: Some(delete_at), ..AccountChange::default() };
        ChangeAccount::by_user(change)
    };
    let registry = &state.registry;
    registry.ask(user, mark(Some(marked_until))).await.map_err(Problem::for_token)?;
    if state.store().count_enabled(Role::Admin).await? > 0 {
        return Ok(());
    }
    registry.ask(user, mark(None)).await.map_err(Problem::for_token)?;
    Err(Problem::new(Code::LastAdmin))
}

async fn delete_now(state: &web::Data<AppState>, client: &Client, caller: &Fresh) -> Result<(), Problem> {
    let (user, by) = (caller.user(), caller.session());
    let found = state.store().lookup_user(user).await?;
    let found = found.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())?;
    // The account no longer has an address when the mail is sent, so the mail carries it.
    let to = MailTo::Address(found.email.as_str().to_owned(), None);
    let mail = told_of_deletion(notice_to(state, client, MailKind::AccountDeletion, to), "");
    let mail = mail.map(|mail| NewMail { locale: found.locale, ..mail });
    let operators = Operators::in_service(&state.registry, format!("user:{user}"));
    match operators.delete_own(user, by, mail).await {
        Err(OperatorError::NoSuchSession(over)) => {
            Err(session_over(state, user, over).await?.with_challenge())
        }
        deleted => Ok(deleted?),
    }
}

async fn delete_later(
    state: &web::Data<AppState>,
    client: &Client,
    caller: &Fresh,
    delete_at: Timestamp,
) -> Result<(), Problem> {
    let (user, by) = (caller.user(), caller.session());
    let mail = notice(state, client, MailKind::AccountDeletion, user);
    let mails = told_of_deletion(mail, &readable(delete_at)).into_iter().collect();
    let command = AskForDeletion { by, delete_at, mails };
    match state.registry.ask(user, command).await.map_err(Problem::for_token)? {
        Ok(()) => {
            AuditEvent::DeletionRequested(user).record(state.metrics());
            Ok(())
        }
        Err(over) => Err(session_over(state, user, over).await?.with_challenge()),
    }
}

fn told_of_deletion(mail: Option<NewMail>, delete_at: &str) -> Option<NewMail> {
    let mut mail = mail?;
    mail.values.insert("delete_at".to_owned(), json!(delete_at));
    Some(mail)
}
