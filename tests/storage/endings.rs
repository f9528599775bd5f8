//! Sessions that end: only those that are as they were thought to be, together, and found again with their
//! reason.

use std::time::Duration;

use auth_service::clock::new_uuid;
use auth_service::domain::command::{EndAll, EndOverdue, Logout, decide};
use auth_service::domain::event::LedgerEvent;
use auth_service::domain::ids::SessionId;
use auth_service::domain::ledger::Ledger;
use auth_service::domain::policy::Policy;
use auth_service::domain::reason::EndReason;
use auth_service::domain::time::Timestamp;
use auth_service::storage::activity::SeenActivity;
use auth_service::storage::ledger::CommitOutcome;

use crate::support::store::{MINUTE, START, TestStore, assert_same, commit_of, login, policy};
use crate::support::time::eventually;
use crate::support::{Database, on_each_database};

on_each_database!(
    an_idle_ending_yields_to_later_activity,
    an_idle_ending_yields_as_a_whole,
    an_ending_and_activity_at_once,
    what_has_ended_does_not_end_again,
    a_session_that_ended_behind_the_version_is_noticed,
    many_sessions_end_at_once,
    every_ending_is_found_with_its_reason,
);

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
            tokio::join!(store.store_activity(batch.clone()), store.commit(commit, None))
        } else {
            let (outcome, stored) =
                tokio::join!(store.commit(commit, None), store.store_activity(batch.clone()));
            (stored, outcome)
        };
        // A row that the commit had locked is written by the next batch, as the writer does.
        let mut unwritten = stored.unwrap();
        while unwritten.iter().any(|activity| !activity.is_over) {
            unwritten = store.store_activity(batch.clone()).await.unwrap();
        }
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
    let lock = store.load_ledger_locked(user).await.unwrap().map(|(_, lock)| lock);
    let (listed, lock) = store.list_endings(user, ids, lock).await.unwrap();
    assert!(lock.is_some(), "the lock is given back");
    drop(lock);
    let mut listed: Vec<_> = listed.iter().map(|ending| (ending.session, ending.reason, ending.by)).collect();
    listed.sort_by_key(|(session, _, _)| *session);
    ended.sort_by_key(|(session, _)| *session);
    assert_eq!(listed, ended.iter().map(|(id, reason)| (*id, *reason, Some(by))).collect::<Vec<_>>());
}
