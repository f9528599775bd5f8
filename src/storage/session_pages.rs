//! Operators' lists of sessions, a page at a time, the most recently active first.
//!
//! The index orders sessions only by the period ([`PERIOD_MS`]) of their latest activity, so that most
//! activity changes no index. Of the next [`SLICE`] sessions of the index, those of whole periods are sorted
//! exactly. A period with more sessions than that is listed by their ids: no page reads more than a slice.

use std::time::Duration;

use entity::session;
use sea_orm::sea_query::{Alias, Expr, SimpleExpr};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};
use uuid::Uuid;

use super::pages::{SLICE, before};
use super::rows::session_of;
use super::{StorageError, Store};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;

/// The database derives a session's period from its latest activity: see the migration
/// `index_periods_of_activity`.
pub const PERIOD_MS: i64 = 10 * 60 * 1000;
const ACTIVITY_PERIOD: &str = "activity_period";
/// PostgreSQL would otherwise rather read all sessions by another index and sort them. Disabled
/// plans seem so expensive that it would also compile the query first, which takes 200 ms.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL enable_sort = off; SET LOCAL jit = off";

/// Which live sessions to list, the most recently active first.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionPage {
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those after this place.
    pub after: Option<Place>,
    /// How many at most.
    pub limit: u64,
    /// Idle timeout of sessions whose row has none.
    pub idle_timeout: Duration,
}

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// After the session with this latest activity and id.
    Activity(Timestamp, SessionId),
    /// Within a period that has more than [`SLICE`] sessions, given by its number: after this id.
    Period(i64, SessionId),
}

/// A page of sessions, with their users.
#[derive(Clone, Debug)]
pub struct SessionRows {
    /// The sessions. One that has expired but has not been ended yet may be among them.
    pub sessions: Vec<(UserId, Session)>,
    /// Where the next page begins; `None` if this is the last. The page may have fewer sessions than
    /// requested without being the last.
    pub next: Option<Place>,
}

impl Store {
    /// A page of live sessions. A session that is active while one reads page after page moves to the front
    /// of the list, and may be seen again.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn page_sessions(&self, page: SessionPage) -> Result<SessionRows, StorageError> {
        match (page.user, page.after) {
            (Some(user), after) => {
                let of_user = session::Entity::find().filter(session::Column::UserId.eq(user.uuid()));
                self.latest(live(of_user), after, &page).await
            }
            (None, Some(Place::Period(period, after))) => self.of_period(period, after, &page).await,
            (None, after) => self.of_all(after, &page).await,
        }
    }

    async fn of_all(&self, after: Option<Place>, page: &SessionPage) -> Result<SessionRows, StorageError> {
        let mut slice = live(session::Entity::find());
        if let Some(Place::Activity(at, _)) = after {
            slice = slice.filter(period().lte(period_of(at)));
        }
        let slice = slice.order_by_desc(period()).order_by_desc(session::Column::Id);
        let mut found = session::Entity::find();
        let rows = slice.clone().limit(SLICE).into_query();
        QueryTrait::query(&mut found).from_clear().from_subquery(rows, session::Entity);
        // First: sessions that become active meanwhile leave these periods, and no others join them.
        let cut = self.last_period_of(slice).await?;
        let mut rows = self.latest(found, after, page).await?;
        let Some(cut) = cut else { return Ok(rows) };
        // The slice may have only some sessions of the period `cut` and of earlier ones.
        let whole = rows.sessions.partition_point(|(_, session)| period_of(session.last_activity) > cut);
        if whole < rows.sessions.len() || rows.next.is_none() {
            if whole == 0 {
                return self.of_period(cut, SessionId::new(Uuid::max()), page).await;
            }
            rows.sessions.truncate(whole);
            rows.next = Some(Place::Period(cut, SessionId::new(Uuid::max())));
        }
        Ok(rows)
    }

    /// Those of a period with more sessions than are sorted for one page.
    async fn of_period(
        &self,
        number: i64,
        after: SessionId,
        page: &SessionPage,
    ) -> Result<SessionRows, StorageError> {
        let query = live(session::Entity::find())
            .filter(period().eq(number))
            .filter(session::Column::Id.lt(after.uuid()))
            .order_by_desc(session::Column::Id);
        let mut rows = self.read(query, page).await?;
        let is_more = truncate(&mut rows, page.limit);
        let next = match rows.last().filter(|_| is_more) {
            Some((_, last)) => Place::Period(number, last.id()),
            None => {
                // Saturating: the number may come from a cursor that a client has made up.
                let end_of_earlier = number.saturating_mul(PERIOD_MS).saturating_sub(1);
                Place::Activity(Timestamp::from_millis(end_of_earlier), SessionId::new(Uuid::max()))
            }
        };
        rows.sort_by_key(|(_, session)| std::cmp::Reverse(session.last_activity));
        Ok(SessionRows { sessions: rows, next: Some(next) })
    }

    /// The most recently active of these rows.
    async fn latest(
        &self,
        rows: Select<session::Entity>,
        after: Option<Place>,
        page: &SessionPage,
    ) -> Result<SessionRows, StorageError> {
        let mut query = rows.order_by_desc(session::Column::LastActivity).order_by_desc(session::Column::Id);
        if let Some(Place::Activity(at, id)) = after {
            query = query.filter(before(
                [session::Column::LastActivity.into_expr(), session::Column::Id.into_expr()],
                [at.millis().into(), id.uuid().into()],
            ));
        }
        let mut rows = self.read(query, page).await?;
        let is_more = truncate(&mut rows, page.limit);
        let next = rows.last().filter(|_| is_more);
        let next = next.map(|(_, last)| Place::Activity(last.last_activity, last.id()));
        Ok(SessionRows { sessions: rows, next })
    }

    /// The period of the last row of a full slice; `None` if the list ends within the slice.
    async fn last_period_of(&self, slice: Select<session::Entity>) -> Result<Option<i64>, StorageError> {
        let last = self.read_set(BY_INDEX, slice.offset(SLICE - 1).limit(1)).await?;
        Ok(last.first().map(|row| period_of(Timestamp::from_millis(row.last_activity))))
    }

    /// One row more than the page has at most, if there is one.
    async fn read(
        &self,
        query: Select<session::Entity>,
        page: &SessionPage,
    ) -> Result<Vec<(UserId, Session)>, StorageError> {
        let rows = self.read_set(BY_INDEX, query.limit(page.limit + 1)).await?;
        let session = |row: session::Model| {
            Ok((UserId::new(row.user_id), session_of(row, page.idle_timeout, self.addresses)?))
        };
        rows.into_iter().map(session).collect()
    }
}

fn live(query: Select<session::Entity>) -> Select<session::Entity> {
    query.filter(session::Column::EndedAt.is_null())
}

fn period() -> SimpleExpr {
    Expr::col(Alias::new(ACTIVITY_PERIOD))
}

fn period_of(at: Timestamp) -> i64 {
    at.millis() / PERIOD_MS
}

/// Whether there were more.
fn truncate<T>(rows: &mut Vec<T>, limit: u64) -> bool {
    let is_more = rows.len() as u64 > limit;
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    is_more
}
