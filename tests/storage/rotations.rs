//! Refreshes that are stored together on PostgreSQL: each as if it were alone.

use std::time::Duration;

use auth_service::domain::command::{RotateRefresh, decide};
use auth_service::domain::ledger::Ledger;
use auth_service::domain::policy::Policy;
use auth_service::domain::time::Timestamp;
use auth_service::storage::activity::SeenActivity;
use auth_service::storage::ledger::{Commit, CommitOutcome};
use auth_service::storage::{StorageError, Store};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::task::JoinHandle;

use crate::support::proxy::Proxy;
use crate::support::store::{MINUTE, START, TestStore, assert_same, commit_of, login, policy};
use crate::support::{Database, eventually};

/// More than the store has connections and writers.
const PEOPLE: usize = 60;
/// Longer than anything here should take that waits for no lock, and shorter than a lock is waited for.
const SOON: Duration = Duration::from_secs(3);

/// The refresh of their first session, and what the ledger then is.
fn rotation(ledger: &Ledger, now: Timestamp, policy: &Policy) -> (Commit, Ledger) {
    let session = &ledger.live()[0];
    let rotate = RotateRefresh { session: session.id(), generation: session.refresh.generation };
    let events = decide(&rotate, ledger, now, policy).events;
    let mut after = ledger.clone();
    events.iter().for_each(|event| after.apply(event));
    (after.version, after.rotations) = (ledger.version + 1, ledger.rotations + 1);
    (commit_of(ledger, now, &events), after)
}

fn start(store: &Store, commit: Commit) -> JoinHandle<Result<CommitOutcome, StorageError>> {
    let store = store.clone();
    tokio::spawn(async move { store.commit(commit, None).await })
}

async fn people(store: &TestStore) -> Vec<Ledger> {
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(store.register().await);
    }
    store.drain().await;
    people
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn they_share_transactions() {
    let store = TestStore::on(Database::Postgres).await;
    let mut people = people(&store).await;
    for round in 1..=4 {
        let now = START.plus(MINUTE * round);
        let rotations: Vec<_> = people.iter().map(|ledger| rotation(ledger, now, &policy())).collect();
        let started: Vec<_> = rotations.iter().map(|(commit, _)| start(&store, commit.clone())).collect();
        for ((result, (_, after)), ledger) in
            join_all(started).await.into_iter().zip(rotations).zip(&mut people)
        {
            assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(after.version));
            // The commit tells of activity too, as an actor's does.
            *ledger = after;
            ledger.last_activity_at = now;
            assert_same(&store.ledger(ledger.user).await, ledger);
        }
        let transactions = store.count("SELECT COUNT(DISTINCT change_stamp) FROM users").await;
        assert!(transactions < 40, "{transactions} for {PEOPLE} refreshes");
        let told = store.drain().await;
        assert_eq!(told.len(), PEOPLE, "an event each");
    }
}

/// The two ways to store a refresh leave the same rows.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn they_are_stored_as_if_alone() {
    let shorter = Policy { idle_timeout: MINUTE * 4, lifetime: MINUTE * 30, ..policy() };
    let longer = Policy { idle_timeout: MINUTE * 60, access_expiry: MINUTE * 60, ..policy() };
    let store = TestStore::on(Database::Postgres).await;
    let [mut together, mut alone] = [store.register().await, store.register().await];
    let mut now = START;
    for of_round in [&policy(), &shorter, &longer, &policy()] {
        now = now.plus(MINUTE / 2);
        let (commit, after) = rotation(&together, now, of_round);
        assert_eq!(store.commit(commit, None).await.unwrap(), CommitOutcome::Committed(after.version));
        together = after;
        let (_, lock) = store.load_ledger_locked(alone.user).await.unwrap().unwrap();
        let (commit, after) = rotation(&alone, now, of_round);
        assert_eq!(store.commit(commit, Some(lock)).await.unwrap(), CommitOutcome::Committed(after.version));
        alone = after;
        for (table, user, own) in [
            ("users", "id", "'{id,email,change_stamp}'"),
            ("sessions", "user_id", "'{id,user_id,token}'"),
            ("outbox", "user_id", "'{id,user_id,payload}'"),
        ] {
            let rows = |of: &Ledger| {
                let user_id = of.user;
                format!(
                    "SELECT jsonb_agg(to_jsonb({table}) - {own}::text[] ORDER BY {table}.id) \
                     FROM {table} WHERE {user} = '{user_id}'"
                )
            };
            let same = format!("SELECT (({}) = ({}))::int::bigint", rows(&together), rows(&alone));
            assert_eq!(store.count(&same).await, 1, "{table} differ at {now:?}");
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_locked_row_delays_only_its_own() {
    let store = TestStore::on(Database::Postgres).await;
    let people = people(&store).await;
    let connection = store.connect().await;
    let neighbour = connection.begin().await.unwrap();
    let [of_user, of_session] = [&people[0], &people[1]];
    for row in [
        format!("SELECT id FROM users WHERE id = '{}' FOR UPDATE", of_user.user),
        format!("SELECT id FROM sessions WHERE user_id = '{}' FOR UPDATE", of_session.user),
    ] {
        neighbour.execute_unprepared(&row).await.unwrap();
    }
    let mut started: Vec<_> = people
        .iter()
        .map(|ledger| start(&store, rotation(ledger, START.plus(MINUTE), &policy()).0))
        .collect();
    let mut locked: Vec<_> = started.drain(..2).collect();
    let others = tokio::time::timeout(SOON, join_all(started)).await.expect("nobody else waits");
    for result in others {
        assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(1));
    }
    assert!(locked.iter().all(|job| !job.is_finished()), "they wait for their rows");
    neighbour.rollback().await.unwrap();
    for result in join_all(locked.drain(..)).await {
        assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(1));
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn one_that_cannot_be_stored_takes_no_other_with_it() {
    let store = TestStore::on(Database::Postgres).await;
    let mut people = people(&store).await;
    let overtaken = people[0].clone();
    let _ = store.run(&mut people[0], START, &login()).await;
    let before = store.waiting().await;
    for _ in 0..5 {
        let mut commits: Vec<_> =
            people.iter().map(|ledger| rotation(ledger, START.plus(MINUTE), &policy()).0).collect();
        commits[0] = rotation(&overtaken, START.plus(MINUTE), &policy()).0;
        // PostgreSQL refuses the whole statement because of this.
        commits[1].announcements[0].payload.push('\0');
        let started: Vec<_> = commits.into_iter().map(|commit| start(&store, commit)).collect();
        let mut results: Vec<_> = join_all(started).await.into_iter().map(|result| result.unwrap()).collect();
        assert_eq!(results.remove(0).unwrap(), CommitOutcome::Conflict);
        assert!(matches!(results.remove(0), Err(StorageError::Database(_))));
        for (result, ledger) in results.into_iter().zip(&mut people[2..]) {
            assert_eq!(result.unwrap(), CommitOutcome::Committed(ledger.version + 1));
            *ledger = store.ledger(ledger.user).await;
        }
        assert_eq!(store.ledger(people[1].user).await.version, 0, "nothing of it is stored");
    }
    assert_eq!(store.waiting().await - before, 5 * (PEOPLE as u64 - 2));
}

/// Activity changes the rows of sessions between the moment that a statement sees and its locks.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn beside_activity_each_is_whole() {
    const ROUNDS: u32 = 60;
    let store = TestStore::on(Database::Postgres).await;
    let mut people = people(&store).await;
    let sessions: Vec<_> = people.iter().map(|ledger| (ledger.user, ledger.live()[0].id())).collect();
    let mut writer = store.activity_writer();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let reporting = tokio::spawn(async move {
        let mut reports = 0;
        while stopped.try_recv().is_err() {
            reports += 1;
            let at = START.plus(Duration::from_millis(1) * reports);
            let seen = |&(user, session)| SeenActivity { user, session, at };
            writer.write(sessions.iter().map(seen).collect()).await.unwrap();
        }
        reports
    });
    for round in 1..=ROUNDS {
        let now = START.plus(Duration::from_secs(1) * round);
        let rotations: Vec<_> = people.iter().map(|ledger| rotation(ledger, now, &policy())).collect();
        let started: Vec<_> = rotations.iter().map(|(commit, _)| start(&store, commit.clone())).collect();
        for ((result, (_, after)), ledger) in
            join_all(started).await.into_iter().zip(rotations).zip(&mut people)
        {
            assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(after.version));
            *ledger = after;
        }
    }
    stop.send(()).unwrap();
    assert!(reporting.await.unwrap() > ROUNDS, "too little activity to matter");
    for ledger in &people {
        let stored = store.ledger(ledger.user).await;
        assert_eq!((stored.version, stored.rotations), (ledger.version, ledger.rotations));
        assert_eq!(stored.live()[0].refresh, ledger.live()[0].refresh);
    }
    assert_eq!(store.drain().await.len(), PEOPLE * ROUNDS as usize);
}

/// Refreshes that were under way on lost connections are not known to be stored, but later ones are stored
/// on new connections before the lost ones are given up.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn silent_connections_hold_up_no_later_ones() {
    let near = TestStore::on(Database::Postgres).await;
    let people = people(&near).await;
    let proxy = Proxy::to(near.address()).await;
    let far = near.open_through(proxy.address()).await;
    let at = |place: usize| rotation(&people[place], START.plus(MINUTE), &policy()).0;
    for result in join_all((0..10).map(|place| start(&far, at(place)))).await {
        assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(1));
    }
    proxy.silence_open();
    let lost: Vec<_> = (10..30).map(|place| start(&far, at(place))).collect();
    eventually("they have silent connections", SOON, async || {
        let (open, idle) = far.connections();
        let used = open as usize - idle;
        if used >= 2.min(open as usize) { Ok(()) } else { Err(format!("{used} of {open} are in use")) }
    })
    .await;
    // Other work takes the rest of them: what is refreshed later must not get one.
    let loads: Vec<_> = (0..far.connections().1)
        .map(|_| {
            let (far, user) = (far.clone(), people[0].user);
            tokio::spawn(async move { far.load_ledger(user).await })
        })
        .collect();
    eventually("no silent connection is left", SOON, async || {
        let (_, idle) = far.connections();
        if idle == 0 { Ok(()) } else { Err(format!("{idle} are idle")) }
    })
    .await;
    let later = join_all((30..PEOPLE).map(|place| start(&far, at(place))));
    for result in tokio::time::timeout(SOON, later).await.expect("they are stored on new connections") {
        assert_eq!(result.unwrap().unwrap(), CommitOutcome::Committed(1));
    }
    for result in join_all(lost).await {
        let outcome = result.unwrap();
        assert!(matches!(outcome, Ok(CommitOutcome::Committed(1)) | Err(_)), "{outcome:?}");
    }
    join_all(loads).await;
}

/// Two nodes that refresh the same sessions at the same moment, thousands of times: of each pair one wins.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn of_two_nodes_one_wins() {
    const ROUNDS: u32 = 60;
    let here = TestStore::on(Database::Postgres).await;
    let there = here.open_again().await.unwrap();
    let mut people = people(&here).await;
    for round in 1..=ROUNDS {
        let now = START.plus(Duration::from_secs(1) * round);
        let rotations: Vec<_> = people.iter().map(|ledger| rotation(ledger, now, &policy())).collect();
        let rivals = rotations.iter().enumerate().map(|(place, (commit, _))| {
            // Neither is always first.
            let (first, second): (&Store, &Store) =
                if place % 2 == 0 { (&here, &there) } else { (&there, &here) };
            [start(first, commit.clone()), start(second, commit.clone())]
        });
        for (pair, (ledger, (_, after))) in
            rivals.collect::<Vec<_>>().into_iter().zip(people.iter_mut().zip(rotations))
        {
            let outcomes: Vec<_> =
                join_all(pair).await.into_iter().map(|result| result.unwrap().unwrap()).collect();
            let won = |outcome: &&CommitOutcome| **outcome == CommitOutcome::Committed(after.version);
            assert_eq!(outcomes.iter().filter(won).count(), 1, "round {round}: {outcomes:?}");
            *ledger = after;
            ledger.last_activity_at = now;
        }
    }
    for ledger in &people {
        assert_same(&here.ledger(ledger.user).await, ledger);
    }
    let told = here.drain().await;
    assert_eq!(told.len(), PEOPLE * ROUNDS as usize, "an event for each that won");
}
