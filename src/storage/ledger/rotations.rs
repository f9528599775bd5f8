//! Refreshes on PostgreSQL: rotations that wait at the same moment are stored by one statement, and share
//! its round trip, its transaction and its flush to the disk. Under load that is most of what a refresh
//! costs the database.
//!
//! The statement waits for no lock: it skips a row that another transaction has locked. So no refresh
//! waits for another user's row, and two nodes with the same users never wait for each other. A caller
//! whose refresh was skipped, overtaken by another commit or too late stores it alone, which waits and
//! finds out why.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgDatabaseError, PgSeverity};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Iden, QueryResult, Statement, Value};
use uuid::Uuid;

use super::waiting::{Queue, fail};
use super::writes::{RENEWED, renewed_values};
use super::{Commit, CommitMode, waiting};
use crate::domain::event::LedgerEvent;
use crate::events::announcement::Announcement;
use crate::storage::cancelled_work::CancelledWork;
use crate::storage::database_clock::NOW;
use crate::storage::{CHANGE_STAMP, TIMEOUT, refusal};

/// How many statements may be under way. While all are, what arrives waits and is stored together. With two
/// connections PostgreSQL needed 124 µs a refresh, and 163 with four (`scripts/bench pool`).
const WRITERS: usize = 2;
/// For how long one that is under way counts. A connection that has fallen silent is given up only after
/// [`GIVEN_UP_AFTER`], and refreshes must not wait for it until then.
const COUNTS_FOR: Duration = Duration::from_secs(1);

/// When a statement is given up: a little later than its callers give up, so that each of them reports for
/// itself that the database took too long.
const GIVEN_UP_AFTER: Duration = TIMEOUT.saturating_add(Duration::from_millis(100));

/// What a rotation has besides the session's [`RENEWED`] columns, in this order.
const OTHER: [&str; 6] = ["user_id", "version", "last_activity_at", "deadline", "session_id", "earliest_end"];

/// Depends on `moved` throughout: if that has no row of a user, nothing of that user was written. Each lock
/// is taken without waiting, so the clock may be read at any time. `moved` is compared with as an array:
/// PostgreSQL expects one row of it, and would join the tables in an order that is slow with more.
static STORE: LazyLock<String> = LazyLock::new(|| {
    let renewed = RENEWED.map(|column| Iden::unquoted(&column).to_owned());
    let columns = OTHER.into_iter().chain(renewed.iter().map(String::as_str)).collect::<Vec<_>>();
    let arrays = places(1, columns.len());
    let of_event = places(columns.len() + 1, 4);
    let assignments = renewed.each_ref().map(|column| format!("{column} = held.{column}")).join(", ");
    let columns = columns.join(", ");
    format!(
        "WITH held AS MATERIALIZED (\
            SELECT wanted.* FROM UNNEST({arrays}) AS wanted ({columns}) \
            JOIN users ON users.id = wanted.user_id AND users.session_version = wanted.version \
            JOIN sessions ON sessions.user_id = wanted.user_id AND sessions.id = wanted.session_id \
                AND sessions.ended_at IS NULL \
            WHERE {NOW} <= wanted.deadline \
            FOR NO KEY UPDATE OF users, sessions SKIP LOCKED\
        ), moved AS (\
            UPDATE users SET session_version = held.version + 1, rotations = users.rotations + 1, \
                change_stamp = {CHANGE_STAMP}, \
                last_activity_at = GREATEST(users.last_activity_at, held.last_activity_at) \
            FROM held WHERE users.id = held.user_id AND users.session_version = held.version \
            RETURNING users.id\
        ), renewed AS (\
            UPDATE sessions SET {assignments}, refresh_seen_at = NULL, \
                ends_at = LEAST(sessions.ends_at, held.earliest_end) \
            FROM held WHERE sessions.user_id = held.user_id AND sessions.id = held.session_id \
                AND held.user_id = ANY (ARRAY(SELECT id FROM moved))\
        ), announced AS (\
            INSERT INTO outbox (user_id, channel, payload, created_at) \
            SELECT event.user_id, event.channel, event.payload, event.created_at \
            FROM UNNEST({of_event}) WITH ORDINALITY AS event (user_id, channel, payload, created_at, place) \
            WHERE event.user_id = ANY (ARRAY(SELECT id FROM moved)) ORDER BY event.place\
        ) SELECT id FROM moved"
    )
});

fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// A handle on the writers; clones share them.
#[derive(Clone, Debug)]
pub(in crate::storage) struct RotationWriters(Queue<Rotation>);

type Job = waiting::Job<Rotation>;

/// A commit that is one rotation and nothing else.
#[derive(Debug)]
pub(super) struct Rotation {
    user: Uuid,
    /// One for each of [`OTHER`] and [`RENEWED`].
    values: Vec<Value>,
    announcements: Vec<Announcement>,
    now: i64,
}

impl Rotation {
    /// `None` if the commit does anything else.
    pub(super) fn of(commit: &Commit, mode: &CommitMode) -> Option<Self> {
        let [LedgerEvent::Rotated { session }] = commit.events.as_slice() else { return None };
        if !commit.is_rotation {
            return None;
        }
        let user = commit.user.uuid();
        let other: [Value; OTHER.len()] = [
            user.into(),
            commit.decided_on.into(),
            commit.last_activity_at.millis().into(),
            mode.deadline.unwrap_or(i64::MAX).into(),
            session.id().uuid().into(),
            session.idle_expires_at().millis().into(),
        ];
        Some(Self {
            user,
            values: other.into_iter().chain(renewed_values(session)).collect(),
            announcements: commit.announcements.clone(),
            now: commit.now.millis(),
        })
    }
}

impl RotationWriters {
    /// Starts the writers on the current runtime; they end with the last handle.
    pub(in crate::storage) fn start(db: DatabaseConnection, cancelled_work: Arc<CancelledWork>) -> Self {
        let store = move |jobs| {
            let storing = tokio::spawn(store_all(db.clone(), Arc::clone(&cancelled_work), jobs));
            // It goes on after that.
            async move { drop(tokio::time::timeout(COUNTS_FOR, storing).await) }
        };
        Self(Queue::start(WRITERS, store))
    }

    /// Stores the rotation, together with others that wait. False if it was not stored: then it may be
    /// stored alone.
    pub(super) async fn store(&self, rotation: Rotation) -> Result<bool, DbErr> {
        self.0.store(rotation).await
    }
}

async fn store_all(db: DatabaseConnection, cancelled_work: Arc<CancelledWork>, mut jobs: Vec<Job>) {
    jobs.retain(Job::is_wanted);
    // The answer names users. A user with two of them has one too many on the same version.
    let mut users = HashSet::new();
    let (jobs, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| users.insert(job.work.user));
    others.into_iter().for_each(|job| job.answer(Ok(false)));
    if jobs.is_empty() {
        return;
    }
    let query = Box::pin(db.query_all_raw(statement(&jobs)));
    let stored = match cancelled_work.within(GIVEN_UP_AFTER, query).await {
        Ok(Ok(rows)) => rows.iter().map(first_column).collect::<Result<HashSet<_>, _>>(),
        // Each alone finds out whether it is the cause.
        Ok(Err(error)) if is_rolled_back(&error) => Ok(HashSet::new()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(DbErr::Custom("the database did not answer in time".to_owned())),
    };
    match stored {
        Ok(stored) => jobs.into_iter().for_each(|job| {
            let is_stored = stored.contains(&job.work.user);
            job.answer(Ok(is_stored));
        }),
        Err(error) => fail(jobs, error),
    }
}

fn statement(jobs: &[Job]) -> Statement {
    let rotations = || jobs.iter().map(|job| &job.work);
    let events = || rotations().flat_map(|it| it.announcements.iter().map(move |event| (event, it.now)));
    let column = |place: usize| {
        let values: Vec<Value> = rotations().map(|it| it.values[place].clone()).collect();
        Value::Array(values[0].array_type(), Some(Box::new(values)))
    };
    let columns = (0..OTHER.len() + RENEWED.len()).map(column);
    let of_event: [Value; 4] = [
        events().map(|(event, _)| event.user.uuid()).collect::<Vec<_>>().into(),
        events().map(|(event, _)| event.channel.as_str().to_owned()).collect::<Vec<_>>().into(),
        events().map(|(event, _)| event.payload.clone()).collect::<Vec<_>>().into(),
        events().map(|(_, now)| now).collect::<Vec<_>>().into(),
    ];
    Statement::from_sql_and_values(DbBackend::Postgres, STORE.as_str(), columns.chain(of_event))
}

fn first_column(row: &QueryResult) -> Result<Uuid, DbErr> {
    row.try_get_by_index(0)
}

/// Whether the database has refused the statement and rolled it back, as far as that is certain: a pooler
/// reports a lost connection in the same form, but not as a mere error, or as one of class 08.
fn is_rolled_back(error: &DbErr) -> bool {
    let refusal = refusal(error).and_then(|cause| cause.try_downcast_ref::<PgDatabaseError>());
    refusal.is_some_and(|it| it.severity() == PgSeverity::Error && !it.code().starts_with("08"))
}
