//! The outbox: what committed changes owe to the other services, in order, until the bus has taken it.

use entity::outbox;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    TransactionTrait,
};

use super::{StorageError, Store};
use crate::domain::time::Timestamp;
use crate::events::Message;

/// A message that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Place in the order.
    pub id: i64,
    /// What to publish.
    pub message: Message,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Key of the advisory lock under which one node at a time publishes.
const PUBLISHING_LOCK: i64 = 0x6175_7468_6f75_7462;

/// What came of a turn at publishing.
#[derive(Debug)]
pub enum Published<E> {
    /// These were taken, and are forgotten.
    Taken(Vec<OutboxMessage>),
    /// None is known to have been taken; all are still there.
    Refused(E),
}

impl Store {
    /// Hands the oldest messages to `publish`, at most `limit`, and forgets them if it took them.
    ///
    /// Where several nodes serve, one at a time has its turn, so that a user's messages keep their order whichever
    /// node wrote them. The turn is a transaction: it ends with the node's life or, by the database's own clock, when
    /// the node stands still for longer than [`super::open::IDLE_IN_TRANSACTION`].
    ///
    /// # Errors
    /// [`StorageError`]; what was published already will be published again, with the same event ids.
    pub async fn publish_outbox<P, F, E>(&self, limit: u64, publish: P) -> Result<Published<E>, StorageError>
    where
        P: FnOnce(Vec<Message>) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send,
        E: Send + 'static,
    {
        let db = self.db.clone();
        let shared = self.is_shared();
        self.run(async move {
            if !shared {
                return publish_oldest(&db, limit, publish).await;
            }
            let transaction = db.begin().await?;
            transaction
                .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({PUBLISHING_LOCK})"))
                .await?;
            let published = publish_oldest(&transaction, limit, publish).await?;
            transaction.commit().await?;
            Ok::<_, DbErr>(published)
        })
        .await
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
}

async fn publish_oldest<C, P, F, E>(db: &C, limit: u64, publish: P) -> Result<Published<E>, DbErr>
where
    C: ConnectionTrait,
    P: FnOnce(Vec<Message>) -> F,
    F: Future<Output = Result<(), E>>,
{
    let rows = outbox::Entity::find().order_by_asc(outbox::Column::Id).limit(limit).all(db).await?;
    let taken: Vec<_> = rows.into_iter().map(message_of).collect();
    if taken.is_empty() {
        return Ok(Published::Taken(taken));
    }
    if let Err(refusal) = publish(taken.iter().map(|waiting| waiting.message.clone()).collect()).await {
        return Ok(Published::Refused(refusal));
    }
    let ids = taken.iter().map(|waiting| waiting.id);
    outbox::Entity::delete_many().filter(outbox::Column::Id.is_in(ids)).exec(db).await?;
    Ok(Published::Taken(taken))
}

fn message_of(row: outbox::Model) -> OutboxMessage {
    OutboxMessage {
        id: row.id,
        message: Message { channel: row.channel.into(), payload: row.payload.into() },
        created_at: Timestamp::from_millis(row.created_at),
    }
}
