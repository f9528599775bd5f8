//! Requested codes. Tries are counted, and the code is spent, by conditional writes: once, on any number
//! of nodes.

use entity::mail_request;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    TransactionTrait, UpdateMany,
};
use uuid::Uuid;

use super::mails::insert_mails;
use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, NewMail};
use crate::domain::time::Timestamp;

/// Most wrong codes per request.
pub const MAX_TRIES: i32 = 5;

/// A requested code.
#[derive(Clone, PartialEq, Eq)]
pub struct MailRequest {
    /// Random.
    pub id: Uuid,
    /// The purpose of the code.
    pub purpose: CodePurpose,
    /// Where it goes.
    pub address: String,
    /// The account, where it is known.
    pub user: Option<UserId>,
    /// When it was requested; the code is derived from it.
    pub created_at: Timestamp,
    /// Until when it is valid.
    pub expires_at: Timestamp,
    /// The data of a sign-up that waits for the code.
    pub payload: Option<String>,
}

/// Leaves out personal data, which must not be in logs.
impl std::fmt::Debug for MailRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MailRequest({}, {})", self.id, self.purpose.as_str())
    }
}

/// A code that was asked for with the mails of the same act, to be stored with the change it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailedCode {
    /// What was asked for.
    pub request: MailRequest,
    /// The mail that carries the code, and others.
    pub mails: Vec<NewMail>,
}

impl Store {
    /// Stores a request and its mails in one transaction. It does the same work for any address.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn add_mail_request(
        &self,
        request: MailRequest,
        mails: Vec<NewMail>,
    ) -> Result<(), StorageError> {
        let db = self.db.clone();
        let work = async move {
            let transaction = db.begin().await?;
            insert_code(&transaction, MailedCode { request, mails }).await?;
            transaction.commit().await
        };
        self.run(work).await
    }

    /// The request with that id.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_mail_request(&self, id: Uuid) -> Result<Option<MailRequest>, StorageError> {
        let db = self.db.clone();
        let row = self.run(async move { mail_request::Entity::find_by_id(id).one(&db).await }).await?;
        row.map(request_of).transpose()
    }

    /// Takes one of the tries of a request whose code may still be used; `None` if it may not. A right
    /// code needs no further try, because [`Store::spend_mail_code`] comes next.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn try_mail_code(
        &self,
        id: Uuid,
        purpose: CodePurpose,
        now: Timestamp,
    ) -> Result<Option<MailRequest>, StorageError> {
        let db = self.db.clone();
        let take = mail_request::Entity::update_many()
            .col_expr(mail_request::Column::Tries, Expr::col(mail_request::Column::Tries).add(1))
            .filter(mail_request::Column::Id.eq(id))
            .filter(mail_request::Column::Purpose.eq(purpose.as_str()))
            .filter(mail_request::Column::UsedAt.is_null())
            .filter(mail_request::Column::Tries.lt(MAX_TRIES))
            .filter(mail_request::Column::ExpiresAt.gt(now.millis()));
        let work = async move {
            if take.exec(&db).await?.rows_affected == 0 {
                return Ok(None);
            }
            mail_request::Entity::find_by_id(id).one(&db).await
        };
        self.run(work).await?.map(request_of).transpose()
    }

    /// Gives back a try that was taken for a right code which is not to be spent.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn give_back_mail_try(&self, id: Uuid) -> Result<(), StorageError> {
        let db = self.db.clone();
        let give_back = mail_request::Entity::update_many()
            .col_expr(mail_request::Column::Tries, Expr::col(mail_request::Column::Tries).sub(1))
            .filter(mail_request::Column::Id.eq(id))
            .filter(mail_request::Column::Tries.gt(0));
        self.run(async move { give_back.exec(&db).await }).await.map(drop)
    }

    /// Spends a code. False if it was spent before.
    ///
    /// # Errors
    /// [`StorageError`]; then it may have been spent.
    pub async fn spend_mail_code(&self, id: Uuid, now: Timestamp) -> Result<bool, StorageError> {
        let db = self.db.clone();
        let spent = self.run(async move { spend_code(id, now).exec(&db).await }).await?;
        Ok(spent.rows_affected == 1)
    }

    /// Deletes up to `limit` requests that were made before `before`, and clears the payload of those
    /// whose codes have expired at `now`. Returns how many it deleted.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn delete_old_mail_requests(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: u64,
    ) -> Result<u64, StorageError> {
        let db = self.db.clone();
        // No code is valid for longer than requests are stored, so the index on expiry finds them.
        let expired = mail_request::Column::ExpiresAt.lte(now.millis());
        let old = mail_request::Entity::find()
            .select_only()
            .column(mail_request::Column::Id)
            .filter(expired.clone())
            .filter(mail_request::Column::CreatedAt.lte(before.millis()))
            .limit(limit)
            .into_tuple::<Uuid>();
        let empty = mail_request::Entity::update_many()
            .col_expr(mail_request::Column::Payload, Expr::value(None::<String>))
            .filter(expired)
            .filter(mail_request::Column::Payload.is_not_null());
        let work = async move {
            empty.exec(&db).await?;
            let old = old.all(&db).await?;
            if old.is_empty() {
                return Ok(0);
            }
            let delete = mail_request::Entity::delete_many().filter(mail_request::Column::Id.is_in(old));
            Ok::<_, DbErr>(delete.exec(&db).await?.rows_affected)
        };
        self.run(work).await
    }
}

/// Stores a code that was asked for in the transaction of what it belongs to.
pub(super) async fn insert_code(transaction: &DatabaseTransaction, code: MailedCode) -> Result<(), DbErr> {
    let MailedCode { request, mails } = code;
    let now = request.created_at;
    mail_request::Entity::insert(row_of(request)).exec_without_returning(transaction).await?;
    insert_mails(transaction, mails, now).await
}

/// Spends a code, unless it was spent before.
pub(super) fn spend_code(id: Uuid, now: Timestamp) -> UpdateMany<mail_request::Entity> {
    mail_request::Entity::update_many()
        .col_expr(mail_request::Column::UsedAt, Expr::value(now.millis()))
        // The data of the sign-up is no longer needed.
        .col_expr(mail_request::Column::Payload, Expr::value(None::<String>))
        .filter(mail_request::Column::Id.eq(id))
        .filter(mail_request::Column::UsedAt.is_null())
}

fn row_of(request: MailRequest) -> mail_request::ActiveModel {
    mail_request::ActiveModel {
        id: Set(request.id),
        purpose: Set(request.purpose.as_str().to_owned()),
        address: Set(request.address),
        user_id: Set(request.user.map(UserId::uuid)),
        created_at: Set(request.created_at.millis()),
        expires_at: Set(request.expires_at.millis()),
        tries: Set(0),
        used_at: Set(None),
        payload: Set(request.payload),
    }
}

fn request_of(row: mail_request::Model) -> Result<MailRequest, StorageError> {
    let unknown = || StorageError::UnknownValue { table: "mail_requests", column: "purpose" };
    Ok(MailRequest {
        id: row.id,
        purpose: CodePurpose::parse(&row.purpose).ok_or_else(unknown)?,
        address: row.address,
        user: row.user_id.map(UserId::new),
        created_at: Timestamp::from_millis(row.created_at),
        expires_at: Timestamp::from_millis(row.expires_at),
        payload: row.payload,
    })
}
