//! `GET /me/export` and `DELETE /me`: what is stored about the person, and having it deleted. Both ask for a fresh proof.

use std::time::Duration;

use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::cookie;
use super::extract::fresh::Fresh;
use super::problem::{Code, Problem};
use super::resource;
use super::state::AppState;
use super::view::UserView;
use crate::actors::operators::Operators;
use crate::config::Feature;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::storage::export::{StoredMail, StoredSession};

/// How long mails are kept, and requests for codes.
const MAILS_KEPT: Duration = Duration::from_secs(7 * 86_400);
const REQUESTS_KEPT: Duration = Duration::from_secs(86_400);

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/me/export", "GET").route(web::get().to(export)));
}

/// On the resource of `/me`, beside its other methods.
pub(super) fn deletion() -> actix_web::Route {
    web::delete().to(delete)
}

async fn export(caller: Fresh, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.shed_load()?;
    let (store, id) = (state.registry.store(), caller.user());
    let user = store.lookup_user(id).await?.ok_or_else(|| Problem::new(Code::SessionTerminated))?;
    let factors = store.list_factors(id).await?;
    let data = store.export(id, user.email.as_str().to_owned()).await?;
    let retention = state.config.sessions.retention;
    let passkeys = factors.passkeys.iter().map(|passkey| {
        json!({
            "id": passkey.id, "name": passkey.name, "addedAt": passkey.added_at, "lastUsedAt": passkey.last_used_at,
        })
    });
    let mails = |found: &[StoredMail], kept| found.iter().map(|it| mail(it, kept)).collect::<Vec<_>>();
    Ok(HttpResponse::Ok().json(json!({
        "exportedAt": state.now(),
        "account": {
            "user": UserView::new(&user, caller.0.snapshot.last_activity_at()),
            "locale": user.locale,
            "forgottenAt": "when the account is deleted",
        },
        "factors": {
            "password": factors.password,
            "totp": factors.totp.as_ref().map(|totp| {
                json!({"addedAt": totp.added_at, "lastUsedAt": totp.last_used_at})
            }),
            "recoveryCodesLeft": factors.recovery_codes,
            "passkeys": passkeys.collect::<Vec<_>>(),
            "forgottenAt": "when they are removed, or the account is deleted",
        },
        "sessions": data.sessions.iter().map(|it| session(it, retention)).collect::<Vec<_>>(),
        "mails": mails(&data.mails, MAILS_KEPT),
        "codeRequests": mails(&data.requests, REQUESTS_KEPT),
    })))
}

/// `forgottenAt` is there once it is known: a live session is kept until it has ended.
fn session(stored: &StoredSession, retention: Duration) -> Value {
    let [name, browser, os, user_agent] = &stored.device;
    let ended = stored.ended.as_ref();
    json!({
        "id": stored.id,
        "deviceInfo": {"name": name, "browser": browser, "os": os, "userAgent": user_agent},
        "ipAddress": stored.ip_address,
        "createdAt": stored.created_at,
        "lastActivity": stored.last_activity,
        "endedAt": ended.map(|(at, _)| at),
        "endReason": ended.and_then(|(_, reason)| reason.as_deref()),
        "forgottenAt": ended.map(|(at, _)| at.plus(retention)),
    })
}

fn mail(stored: &StoredMail, kept: Duration) -> Value {
    let forgotten: Timestamp = stored.created_at.plus(kept);
    json!({
        "kind": stored.kind, "address": stored.address, "createdAt": stored.created_at, "forgottenAt": forgotten,
    })
}

/// All sessions end, and name, address and password are forgotten, in one commit.
async fn delete(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    if !state.config.has(Feature::AccountDeletion) {
        return Err(Problem::not_found());
    }
    let caller = Fresh::extract(&request).await?;
    let store = state.registry.store();
    if caller.0.snapshot.role == Role::Admin && store.count_enabled(Role::Admin).await? < 2 {
        return Err(Problem::new(Code::LastAdmin));
    }
    let user = caller.user();
    Operators::in_service(&state.registry, format!("user:{user}")).delete(user, None).await?;
    let mut answer = HttpResponse::NoContent();
    cookie::clear(&mut answer, &state.config.cookie);
    Ok(answer.finish())
}
