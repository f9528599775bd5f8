//! Reading a user's ledger: from one server at one moment, and never from a standby.

use entity::{session, user};
use sea_orm::sea_query::{Expr, IntoCondition};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, ExprTrait,
    FromQueryResult, IdenStatic, JoinType, QueryFilter, QuerySelect, QueryTrait, Select, SelectA, SelectB,
    TransactionTrait,
};

use uuid::Uuid;

use super::RowLock;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::storage::rows::{account_of, role_of, session_of, user_of};
use crate::storage::{StorageError, Store, primary};

impl Store {
    /// The user's live sessions, or `None` if there is no such user or it was deleted.
    ///
    /// It is one statement, so that version and sessions are from the same moment and the same server.
    ///
    /// # Errors
    /// [`StorageError`]; [`StorageError::Standby`] from a connection that leads to a standby, even if
    /// others do not.
    pub async fn load_ledger(&self, id: UserId) -> Result<Option<Ledger>, StorageError> {
        let db = self.db.clone();
        let rows = self.run(async move { select(&db, id).await }).await?;
        rows.map(|rows| self.ledger_of(id, rows)).transpose()
    }

    /// The same, with the user's row locked until the lock is used in a commit, or dropped. A node that
    /// lost a race to another node needs it, because the winner continues from what it has just stored
    /// and would win every time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn load_ledger_locked(&self, id: UserId) -> Result<Option<(Ledger, RowLock)>, StorageError> {
        let Some((rows, lock)) = self.select_locked(id).await? else { return Ok(None) };
        Ok(Some((self.ledger_of(id, rows)?, lock)))
    }

    /// The account and the user's live sessions, both from the same moment. If other processes share the
    /// database the row is locked, as by [`Store::load_ledger_locked`].
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn load_account(
        &self,
        id: UserId,
    ) -> Result<Option<(User, Ledger, Option<RowLock>)>, StorageError> {
        let found = if self.is_shared() {
            self.select_locked(id).await?.map(|(rows, lock)| (rows, Some(lock)))
        } else {
            let db = self.db.clone();
            self.run(async move { select(&db, id).await }).await?.map(|rows| (rows, None))
        };
        let Some((rows, lock)) = found else { return Ok(None) };
        let user = user_of(rows.0.clone())?;
        Ok(Some((user, self.ledger_of(id, rows)?, lock)))
    }

    async fn select_locked(&self, id: UserId) -> Result<Option<(Rows, RowLock)>, StorageError> {
        let (db, io) = (self.db.clone(), self.io.clone());
        let work = async move {
            let lock = RowLock { transaction: Some(db.begin().await?), io };
            let rows = match &lock.transaction {
                Some(transaction) => select_locked(transaction, id).await?,
                None => None,
            };
            Ok::<_, DbErr>(rows.map(|rows| (rows, lock)))
        };
        self.run(work).await
    }

    /// How those sessions of that user ended; live and unknown ones are left out. Queried on the lock's
    /// connection, if there is one: a task that holds a connection must not wait for another.
    ///
    /// # Errors
    /// [`StorageError`]; the lock is then gone.
    pub async fn list_endings(
        &self,
        user: UserId,
        ids: Vec<SessionId>,
        lock: Option<RowLock>,
    ) -> Result<(Vec<RememberedEnding>, Option<RowLock>), StorageError> {
        let db = self.db.clone();
        let query = session::Entity::find()
            .select_only()
            .columns([session::Column::Id, session::Column::EndReason, session::Column::EndedBy])
            .filter(session::Column::UserId.eq(user.uuid()))
            .filter(session::Column::Id.is_in(ids.into_iter().map(SessionId::uuid)))
            .filter(session::Column::EndedAt.is_not_null())
            .into_query();
        let work = async move {
            let rows = match lock.as_ref().and_then(|lock| lock.transaction.as_ref()) {
                Some(transaction) => transaction.query_all(&query).await?,
                None => primary::rows(&db, query).await?,
            };
            Ok::<_, StorageError>((rows, lock))
        };
        let (rows, lock) = self.run(work).await?;
        let mut endings = Vec::with_capacity(rows.len());
        for row in rows {
            let reason: Option<String> = row.try_get_by_index(1)?;
            if let Some(reason) = reason.as_deref().and_then(EndReason::parse) {
                let session = SessionId::new(row.try_get_by_index(0)?);
                let by = row.try_get_by_index::<Option<Uuid>>(2)?.map(SessionId::new);
                endings.push(RememberedEnding { session, reason, by });
            }
        }
        Ok((endings, lock))
    }

    /// Why that session of that user ended; `None` if it is live or unknown.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn lookup_ending(
        &self,
        user: UserId,
        id: SessionId,
    ) -> Result<Option<EndReason>, StorageError> {
        let db = self.db.clone();
        let query = session::Entity::find_by_id((user.uuid(), id.uuid()))
            .select_only()
            .column(session::Column::EndReason)
            .into_query();
        let rows = self.run(async move { primary::rows(&db, query).await }).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let reason: Option<String> = row.try_get_by_index(0)?;
        Ok(reason.as_deref().and_then(EndReason::parse))
    }
}

type Rows = (user::Model, Vec<session::Model>);

fn user_row(id: UserId) -> Select<user::Entity> {
    user::Entity::find_by_id(id.uuid()).filter(user::Column::DeletedAt.is_null())
}

/// Not from a standby, whose answer may be stale: it may have a session that has ended since, or lack a
/// new user.
async fn select(db: &DatabaseConnection, id: UserId) -> Result<Option<Rows>, StorageError> {
    let live = user::Entity::belongs_to(session::Entity)
        .from(user::Column::Id)
        .to(session::Column::UserId)
        .on_condition(|_, sessions| {
            Expr::col((sessions, session::Column::EndedAt)).is_null().into_condition()
        });
    let query = user_row(id).join(JoinType::LeftJoin, live.into()).select_also(session::Entity);
    let rows = primary::rows(db, query.into_query()).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let user = user::Model::from_query_result(first, SelectA.as_str())?;
    let mut sessions = Vec::with_capacity(rows.len());
    for row in &rows {
        sessions.extend(session::Model::from_query_result_optional(row, SelectB.as_str())?);
    }
    Ok(Some((user, sessions)))
}

/// A standby grants no row locks, so what this returns was read on the primary.
async fn select_locked(transaction: &DatabaseTransaction, id: UserId) -> Result<Option<Rows>, DbErr> {
    let Some(user) = user_row(id).lock_exclusive().one(transaction).await? else { return Ok(None) };
    let sessions = session::Entity::find()
        .filter(session::Column::UserId.eq(user.id))
        .filter(session::Column::EndedAt.is_null())
        .all(transaction)
        .await?;
    Ok(Some((user, sessions)))
}

impl Store {
    fn ledger_of(&self, id: UserId, (user, sessions): Rows) -> Result<Ledger, StorageError> {
        // Not `collect()`, which would keep the rows' memory, ten times as large, for as long as the user
        // is resident.
        let mut live = Vec::with_capacity(sessions.len());
        for row in sessions {
            live.push(session_of(row, self.default_idle_timeout, self.addresses)?);
        }
        let last_activity_at = Timestamp::from_millis(user.last_activity_at);
        let role = role_of(&user.role)?;
        let mut ledger = Ledger::new(id, role, user.session_version, last_activity_at, live);
        ledger.account = account_of(&user)?;
        ledger.rotations = user.rotations;
        Ok(ledger)
    }
}
