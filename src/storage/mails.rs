//! The queue of mails: written with the change they report, leased by one node at a time, stored for a
//! week.
//!
//! [`operators`] has what operators do with them. A node leases a mail by a conditional write, and its
//! later writes about it take effect only while no other node has leased it.

pub mod operators;

use std::time::Duration;

use entity::mail;
use rand::seq::SliceRandom;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    UpdateMany,
};
use uuid::Uuid;

use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::{MailKind, MailTo, NewMail};
use crate::domain::time::Timestamp;

/// How long a node holds a mail; after that another may take it.
pub const LEASE: Duration = Duration::from_secs(60);
/// How long a mail whose text may have reached the server is left alone.
pub const AFTER_TEXT: Duration = Duration::from_secs(5 * 60);
/// A node reads this many times the mails it wants, because other nodes take some of them.
const OVERREAD_FACTOR: u64 = 4;

/// A mail that this node holds, until its lease ends.
#[derive(Clone, Debug)]
pub struct LeasedMail {
    /// The mail.
    pub mail: NewMail,
    /// The number of the lease it is under; writes about the mail are conditional on it.
    pub attempt: i32,
    /// When it was written.
    pub created_at: Timestamp,
}

/// How a mail was finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The server has accepted it, or it was written to a file.
    Sent,
    /// The server has refused it permanently.
    Failed,
    /// It was out of date before the server accepted it.
    Expired,
    /// There is nobody to send it to.
    Dropped,
}

impl MailOutcome {
    /// The names of all outcomes.
    pub const NAMES: &[&str] = &["sent", "failed", "expired", "dropped"];

    /// The name in rows and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }
}

impl Store {
    /// Leases at most `limit` mails that are due. No other node holds them, or gets them before their
    /// leases end.
    ///
    /// # Errors
    /// [`StorageError`]; mails that were leased then wait for their leases to end.
    pub async fn lease_mails(&self, now: Timestamp, limit: u64) -> Result<Vec<LeasedMail>, StorageError> {
        let db = self.db.clone();
        let due = mail::Entity::find()
            .filter(mail::Column::NextAt.lte(now.millis()))
            .order_by_asc(mail::Column::NextAt)
            .limit(limit.saturating_mul(OVERREAD_FACTOR));
        let work = async move {
            let mut due = due.all(&db).await?;
            // Nodes that poll at the same time must not go through the list in the same order.
            due.shuffle(&mut rand::rng());
            let mut leased = Vec::new();
            for row in due {
                if leased.len() as u64 >= limit {
                    break;
                }
                let take = held(row.id, row.attempts)
                    .col_expr(mail::Column::Attempts, Expr::value(row.attempts + 1))
                    .col_expr(mail::Column::NextAt, Expr::value(now.plus(LEASE).millis()))
                    .filter(mail::Column::NextAt.lte(now.millis()));
                if take.exec(&db).await?.rows_affected == 1 {
                    leased.push(row);
                }
            }
            Ok::<_, DbErr>(leased)
        };
        self.run(work).await?.into_iter().map(leased_of).collect()
    }

    /// Notes that the text of a mail is about to be sent. False if another node holds it by now: then it
    /// must not be sent.
    ///
    /// # Errors
    /// [`StorageError`]; it must not be sent then either.
    pub async fn note_mail_text(&self, mail: &LeasedMail, now: Timestamp) -> Result<bool, StorageError> {
        let note = held(mail.mail.id, mail.attempt)
            .col_expr(mail::Column::TextNotedAt, Expr::value(now.millis()))
            .col_expr(mail::Column::NextAt, Expr::value(now.plus(AFTER_TEXT).millis()));
        self.update_mail(note).await
    }

    /// Schedules another try at that time. False if another node holds the mail by now.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn defer_mail(
        &self,
        mail: &LeasedMail,
        next_at: Timestamp,
        error: String,
    ) -> Result<bool, StorageError> {
        let defer = held(mail.mail.id, mail.attempt)
            .col_expr(mail::Column::NextAt, Expr::value(next_at.millis()))
            .col_expr(mail::Column::Error, Expr::value(error));
        self.update_mail(defer).await
    }

    /// Finishes a mail. `about` is the account it turned out to be about. False if another node holds it
    /// by now.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn finish_mail(
        &self,
        mail: &LeasedMail,
        outcome: MailOutcome,
        error: Option<String>,
        about: Option<UserId>,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let mut finish = held(mail.mail.id, mail.attempt)
            .col_expr(mail::Column::NextAt, Expr::value(None::<i64>))
            .col_expr(mail::Column::DoneAt, Expr::value(now.millis()))
            .col_expr(mail::Column::Outcome, Expr::value(outcome.as_str()));
        if let Some(error) = error {
            finish = finish.col_expr(mail::Column::Error, Expr::value(error));
        }
        if let (MailKind::AccountDeletion, MailTo::Address(_, None)) = (mail.mail.kind, &mail.mail.to) {
            // The account is gone, so its address is erased.
            finish = finish.col_expr(mail::Column::Address, Expr::value(None::<String>));
        }
        if let Some(user) = about {
            finish = finish.col_expr(mail::Column::UserId, Expr::value(user.uuid()));
        }
        self.update_mail(finish).await
    }

    async fn update_mail(&self, update: UpdateMany<mail::Entity>) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let updated = self.run(async move { update.exec(&db).await }).await?;
        Ok(updated.rows_affected == 1)
    }

    /// How many mails wait, and when the oldest was written (`None` if none waits).
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn mail_backlog(&self) -> Result<(u64, Option<Timestamp>), StorageError> {
        let db = self.db.clone();
        let waiting = mail::Entity::find().filter(mail::Column::NextAt.is_not_null());
        let oldest = waiting
            .clone()
            .select_only()
            .column(mail::Column::CreatedAt)
            .order_by_asc(mail::Column::CreatedAt)
            .into_tuple::<i64>();
        self.run(async move {
            let depth = waiting.count(&db).await?;
            let oldest = if depth == 0 { None } else { oldest.one(&db).await? };
            Ok::<_, DbErr>((depth, oldest.map(Timestamp::from_millis)))
        })
        .await
    }

    /// Deletes the oldest mails that were written before `before`, about `limit` of them. Returns how
    /// many it found.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_old_mails(&self, before: Timestamp, limit: u64) -> Result<u64, StorageError> {
        let db = self.db.clone();
        let old = mail::Entity::find()
            .select_only()
            .column(mail::Column::CreatedAt)
            .filter(mail::Column::CreatedAt.lt(before.millis()))
            .order_by_asc(mail::Column::CreatedAt)
            .limit(limit)
            .into_tuple::<i64>();
        let work = async move {
            let old = old.all(&db).await?;
            if let Some(youngest) = old.last() {
                let delete = mail::Entity::delete_many();
                delete.filter(mail::Column::CreatedAt.lte(*youngest)).exec(&db).await?;
            }
            Ok::<_, DbErr>(old.len() as u64)
        };
        self.run(work).await
    }
}

/// An update of the mail, which takes effect only while it is under that lease and not finished.
fn held(id: Uuid, attempt: i32) -> UpdateMany<mail::Entity> {
    mail::Entity::update_many()
        .filter(mail::Column::Id.eq(id))
        .filter(mail::Column::Attempts.eq(attempt))
        .filter(mail::Column::DoneAt.is_null())
}

/// Stores mails with another change, in its transaction.
pub(super) async fn insert_mails(
    db: &impl ConnectionTrait,
    mails: Vec<NewMail>,
    now: Timestamp,
) -> Result<(), DbErr> {
    if mails.is_empty() {
        return Ok(());
    }
    mail::Entity::insert_many(mail_rows(mails, now)).exec_without_returning(db).await.map(drop)
}

pub(in crate::storage) fn mail_rows(mails: Vec<NewMail>, now: Timestamp) -> Vec<mail::ActiveModel> {
    let row = |mail: NewMail| {
        let (user, address) = match mail.to {
            MailTo::User(user) => (Some(user), None),
            MailTo::Address(address, user) => (user, Some(address)),
        };
        mail::ActiveModel {
            id: Set(mail.id),
            kind: Set(mail.kind.as_str().to_owned()),
            user_id: Set(user.map(UserId::uuid)),
            address: Set(address),
            locale: Set(mail.locale),
            params: Set(serde_json::Value::Object(mail.values).to_string()),
            request_id: Set(mail.request),
            created_at: Set(now.millis()),
            useful_until: Set(mail.useful_until.millis()),
            next_at: Set(Some(now.millis())),
            attempts: Set(0),
            text_noted_at: Set(None),
            done_at: Set(None),
            outcome: Set(None),
            error: Set(None),
        }
    };
    mails.into_iter().map(row).collect()
}

fn leased_of(row: mail::Model) -> Result<LeasedMail, StorageError> {
    let unknown = |column| StorageError::UnknownValue { table: "mails", column };
    let user = row.user_id.map(UserId::new);
    Ok(LeasedMail {
        attempt: row.attempts + 1,
        created_at: Timestamp::from_millis(row.created_at),
        mail: NewMail {
            id: row.id,
            kind: MailKind::parse(&row.kind).ok_or(unknown("kind"))?,
            to: match (row.address, user) {
                (Some(address), user) => MailTo::Address(address, user),
                (None, Some(user)) => MailTo::User(user),
                (None, None) => return Err(unknown("address")),
            },
            locale: row.locale,
            values: serde_json::from_str(&row.params).map_err(|_| unknown("params"))?,
            request: row.request_id,
            useful_until: Timestamp::from_millis(row.useful_until),
        },
    })
}
