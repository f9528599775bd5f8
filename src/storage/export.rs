//! Everything that is stored about a person, beside the account and its factors: for the person. As it is
//! stored, whatever the settings keep by now; no secret, hash or token.

use entity::{mail, mail_request, session};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::authentication::Methods;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// A session, live or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Its id.
    pub id: Uuid,
    /// Name, browser, system and User-Agent of the device.
    pub device: [Option<String>; 4],
    /// What kind of device it seems to be.
    pub device_type: String,
    /// Where it was opened from.
    pub ip_address: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last active.
    pub last_activity: Timestamp,
    /// When it ends whatever the activity.
    pub expires_at: Timestamp,
    /// It ends after this many ms without activity; none in rows of an older version.
    pub idle_timeout_ms: Option<i64>,
    /// When the person last showed who they are.
    pub authenticated_at: Timestamp,
    /// How; none where a newer version knows a method that this one does not.
    pub methods: Option<Methods>,
    /// Whether the person asked to stay signed in.
    pub remember: Option<bool>,
    /// Whether the refresh token comes in the body, not in a cookie.
    pub refresh_in_body: bool,
    /// When it was last refreshed, or else opened.
    pub refreshed_at: Timestamp,
    /// How it ended; none while it is live.
    pub ended: Option<StoredEnding>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEnding {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// The session that ended it, where the person did that from another device.
    pub by: Option<Uuid>,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// Its kind.
    pub kind: String,
    /// Where to; none: to the account's address.
    pub address: Option<String>,
    /// Language, where it is not the account's.
    pub locale: Option<String>,
    /// JSON: what the templates are filled with. None of a mail that is about another account.
    pub params: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was done with, and how.
    pub done: Option<(Timestamp, Option<String>)>,
    /// Class of the latest error.
    pub error: Option<String>,
}

/// A request that a code was mailed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRequest {
    /// What the code is good for.
    pub purpose: String,
    /// Where to.
    pub address: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when the code is good.
    pub expires_at: Timestamp,
    /// How many codes were tried.
    pub tries: i32,
    /// When the code was used.
    pub used_at: Option<Timestamp>,
    /// JSON: what a sign-up waits with. It holds a hash.
    pub payload: Option<String>,
}

/// What [`Store::export`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalData {
    /// Sessions, the latest first.
    pub sessions: Vec<StoredSession>,
    /// Mails, the latest first.
    pub mails: Vec<StoredMail>,
    /// Requests for codes, the latest first.
    pub requests: Vec<StoredRequest>,
}

impl Store {
    /// Sessions, mails and requests of a person. `email` finds those that were stored before it was known
    /// whose they are.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn export(&self, user: UserId, email: String) -> Result<PersonalData, StorageError> {
        let db = self.db.clone();
        self.run(async move {
            let sessions = session::Entity::find()
                .filter(session::Column::UserId.eq(user.uuid()))
                .order_by_desc(session::Column::CreatedAt)
                .all(&db)
                .await?;
            let theirs = Condition::any()
                .add(mail::Column::UserId.eq(user.uuid()))
                .add(mail::Column::Address.eq(email.clone()));
            let mails =
                mail::Entity::find().filter(theirs).order_by_desc(mail::Column::CreatedAt).all(&db).await?;
            let theirs = Condition::any()
                .add(mail_request::Column::UserId.eq(user.uuid()))
                .add(mail_request::Column::Address.eq(email));
            let requests = mail_request::Entity::find()
                .filter(theirs)
                .order_by_desc(mail_request::Column::CreatedAt)
                .all(&db)
                .await?;
            Ok::<_, DbErr>(PersonalData {
                sessions: sessions.into_iter().map(stored_session).collect(),
                mails: mails.into_iter().map(|row| stored_mail(row, user)).collect(),
                requests: requests.into_iter().map(stored_request).collect(),
            })
        })
        .await
    }
}

fn stored_session(row: session::Model) -> StoredSession {
    let (reason, by) = (row.end_reason, row.ended_by);
    StoredSession {
        id: row.id,
        device: [row.device_name, row.browser, row.os, row.user_agent],
        device_type: row.device_type,
        ip_address: row.ip_address,
        created_at: Timestamp::from_millis(row.created_at),
        last_activity: Timestamp::from_millis(row.last_activity),
        expires_at: Timestamp::from_millis(row.expires_at),
        idle_timeout_ms: row.idle_timeout_ms,
        authenticated_at: Timestamp::from_millis(row.auth_time.unwrap_or(row.created_at)),
        methods: row.amr.map_or(Some(Methods::PASSWORD), Methods::from_bits),
        remember: row.remember,
        refresh_in_body: row.refresh_in_body,
        refreshed_at: Timestamp::from_millis(row.refreshed_at),
        ended: row.ended_at.map(|at| StoredEnding { at: Timestamp::from_millis(at), reason, by }),
    }
}

fn stored_mail(row: mail::Model, user: UserId) -> StoredMail {
    let outcome = row.outcome;
    StoredMail {
        kind: row.kind,
        address: row.address,
        locale: row.locale,
        params: (row.user_id == Some(user.uuid())).then_some(row.params),
        created_at: Timestamp::from_millis(row.created_at),
        done: row.done_at.map(|at| (Timestamp::from_millis(at), outcome)),
        error: row.error,
    }
}

fn stored_request(row: mail_request::Model) -> StoredRequest {
    StoredRequest {
        purpose: row.purpose,
        address: row.address,
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: Timestamp::from_millis(row.expires_at),
        tries: row.tries,
        used_at: row.used_at.map(Timestamp::from_millis),
        payload: row.payload,
    }
}
