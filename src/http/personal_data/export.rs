//! `GET /me/export`: everything that is stored about the person, with when each part is forgotten. No secret,
//! hash or token.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::domain::user::User;
use crate::http::extract::fresh::Fresh;
use crate::http::problem::{Code, Problem};
use crate::http::signup::waiting;
use crate::http::state::AppState;
use crate::http::view::UserView;
use crate::storage::export::{StoredMail, StoredRequest, StoredSession};
use crate::storage::factors::Factors;

/// How long mails are kept, and requests for codes.
const MAILS_KEPT: Duration = Duration::from_secs(7 * 86_400);
const REQUESTS_KEPT: Duration = Duration::from_secs(86_400);

pub(super) async fn export(caller: Fresh, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.shed_load()?;
    let (store, id) = (state.store(), caller.user());
    let user = store.lookup_user(id).await?.ok_or_else(|| Problem::new(Code::SessionTerminated))?;
    let found = store.list_factors(id).await?;
    let data = store.export(id, user.email.as_str().to_owned()).await?;
    let retention = state.config.sessions.retention;
    Ok(HttpResponse::Ok().json(json!({
        "exportedAt": state.now(),
        "account": {
            "user": UserView::new(&user, caller.0.snapshot.last_activity_at()),
            "locale": user.locale,
            "policy": user.policy,
            "passwordChangeRequired": user.password_change_required,
            "credentialsChangedAt": user.credentials_changed_at,
            "disabledAt": user.disabled_at,
            "deleteAt": user.delete_at,
            "forgottenAt": "when the account is deleted",
        },
        "factors": factors(&found),
        "sessions": data.sessions.iter().map(|it| session(it, retention)).collect::<Vec<_>>(),
        "mails": data.mails.iter().map(mail).collect::<Vec<_>>(),
        "codeRequests": data.requests.iter().map(|it| request(it, &user)).collect::<Vec<_>>(),
    })))
}

fn factors(found: &Factors) -> Value {
    let passkeys = found.passkeys.iter().map(|passkey| {
        json!({
            "id": passkey.id,
            "name": passkey.name,
            "addedAt": passkey.added_at,
            "lastUsedAt": passkey.last_used_at,
            "transports": passkey.transports,
            "synced": passkey.backup_eligible,
            "backedUp": passkey.backed_up,
            "counter": passkey.counter,
        })
    });
    json!({
        "password": found.password,
        "totp": found.totp.as_ref().map(|totp| {
            json!({"addedAt": totp.added_at, "lastUsedAt": totp.last_used_at, "blocked": totp.blocked})
        }),
        "recoveryCodesLeft": found.recovery_codes,
        "passkeys": passkeys.collect::<Vec<_>>(),
        "forgottenAt": "when they are removed, or the account is deleted",
    })
}

/// `forgottenAt` is there once it is known: a live session is kept until it has ended.
fn session(stored: &StoredSession, retention: Duration) -> Value {
    let [name, browser, os, user_agent] = &stored.device;
    let device_type = &stored.device_type;
    let ended = stored.ended.as_ref();
    json!({
        "id": stored.id,
        "deviceInfo": {
            "name": name, "browser": browser, "os": os, "deviceType": device_type, "userAgent": user_agent,
        },
        "ipAddress": stored.ip_address,
        "createdAt": stored.created_at,
        "lastActivity": stored.last_activity,
        "refreshedAt": stored.refreshed_at,
        "expiresAt": stored.expires_at,
        "sessionTimeoutMinutes": stored.idle_timeout_ms.map(|millis| millis as f64 / 60_000.0),
        "authenticatedAt": stored.authenticated_at,
        "amr": stored.methods,
        "remember": stored.remember,
        "refreshTokenDelivery": if stored.refresh_in_body { "body" } else { "cookie" },
        "endedAt": ended.map(|ended| ended.at),
        "endReason": ended.and_then(|ended| ended.reason.as_deref()),
        "endedBySessionId": ended.and_then(|ended| ended.by),
        "forgottenAt": ended.map(|ended| ended.at.plus(retention)),
    })
}

fn mail(stored: &StoredMail) -> Value {
    let params = stored.params.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let params: Map<String, Value> = params.unwrap_or_default();
    let done = stored.done.as_ref();
    json!({
        "kind": stored.kind,
        "address": stored.address,
        "locale": stored.locale,
        "params": params,
        "createdAt": stored.created_at,
        "doneAt": done.map(|(at, _)| at),
        "outcome": done.and_then(|(_, outcome)| outcome.as_deref()),
        "error": stored.error,
        "forgottenAt": stored.created_at.plus(MAILS_KEPT),
    })
}

/// What waits with a sign-up is handed out to those alone who have shown that its address is theirs.
fn request(stored: &StoredRequest, user: &User) -> Value {
    let payload = stored.payload.as_deref();
    json!({
        "kind": stored.purpose,
        "address": stored.address,
        "createdAt": stored.created_at,
        "expiresAt": stored.expires_at,
        "tries": stored.tries,
        "usedAt": stored.used_at,
        "waiting": payload.filter(|_| user.email_verified_at.is_some()).and_then(waiting),
        "forgottenAt": stored.created_at.plus(REQUESTS_KEPT),
    })
}
