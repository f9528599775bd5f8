//! Everything that is stored about a person, apart from the account and its factors, to be exported to
//! that person.

use entity::{mail, mail_request, session};
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder};

use super::{StorageError, Store};
use crate::domain::address_form::AddressForm;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// A session, live or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Its id.
    pub id: uuid::Uuid,
    /// Name, browser, system and User-Agent of the device.
    pub device: [Option<String>; 4],
    /// The address it was opened from.
    pub ip_address: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last active.
    pub last_activity: Timestamp,
    /// When it ended, and why.
    pub ended: Option<(Timestamp, Option<String>)>,
}

/// A mail, or a request that a code was mailed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// Its kind, or the purpose of the code.
    pub kind: String,
    /// The address it was sent to.
    pub address: Option<String>,
    /// When it was written or requested.
    pub created_at: Timestamp,
}

/// What [`Store::export`] finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonalData {
    /// Sessions, the latest first.
    pub sessions: Vec<StoredSession>,
    /// Mails, the latest first.
    pub mails: Vec<StoredMail>,
    /// Requests for codes, the latest first.
    pub requests: Vec<StoredMail>,
}

impl Store {
    /// Sessions, mails and requests of a person. `email` finds those that were stored before it was known
    /// whose they are.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn export(&self, user: UserId, email: String) -> Result<PersonalData, StorageError> {
        let (db, addresses) = (self.db.clone(), self.addresses);
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
                sessions: sessions.into_iter().map(|row| stored_session(row, addresses)).collect(),
                mails: mails.into_iter().map(|row| stored(row.kind, row.address, row.created_at)).collect(),
                requests: requests
                    .into_iter()
                    .map(|row| stored(row.purpose, Some(row.address), row.created_at))
                    .collect(),
            })
        })
        .await
    }
}

fn stored_session(row: session::Model, addresses: AddressForm) -> StoredSession {
    let address = row.ip_address.as_deref().and_then(|address| address.parse().ok());
    StoredSession {
        id: row.id,
        device: [row.device_name, row.browser, row.os, row.user_agent],
        ip_address: addresses.of(address).map(|address| address.to_string()),
        created_at: Timestamp::from_millis(row.created_at),
        last_activity: Timestamp::from_millis(row.last_activity),
        ended: row.ended_at.map(|at| (Timestamp::from_millis(at), row.end_reason)),
    }
}

fn stored(kind: String, address: Option<String>, created_at: i64) -> StoredMail {
    StoredMail { kind, address, created_at: Timestamp::from_millis(created_at) }
}
