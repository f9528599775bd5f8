//! Which sessions ended, for services that follow endings over HTTP: after the position that a follower
//! has reached, or in a recent window if it has none. Only the database is queried, so nothing depends on
//! Redis or on which node ended a session.
//!
//! On PostgreSQL a position is a snapshot, as in the feed of changes: each change stamps its user's row
//! with its transaction's id, so a transaction that commits late is not missed. An answer has the ended
//! sessions of users who changed; some may be repeated. SQLite serves one process, whose commits take no
//! longer than [`super::TIMEOUT`]: there a position is a time, and each answer reaches back further than
//! that.
//!
//! Bound: [`MAX_ROWS`] users or endings per answer. If there are more, or the position is no longer
//! valid, the answer starts over and says since when it is complete.

mod place;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use entity::session;
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::postgres::connect_alone;
use super::servers::Servers;
use super::{StorageError, Store};
use crate::clock::Moment;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;

pub use place::Place;

/// Most users that changed, or sessions that ended, in one answer.
pub const MAX_ROWS: usize = 20_000;
/// How far an answer on SQLite reaches back before its position: longer than a commit takes.
const OVERLAP: Duration = Duration::from_secs(15);
/// How long after its last access token has expired an ending is still reported, since clocks differ.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// A session that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The user the session belonged to.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// Why it ended; `None` for a reason this version does not know.
    pub reason: Option<EndReason>,
    /// None of its access tokens is valid after this.
    pub tokens_expire_at: Timestamp,
}

/// The answer to one poll.
#[derive(Clone, Debug)]
pub struct Endings {
    /// The sessions, some of which may have been reported before.
    pub ended: Vec<Ended>,
    /// The position from which the next answer continues.
    pub place: Place,
    /// When the query was sent: everything that was committed before is known.
    pub asked: Moment,
    /// Since when the answer has all endings, if it does not continue from the requested position.
    pub since: Option<Timestamp>,
}

/// Polls for endings, on a connection of its own if several nodes may serve.
#[derive(Debug)]
pub struct RevocationFeed {
    store: Store,
    /// `None` on SQLite.
    servers: Option<Arc<Servers>>,
    patience: Duration,
    window: Duration,
    connection: Option<DatabaseConnection>,
    place: Option<Place>,
}

impl Store {
    /// The endings after `place`, or of the last `window` if there is no position to continue from.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn endings_after(
        &self,
        place: Option<Place>,
        now: Timestamp,
        window: Duration,
    ) -> Result<Endings, StorageError> {
        let db = self.db.clone();
        // Whether the server has crashed since the position was reached is unknown.
        let reaches_back = true;
        self.run(async move { endings_after(&db, place, reaches_back, now, window).await }).await
    }

    /// The endings from now on. An answer takes no longer than `patience`; if it cannot continue it
    /// reaches back by `window`.
    #[must_use]
    pub fn revocation_feed(&self, patience: Duration, window: Duration) -> RevocationFeed {
        let (store, servers) = (self.clone(), self.servers.clone());
        RevocationFeed { store, servers, patience, window, connection: None, place: None }
    }
}

impl RevocationFeed {
    /// The endings since the previous answer.
    ///
    /// # Errors
    /// [`StorageError`]; the next answer then begins where this one would have.
    pub async fn poll(&mut self, now: Timestamp) -> Result<Endings, StorageError> {
        let (place, window) = (self.place.clone(), self.window);
        let endings = match self.servers.clone() {
            None => self.store.endings_after(place, now, window).await?,
            Some(servers) => self.poll_alone(&servers, place, now).await?,
        };
        self.place = Some(endings.place.clone());
        Ok(endings)
    }

    async fn poll_alone(
        &mut self,
        servers: &Servers,
        place: Option<Place>,
        now: Timestamp,
    ) -> Result<Endings, StorageError> {
        let (server, pooling) = (servers.current().clone(), self.store.pooling);
        let (connection, patience, window) = (self.connection.take(), self.patience, self.window);
        let work = async move {
            let asking = async move {
                let is_new = connection.is_none();
                let connection = match connection {
                    Some(connection) => connection,
                    None => connect_alone(&server, "auth-service revocations", pooling, patience).await?,
                };
                let endings = endings_after(&connection, place, is_new, now, window).await?;
                Ok::<_, StorageError>((connection, endings))
            };
            tokio::time::timeout(patience, asking).await
        };
        let (connection, endings) = self.store.io.run(work).await?.map_err(|_| StorageError::TimedOut)??;
        self.connection = Some(connection);
        Ok(endings)
    }
}

/// `reaches_back` if the server may have reassigned transaction ids since the position was reached.
async fn endings_after(
    db: &DatabaseConnection,
    place: Option<Place>,
    reaches_back: bool,
    now: Timestamp,
    window: Duration,
) -> Result<Endings, StorageError> {
    let place = place.filter(|place| place.time() >= now.minus(window));
    let live_after = now.minus(CLOCK_SKEW);
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let going_on = match (&place, is_postgres) {
        (Some(Place::Snapshot { .. }), true) => {
            postgres::after(db, place.as_ref(), reaches_back, now, live_after).await?
        }
        (Some(Place::Time(time)), false) => after_time(db, *time, now, live_after).await?,
        _ => None,
    };
    match going_on {
        Some(endings) => Ok(endings),
        None if is_postgres => postgres::since(db, now, now.minus(window)).await,
        None => since(db, now, now.minus(window)).await,
    }
}

/// On SQLite. `None` if there are too many endings.
async fn after_time(
    db: &DatabaseConnection,
    time: Timestamp,
    now: Timestamp,
    live_after: Timestamp,
) -> Result<Option<Endings>, StorageError> {
    let asked = Moment::now();
    let mut rows = ended_since(db, time.minus(OVERLAP)).await?;
    if rows.len() > MAX_ROWS {
        return Ok(None);
    }
    rows.retain(|row| row.ended.tokens_expire_at >= live_after);
    Ok(Some(Endings { ended: in_order(rows), place: Place::Time(now), asked, since: None }))
}

async fn since(db: &DatabaseConnection, now: Timestamp, from: Timestamp) -> Result<Endings, StorageError> {
    let asked = Moment::now();
    let (rows, since) = complete(ended_since(db, from).await?, from);
    Ok(Endings { ended: in_order(rows), place: Place::Time(now), asked, since: Some(since) })
}

/// A session and when it ended.
#[derive(Clone, Copy, Debug)]
struct Row {
    ended: Ended,
    at: Timestamp,
}

impl Row {
    fn new((user, id, reason, tokens, at): (Uuid, Uuid, Option<String>, i64, i64)) -> Self {
        let ended = Ended {
            user: UserId::new(user),
            session: SessionId::new(id),
            reason: reason.as_deref().and_then(EndReason::parse),
            tokens_expire_at: Timestamp::from_millis(tokens),
        };
        Self { ended, at: Timestamp::from_millis(at) }
    }
}

/// The latest first, with one more than is returned.
async fn ended_since(db: &DatabaseConnection, from: Timestamp) -> Result<Vec<Row>, DbErr> {
    let rows = session::Entity::find()
        .select_only()
        .columns([
            session::Column::UserId,
            session::Column::Id,
            session::Column::EndReason,
            session::Column::TokensExpireAt,
            session::Column::EndedAt,
        ])
        .filter(session::Column::EndedAt.gte(from.millis()))
        .order_by_desc(session::Column::EndedAt)
        .limit(MAX_ROWS as u64 + 1)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::new).collect())
}

/// As many as may be returned, and since when they are complete.
fn complete(mut rows: Vec<Row>, from: Timestamp) -> (Vec<Row>, Timestamp) {
    if rows.len() <= MAX_ROWS {
        return (rows, from);
    }
    // Others may have ended in that millisecond.
    let since = rows.last().map_or(from, |row| row.at.plus(Duration::from_millis(1)));
    rows.retain(|row| row.at >= since);
    (rows, since)
}

/// The sessions in the order in which they ended.
fn in_order(rows: Vec<Row>) -> Vec<Ended> {
    rows.into_iter().rev().map(|row| row.ended).collect()
}
