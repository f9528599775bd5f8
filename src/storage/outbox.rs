//! The outbox: events of committed changes for other services, in order, until the bus has accepted them.
//!
//! Reading, publishing and deleting are separate steps: no transaction is open during a wait for the bus.
//! The node that publishes a lane holds the turn for it on the bus; the order of a user's events would
//! hold without it. A batch begins with the oldest message of its lane, and a message is deleted only
//! after it was published, so no message is published before those that precede it.

use entity::outbox;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Statement,
};

use super::{StorageError, Store};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::events::Message;
use crate::events::announcement::Announcement;
use crate::events::lane::Lane;

/// How many of the oldest messages are searched for lanes that have any.
const OLDEST: u64 = 500;

/// A message that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Position in the order.
    pub id: i64,
    /// What to publish.
    pub message: Message,
    /// When it was written.
    pub created_at: Timestamp,
}

impl Store {
    /// Whether the events of a change are written to the outbox, and published from there.
    #[must_use]
    pub fn keeps_events(&self) -> bool {
        self.keeps_events
    }

    /// What a change writes to the outbox: nothing, if nobody would publish it.
    pub(super) fn kept(&self, announcements: Vec<Announcement>) -> Vec<Announcement> {
        if self.keeps_events { announcements } else { Vec::new() }
    }

    /// The oldest messages of a lane, at most `limit`.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn oldest_messages(&self, lane: Lane, limit: u64) -> Result<Vec<OutboxMessage>, StorageError> {
        let db = self.db.clone();
        let oldest =
            outbox::Entity::find().filter(self.is_in(lane)).order_by_asc(outbox::Column::Id).limit(limit);
        let rows = self.run(async move { oldest.all(&db).await }).await?;
        Ok(rows.into_iter().map(message_of).collect())
    }

    /// Deletes messages that were published.
    ///
    /// # Errors
    /// [`StorageError`]; then they are published again, with the same event ids.
    pub async fn delete_messages(&self, ids: Vec<i64>) -> Result<(), StorageError> {
        let db = self.db.clone();
        if self.is_postgres() {
            // One statement for any number, so that it is prepared once.
            let sql = "DELETE FROM outbox WHERE id = ANY($1)";
            let delete = Statement::from_sql_and_values(db.get_database_backend(), sql, [ids.into()]);
            return self.run(async move { db.execute_raw(delete).await.map(drop) }).await;
        }
        let delete = outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(ids));
        self.run(async move { delete.exec(&db).await.map(drop) }).await
    }

    /// Which of that many lanes the oldest messages are in, and when the oldest was written; `None` if
    /// none waits.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn waiting_lanes(&self, of: u32) -> Result<Option<(Vec<Lane>, Timestamp)>, StorageError> {
        let db = self.db.clone();
        let oldest = outbox::Entity::find()
            .select_only()
            .columns([outbox::Column::UserId, outbox::Column::CreatedAt])
            .order_by_asc(outbox::Column::Id)
            .limit(OLDEST)
            .into_tuple::<(uuid::Uuid, i64)>();
        let rows = self.run(async move { oldest.all(&db).await }).await?;
        let Some((_, written)) = rows.first() else { return Ok(None) };
        let mut lanes: Vec<Lane> = Vec::new();
        for lane in rows.iter().map(|(user, _)| Lane::of_user(UserId::new(*user), of)) {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        Ok(Some((lanes, Timestamp::from_millis(*written))))
    }

    /// How many messages wait, and when the oldest was written (the epoch when none waits).
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn outbox_backlog(&self) -> Result<(u64, Timestamp), StorageError> {
        let db = self.db.clone();
        self.run(async move {
            let depth = outbox::Entity::find().count(&db).await?;
            let oldest = outbox::Entity::find().order_by_asc(outbox::Column::Id).one(&db).await?;
            let written =
                oldest.map_or_else(Timestamp::default, |row| Timestamp::from_millis(row.created_at));
            Ok::<_, DbErr>((depth, written))
        })
        .await
    }

    /// The same choice as [`Lane::of_user`]. It is computed rather than stored, because nodes of an older
    /// version write rows too. SQLite serves one process, which needs no lanes.
    fn is_in(&self, lane: Lane) -> Condition {
        if lane.of() == 1 || !self.is_postgres() {
            return Condition::all();
        }
        let (number, of) = (lane.number(), lane.of());
        Condition::all().add(Expr::cust(format!("get_byte(uuid_send(user_id), 15) % {of} = {number}")))
    }
}

fn message_of(row: outbox::Model) -> OutboxMessage {
    OutboxMessage {
        id: row.id,
        message: Message { channel: row.channel.into(), payload: row.payload.into() },
        created_at: Timestamp::from_millis(row.created_at),
    }
}
