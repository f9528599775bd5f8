//! Operators' list of sessions: each session once, the most recently active first, and never more read for a
//! page than a slice.

use std::collections::HashSet;
use std::time::Duration;

use auth_service::domain::session::Session;
use auth_service::domain::time::Timestamp;
use auth_service::storage::Store;
use auth_service::storage::pages::SLICE;
use auth_service::storage::session_pages::{PERIOD_MS, Place, SessionPage};

use super::pages::counted;
use crate::support::store::{START, TestStore};
use crate::support::{Database, eventually, on_each_database};

on_each_database!(every_session_is_listed_once_and_in_order, a_users_sessions_are_in_order);

const LIMIT: u64 = 100;
/// More than a slice.
const CROWD: i64 = SLICE.cast_signed() + 700;
/// Sessions with hours between them, with minutes, and with seconds.
const FEW: i64 = 300;

/// The number of START's period.
const NOW: i64 = START.millis() / PERIOD_MS;
/// Two periods in which more sessions were active than are sorted for a page.
const CROWDED: [i64; 2] = [NOW, NOW - 5];

fn copies(is_postgres: bool, count: i64, activity: &str) -> String {
    let (id, numbers) = if is_postgres {
        ("gen_random_uuid()", format!("generate_series(1::bigint, {count}) AS numbers (n)"))
    } else {
        let numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <";
        ("randomblob(16)", format!("({numbers} {count}) SELECT n FROM numbers)"))
    };
    format!(
        "INSERT INTO sessions (user_id, id, token, refresh_generation, refreshed_at, tokens_expire_at, device_type, \
         created_at, last_activity, expires_at, idle_timeout_ms, ends_at) \
         SELECT one.user_id, {id}, one.token, 1, one.refreshed_at, one.tokens_expire_at, 'desktop', one.created_at, \
         {activity}, one.expires_at, 604800000, one.ends_at \
         FROM (SELECT * FROM sessions ORDER BY created_at, id LIMIT 1) AS one, {numbers}"
    )
}

async fn seeded(db: Database) -> TestStore {
    let store = TestStore::on(db).await;
    store.register().await;
    let is_postgres = store.is_shared();
    for period in CROWDED {
        let start = period * PERIOD_MS;
        store.execute(&copies(is_postgres, CROWD, &format!("{start} + n * 7919 % {PERIOD_MS}"))).await;
    }
    for (before, apart) in [(1, 1_000), (20, 60_000), (2_000, 3_600_000)] {
        let start = (NOW - before) * PERIOD_MS;
        store.execute(&copies(is_postgres, FEW, &format!("{start} - n * {apart}"))).await;
    }
    if is_postgres {
        store.execute("ANALYZE sessions").await;
    }
    store
}

fn page(after: Option<Place>) -> SessionPage {
    SessionPage { after, limit: LIMIT, idle_timeout: Duration::from_hours(1), ..SessionPage::default() }
}

/// All pages of a list, one after another, and how many there were.
async fn read(store: &Store, mut page: SessionPage) -> (Vec<Session>, u64) {
    let (mut sessions, mut pages) = (Vec::new(), 0);
    loop {
        let rows = store.page_sessions(page).await.unwrap();
        assert!(rows.sessions.len() as u64 <= page.limit);
        sessions.extend(rows.sessions.into_iter().map(|(_, session)| session));
        pages += 1;
        assert!(pages < 1_000, "the list has an end");
        match rows.next {
            Some(next) => page.after = Some(next),
            None => return (sessions, pages),
        }
    }
}

fn period(session: &Session) -> i64 {
    session.last_activity.millis() / PERIOD_MS
}

fn key(session: &Session) -> (Timestamp, auth_service::domain::ids::SessionId) {
    (session.last_activity, session.id())
}

async fn every_session_is_listed_once_and_in_order(db: Database) {
    let store = seeded(db).await;
    let (all, pages) = read(&store, page(None)).await;
    let count = 2 * CROWD + 3 * FEW + 1;
    assert_eq!(i64::try_from(all.len()).unwrap(), count);
    assert_eq!(all.iter().map(Session::id).collect::<HashSet<_>>().len(), all.len(), "each once");
    assert!(pages <= all.len() as u64 / LIMIT + 8, "{pages} pages");
    assert!(all.is_sorted_by_key(|session| std::cmp::Reverse(period(session))));
    let others = all.iter().filter(|session| !CROWDED.contains(&period(session)));
    assert!(others.is_sorted_by_key(|session| std::cmp::Reverse(key(session))));
    // While one reads, somebody comes back to the front.
    let first = store.page_sessions(page(None)).await.unwrap();
    let last = all.last().unwrap();
    store
        .execute(&format!(
            "UPDATE sessions SET last_activity = {} WHERE last_activity = {}",
            START.millis(),
            last.last_activity.millis()
        ))
        .await;
    let (rest, _) = read(&store, page(first.next)).await;
    assert!(first.sessions.len() + rest.len() >= all.len() - 1, "nobody else is left out");
}

async fn a_users_sessions_are_in_order(db: Database) {
    let store = seeded(db).await;
    let other = store.register().await;
    let user = Some(other.user);
    let (own, _) = read(&store, SessionPage { user, ..page(None) }).await;
    assert_eq!(own.iter().map(Session::id).collect::<Vec<_>>(), [other.live()[0].id()]);
    let first = store.page_sessions(page(None)).await.unwrap().sessions[0].0;
    let (own, _) = read(&store, SessionPage { user: Some(first), limit: 200, ..page(None) }).await;
    assert_eq!(i64::try_from(own.len()).unwrap(), 2 * CROWD + 3 * FEW + 1);
    assert!(own.is_sorted_by_key(|session| std::cmp::Reverse(key(session))));
}

/// PostgreSQL counts what is read of a table; a connection reports it at its end at the latest.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres_no_page_reads_more_than_a_slice() {
    let seeded = seeded(Database::Postgres).await;
    let mut after = None;
    loop {
        let before = counted(&seeded, "sessions").await;
        let store = seeded.open_again().await.unwrap();
        let rows = store.page_sessions(page(after)).await.unwrap();
        store.close().await;
        let (whole, by_index) = eventually("it is counted", Duration::from_secs(10), async || {
            let now = counted(&seeded, "sessions").await;
            let read = (now.0 - before.0, now.1 - before.1);
            let least = i64::try_from(rows.sessions.len()).unwrap();
            if read.0 + read.1 >= least { Ok(read) } else { Err(format!("{read:?}")) }
        })
        .await;
        assert_eq!(whole, 0, "{after:?}: the table was read from one end to the other");
        assert!(by_index <= (2 * SLICE + LIMIT + 1).cast_signed(), "{after:?}: {by_index} rows");
        match rows.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
}
