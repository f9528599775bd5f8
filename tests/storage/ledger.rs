//! Loading and committing: what is stored is what was decided, all of it or nothing, and one of many at once wins.

use std::time::Duration;

use auth_service::clock::new_uuid;
use auth_service::domain::command::{
    EndAll, EndOverdue, Logout, Open, RotateRefresh, Terminate, TerminateOthers, decide,
};
use auth_service::domain::event::LedgerEvent;
use auth_service::domain::ids::{SessionId, UserId};
use auth_service::domain::ledger::Ledger;
use auth_service::domain::policy::Policy;
use auth_service::domain::reason::EndReason;
use auth_service::domain::time::Timestamp;
use auth_service::storage::StorageError;
use auth_service::storage::activity::SeenActivity;
use auth_service::storage::ledger::CommitOutcome;

use crate::support::postgres::PostgresServer;
use crate::support::proxy::{Mode, Proxy};
use crate::support::store::{START, TestStore, commit_of, login, open_at, policy, registration};
use crate::support::time::{Stopwatch, eventually};
use crate::support::{Database, on_each_database};

const MINUTE: Duration = Duration::from_secs(60);

on_each_database!(
    nobody_has_no_ledger,
    what_is_committed_is_loaded,
    a_commit_on_an_old_version_stores_nothing,
    a_commit_that_fails_stores_nothing,
    of_many_commits_on_one_version_one_wins,
    the_limit_holds_whatever_races,
    an_idle_ending_yields_to_later_activity,
    an_idle_ending_yields_as_a_whole,
    an_ending_and_activity_at_once,
    what_has_ended_does_not_end_again,
    a_session_that_ended_behind_the_version_is_noticed,
    many_sessions_end_at_once,
    the_last_activity_never_moves_back,
    every_ending_is_found_with_its_reason,
    an_unreadable_session_is_an_error,
);

/// Rows have no order, and do not remember why sessions ended.
fn assert_same(stored: &Ledger, expected: &Ledger) {
    let sorted = |ledger: &Ledger| {
        let mut live = ledger.live().to_vec();
        live.sort_by_key(|session| session.id());
        (ledger.user, ledger.role, ledger.version, ledger.last_activity_at, live)
    };
    assert_eq!(sorted(stored), sorted(expected));
}

async fn nobody_has_no_ledger(db: Database) {
    let store = TestStore::on(db).await;
    assert_eq!(store.load_ledger(UserId::new(new_uuid())).await.unwrap(), None);
}

async fn what_is_committed_is_loaded(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    assert_same(&store.ledger(ledger.user).await, &ledger);
    let first = ledger.live()[0].id();
    let mut now = START;
    for version in 1..=5 {
        now = now.plus(MINUTE);
        assert_eq!(store.run(&mut ledger, now, &login()).await, CommitOutcome::Committed(version));
        assert_same(&store.ledger(ledger.user).await, &ledger);
    }
    assert!(ledger.find(first).is_none(), "evicted");
    let (second, third) = (ledger.live()[0].id(), ledger.live()[1].id());
    let step = async |ledger: &mut Ledger, outcome: CommitOutcome| {
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
        assert_same(&store.ledger(ledger.user).await, ledger);
    };
    let outcome = store.run(&mut ledger, now, &RotateRefresh { session: second, generation: 1 }).await;
    step(&mut ledger, outcome).await;
    let outcome = store.run(&mut ledger, now, &Terminate { target: third, by: second }).await;
    step(&mut ledger, outcome).await;
    let outcome = store.run(&mut ledger, now, &TerminateOthers { keep: second }).await;
    step(&mut ledger, outcome).await;
    assert_eq!(ledger.live().len(), 1);
    let outcome = store.run(&mut ledger, now, &EndAll { reason: EndReason::UserDeleted }).await;
    step(&mut ledger, outcome).await;
    assert_eq!((ledger.live().len(), ledger.version), (0, 9));
}

async fn a_commit_on_an_old_version_stores_nothing(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let old = ledger.clone();
    let _ = store.run(&mut ledger, START.plus(MINUTE), &login()).await;
    let waiting = store.waiting().await;
    let session = old.live()[0].id();
    let later = START.plus(MINUTE * 2);
    let mut from_the_future = old.clone();
    from_the_future.version = 7;
    for attempt in [
        store.run(&mut old.clone(), later, &login()).await,
        store.run(&mut old.clone(), later, &Logout { session }).await,
        store.run(&mut old.clone(), later, &RotateRefresh { session, generation: 1 }).await,
        store.run(&mut from_the_future, later, &login()).await,
    ] {
        assert_eq!(attempt, CommitOutcome::Conflict);
    }
    assert_same(&store.ledger(ledger.user).await, &ledger);
    assert_eq!(store.waiting().await, waiting);
    assert_eq!(store.lookup_ending(ledger.user, session).await.unwrap(), None);
}

/// Here because the session is there already, after the version was moved on and another session was ended.
async fn a_commit_that_fails_stores_nothing(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let _ = store.run(&mut ledger, START, &login()).await;
    let waiting = store.waiting().await;
    let [ended, again] = [0, 1].map(|place: usize| ledger.live()[place].id());
    let logout = decide(&Logout { session: ended }, &ledger, START, &policy()).events;
    let open = decide(&Open { id: again, ..login() }, &ledger, START, &policy()).events;
    let events: Vec<_> = logout.into_iter().chain(open).collect();
    let failure = store.commit(commit_of(&ledger, START.plus(MINUTE), &events), None).await.unwrap_err();
    assert!(matches!(failure, StorageError::Database(_)), "{failure}");
    assert_same(&store.ledger(ledger.user).await, &ledger);
    assert_eq!(store.waiting().await, waiting);
    let _ = store.run(&mut ledger, START, &login()).await;
    assert_same(&store.ledger(ledger.user).await, &ledger);
}

async fn of_many_commits_on_one_version_one_wins(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    let rivals = (0..16).map(|_| {
        let (store, events) = (store.clone(), decide(&login(), &ledger, START, &policy()).events);
        let commit = commit_of(&ledger, START, &events);
        tokio::spawn(async move { (store.commit(commit, None).await.unwrap(), events) })
    });
    let mut expected = ledger.clone();
    let mut conflicts = 0;
    for rival in rivals.collect::<Vec<_>>() {
        match rival.await.unwrap() {
            (CommitOutcome::Committed(version), events) => {
                assert_eq!(version, 1);
                events.iter().for_each(|event| expected.apply(event));
                expected.version += 1;
            }
            (CommitOutcome::Conflict, _) => conflicts += 1,
        }
    }
    assert_eq!(conflicts, 15);
    assert_same(&store.ledger(ledger.user).await, &expected);
    assert_eq!(store.waiting().await, 4);
}

async fn the_limit_holds_whatever_races(db: Database) {
    const NODES: usize = 6;
    const LOGINS: usize = 10;
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    let nodes = (0..NODES).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = 0;
            while done < LOGINS {
                let ledger = store.load_ledger(user).await.unwrap().unwrap();
                assert!(ledger.live().len() <= policy().max_sessions, "more than the limit");
                let events = decide(&login(), &ledger, START, &policy()).events;
                if let CommitOutcome::Committed(_) =
                    store.commit(commit_of(&ledger, START, &events), None).await.unwrap()
                {
                    done += 1;
                }
            }
        })
    });
    for node in nodes.collect::<Vec<_>>() {
        node.await.unwrap();
    }
    let ledger = store.ledger(user).await;
    assert_eq!(ledger.version, i64::try_from(NODES * LOGINS).unwrap());
    assert_eq!(ledger.live().len(), policy().max_sessions);
    let evicted = NODES * LOGINS + 1 - policy().max_sessions;
    assert_eq!(store.waiting().await, u64::try_from(2 + 2 * NODES * LOGINS + evicted).unwrap());
}

fn seen(ledger: &Ledger, session: SessionId, at: Timestamp) -> SeenActivity {
    SeenActivity { user: ledger.user, session, at }
}

async fn an_idle_ending_yields_to_later_activity(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let (session, waiting) = (ledger.live()[0].id(), store.waiting().await);
    // Noted by another node, which this ledger does not know.
    store.store_activity(vec![seen(&ledger, session, START.plus(Duration::from_millis(1)))]).await.unwrap();
    let deadline = START.plus(policy().idle_timeout);
    assert_eq!(store.run(&mut ledger, deadline, &EndOverdue).await, CommitOutcome::Conflict);
    let stored = store.ledger(ledger.user).await;
    assert_eq!((stored.version, stored.live().len(), store.waiting().await), (0, 1, waiting));
    assert_eq!(stored.live()[0].last_activity, START.plus(Duration::from_millis(1)));
    assert_eq!(stored.last_activity_at, START, "not even that is stored");
    // Known activity is no reason to yield.
    let mut ledger = stored;
    let deadline = deadline.plus(Duration::from_millis(1));
    assert_eq!(store.run(&mut ledger, deadline, &EndOverdue).await, CommitOutcome::Committed(1));
    let ending = store.lookup_ending(ledger.user, session).await.unwrap();
    assert_eq!(ending, Some(EndReason::IdleTimeout));
}

/// Two sessions are overdue and a third is opened; one of the two was active after all.
async fn an_idle_ending_yields_as_a_whole(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let _ = store.run(&mut ledger, START, &login()).await;
    let active = ledger.live()[1].id();
    let waiting = store.waiting().await;
    store.store_activity(vec![seen(&ledger, active, START.plus(MINUTE))]).await.unwrap();
    let before = store.ledger(ledger.user).await;
    let deadline = START.plus(policy().idle_timeout);
    assert_eq!(decide(&login(), &ledger, deadline, &policy()).events.len(), 3);
    assert_eq!(store.run(&mut ledger, deadline, &login()).await, CommitOutcome::Conflict);
    assert_same(&store.ledger(ledger.user).await, &before);
    assert_eq!(store.waiting().await, waiting);
}

/// A row that an ending waits for has changed by the time it is its turn.
async fn an_ending_and_activity_at_once(db: Database) {
    let (store, active) = (TestStore::on(db).await, START.plus(MINUTE));
    for round in 0..500 {
        let mut ledger = store.register().await;
        let _ = store.run(&mut ledger, START, &login()).await;
        let [ended, other] = [0, 1].map(|place: usize| ledger.live()[place].id());
        let is_idle = round % 2 == 0;
        let (command, deadline) = (Logout { session: ended }, START.plus(policy().idle_timeout));
        let events = match is_idle {
            true => decide(&EndOverdue, &ledger, deadline, &policy()).events,
            false => decide(&command, &ledger, START, &policy()).events,
        };
        let batch = vec![seen(&ledger, ended, active), seen(&ledger, other, active)];
        let commit = commit_of(&ledger, deadline, &events);
        // Either may be the first to ask.
        let (stored, outcome) = if round % 4 < 2 {
            tokio::join!(store.store_activity(batch), store.commit(commit, None))
        } else {
            let (outcome, stored) = tokio::join!(store.commit(commit, None), store.store_activity(batch));
            (stored, outcome)
        };
        stored.unwrap();
        let found = store.ledger(ledger.user).await;
        let live: Vec<_> = found.live().iter().map(|session| (session.id(), session.last_activity)).collect();
        match outcome.unwrap() {
            CommitOutcome::Committed(version) => {
                assert_eq!((version, found.version), (2, 2));
                assert_eq!(live, if is_idle { vec![] } else { vec![(other, active)] });
            }
            CommitOutcome::Conflict => {
                assert!(is_idle, "only an idle ending yields");
                assert_eq!((found.version, live.len()), (1, 2));
                assert!(live.iter().all(|(_, at)| *at == active));
            }
        }
    }
}

mod an_ending_that_waits_for_a_row_looks_at_it_again {
    use auth_service::domain::event::LedgerEvent;
    use sea_orm::{ConnectionTrait, TransactionTrait};

    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::on(Database::Postgres).await;
        let by_hand = store.connect().await;
        let deadline = START.plus(policy().idle_timeout);
        let active = START.plus(MINUTE);
        let seen = format!("UPDATE sessions SET last_activity = {} WHERE user_id", active.millis());
        let new_password = "UPDATE users SET password_hash = 'new' WHERE id".to_owned();
        for (is_idle, write) in [(true, &seen), (false, &seen), (false, &new_password)] {
            let ledger = store.register().await;
            let waiting = store.waiting().await;
            let session = ledger.live()[0].id();
            let events = match is_idle {
                true => decide(&EndOverdue, &ledger, deadline, &policy()).events,
                false => decide(&Logout { session }, &ledger, START, &policy()).events,
            };
            assert!(matches!(events[..], [LedgerEvent::Ended(_)]));
            let transaction = by_hand.begin().await.unwrap();
            transaction.execute_unprepared(&format!("{write} = '{}'", ledger.user)).await.unwrap();
            let (other, commit) = (store.clone(), commit_of(&ledger, deadline, &events));
            let ending = tokio::spawn(async move { other.commit(commit, None).await });
            let blocked =
                "SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
            eventually("the ending waits", Duration::from_secs(5), async || {
                let found = transaction.execute_unprepared(blocked).await.unwrap().rows_affected();
                (found > 0).then_some(()).ok_or_else(|| "nobody waits".to_owned())
            })
            .await;
            transaction.commit().await.unwrap();
            let outcome = ending.await.unwrap().unwrap();
            let stored = store.ledger(ledger.user).await;
            if is_idle {
                assert_eq!(outcome, CommitOutcome::Conflict);
                assert_eq!((stored.version, stored.live()[0].last_activity), (0, active));
                assert_eq!(store.waiting().await, waiting);
            } else {
                assert_eq!(outcome, CommitOutcome::Committed(1));
                assert_eq!((stored.version, stored.live().len()), (1, 0));
            }
        }
    }
}

/// About as many as are one statement, and as many as `MAX_SESSIONS_PER_USER` may allow.
async fn many_sessions_end_at_once(db: Database) {
    let store = TestStore::on(db).await;
    for (sessions, is_idle) in
        [31, 32, 33, 1000].into_iter().flat_map(|count| [(count, false), (count, true)])
    {
        let policy = Policy { max_sessions: sessions, ..policy() };
        let deadline = START.plus(policy.idle_timeout);
        let mut ledger = store.register().await;
        let mut opened = ledger.clone();
        let mut events = Vec::new();
        for _ in 1..sessions {
            let open = decide(&login(), &opened, START, &policy).events;
            open.iter().for_each(|event| opened.apply(event));
            events.extend(open);
        }
        for part in events.chunks(200) {
            let outcome = store.commit(commit_of(&ledger, START, part), None).await.unwrap();
            assert!(matches!(outcome, CommitOutcome::Committed(_)));
            ledger.version += 1;
        }
        let mut ledger = store.ledger(ledger.user).await;
        assert_eq!(ledger.live().len(), sessions);
        let waiting = store.waiting().await;
        let outcome = match is_idle {
            true => store.run(&mut ledger, deadline, &EndOverdue).await,
            false => store.run(&mut ledger, START, &EndAll { reason: EndReason::UserDeleted }).await,
        };
        assert!(matches!(outcome, CommitOutcome::Committed(_)), "{outcome:?}");
        assert_eq!(store.ledger(ledger.user).await.live().len(), 0);
        assert!(store.waiting().await >= waiting + sessions as u64);
    }
}

/// Nobody ends a session without moving the version on, unless by hand.
async fn a_session_that_ended_behind_the_version_is_noticed(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let open = login();
    let _ = store.run(&mut ledger, START.plus(MINUTE), &open).await;
    let end = "UPDATE sessions SET ended_at = 1, end_reason = 'logout'";
    store.execute(&format!("{end} WHERE created_at = {}", START.millis())).await;
    let waiting = store.waiting().await;
    let everywhere = EndAll { reason: EndReason::UserDeleted };
    assert_eq!(store.run(&mut ledger, START, &everywhere).await, CommitOutcome::Conflict);
    let stored = store.ledger(ledger.user).await;
    assert_eq!((stored.version, stored.live().len(), stored.live()[0].id()), (1, 1, open.id));
    assert_eq!(store.waiting().await, waiting);
}

async fn what_has_ended_does_not_end_again(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let session = ledger.live()[0].id();
    let events = decide(&Logout { session }, &ledger, START, &policy()).events;
    let _ = store.run(&mut ledger, START, &EndAll { reason: EndReason::UserDeleted }).await;
    let again = store.commit(commit_of(&ledger, START, &events), None).await.unwrap();
    assert_eq!(again, CommitOutcome::Conflict);
    let ending = store.lookup_ending(ledger.user, session).await.unwrap();
    assert_eq!(ending, Some(EndReason::UserDeleted));
    assert_same(&store.ledger(ledger.user).await, &ledger);
}

async fn the_last_activity_never_moves_back(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let later = START.plus(MINUTE * 10);
    let _ = store.run(&mut ledger, later, &login()).await;
    let open = decide(&login(), &ledger, later, &policy()).events;
    let commit = commit_of(&ledger, later, &open);
    let _ = store
        .commit(auth_service::storage::ledger::Commit { last_activity_at: START, ..commit }, None)
        .await
        .unwrap();
    assert_eq!(store.ledger(ledger.user).await.last_activity_at, later);
}

async fn every_ending_is_found_with_its_reason(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let user = ledger.user;
    let by = ledger.live()[0].id();
    let mut ended = Vec::new();
    for reason in EndReason::ALL {
        let open = login();
        let _ = store.run(&mut ledger, START, &open).await;
        assert_eq!(store.lookup_ending(user, open.id).await.unwrap(), None, "it is live");
        let session = ledger.find(open.id).unwrap();
        let ending = auth_service::domain::ledger::ending(session, reason, Some(by), START);
        let events = [LedgerEvent::Ended(ending)];
        let _ = store.commit(commit_of(&ledger, START, &events), None).await.unwrap();
        ledger = store.ledger(user).await;
        assert_eq!(store.lookup_ending(user, open.id).await.unwrap(), Some(reason));
        ended.push((open.id, reason));
    }
    let unknown = SessionId::new(new_uuid());
    assert_eq!(store.lookup_ending(user, unknown).await.unwrap(), None);
    let other = store.register().await.user;
    assert_eq!(store.lookup_ending(other, ended[0].0).await.unwrap(), None, "of another user");

    let ids = ended.iter().map(|(id, _)| *id).chain([by, unknown]).collect();
    let turn = store.load_ledger_in_turn(user).await.unwrap().map(|(_, turn)| turn);
    let (listed, turn) = store.list_endings(user, ids, turn).await.unwrap();
    assert!(turn.is_some(), "the turn is given back");
    drop(turn);
    let mut listed: Vec<_> = listed.iter().map(|ending| (ending.session, ending.reason, ending.by)).collect();
    listed.sort_by_key(|(session, _, _)| *session);
    ended.sort_by_key(|(session, _)| *session);
    assert_eq!(listed, ended.iter().map(|(id, reason)| (*id, *reason, Some(by))).collect::<Vec<_>>());
}

async fn an_unreadable_session_is_an_error(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    store.execute("UPDATE sessions SET refresh_generation = -1").await;
    let error = store.load_ledger(user).await.unwrap_err();
    assert!(
        matches!(error, StorageError::UnknownValue { table: "sessions", column: "refresh_generation" }),
        "{error}"
    );
}

/// Where the database is far away, that is what a change takes: 200 ms here, and 1 s with one for each statement.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_commit_is_one_round_trip() {
    const ONE_WAY: Duration = Duration::from_millis(100);
    let near = TestStore::on(Database::Postgres).await;
    let mut ledger = near.register().await;
    let proxy = Proxy::to(near.address()).await;
    let far = near.open_through(proxy.address()).await;
    let mut committed = async || {
        let events = decide(&login(), &ledger, START, &policy()).events;
        let watch = Stopwatch::start();
        let outcome = far.commit(commit_of(&ledger, START, &events), None).await.unwrap();
        assert!(matches!(outcome, CommitOutcome::Committed(_)));
        events.iter().for_each(|event| ledger.apply(event));
        ledger.version += 1;
        watch.elapsed()
    };
    committed().await;
    proxy.set(Mode::Delay(ONE_WAY));
    // The first of its form on a connection is prepared, which takes one more.
    let took = [committed().await, committed().await, committed().await].into_iter().min().unwrap();
    assert!(took >= ONE_WAY * 2 && took < ONE_WAY * 4, "{took:?}");
}

/// It may be behind: what it has is no reason to accept anybody, and what it lacks none to refuse anybody.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn what_a_standby_tells_is_not_believed() {
    let primary = PostgresServer::start(&[]).await;
    let store = open_at(primary.url()).await;
    store.migrate().await.unwrap();
    let (registration, ledger) = registration("ada@example.com");
    store.add_user(registration).await.unwrap();
    let session = ledger.live()[0].id();
    let standby = primary.standby().await;
    let behind = open_at(standby.url()).await;
    let nobody = UserId::new(new_uuid());

    assert!(store.load_ledger(ledger.user).await.unwrap().is_some());
    assert!(matches!(behind.load_ledger(ledger.user).await, Err(StorageError::Standby)));
    assert!(store.load_ledger(nobody).await.unwrap().is_none());
    assert!(matches!(behind.load_ledger(nobody).await, Err(StorageError::Standby)));
    assert_eq!(store.lookup_ending(ledger.user, session).await.unwrap(), None);
    assert!(matches!(behind.lookup_ending(ledger.user, session).await, Err(StorageError::Standby)));
    let endings = behind.list_endings(ledger.user, vec![session], None).await;
    assert!(matches!(endings, Err(StorageError::Standby)));
}
