//! Commits at once and far away: one wins, in one round trip.

use std::time::Duration;

use auth_service::domain::command::{Logout, Open, decide};
use auth_service::domain::ledger::Ledger;
use auth_service::storage::ledger::CommitOutcome;

use crate::support::proxy::{Mode, Proxy};
use crate::support::store::{START, TestStore, assert_same, commit_of, login, policy};
use crate::support::time::Stopwatch;
use crate::support::{Database, on_each_database};

on_each_database!(
    of_many_commits_on_one_version_one_wins,
    the_limit_holds_whatever_races,
    of_commits_that_wait_together_each_is_whole_or_absent,
);

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

/// SQLite stores them in one transaction: one that fails, or finds another state than expected, takes none
/// of the others with it, and leaves nothing of itself.
async fn of_commits_that_wait_together_each_is_whole_or_absent(db: Database) {
    const PEOPLE: usize = 60;
    const ROUNDS: usize = 5;
    let store = TestStore::on(db).await;
    let mut fine = Vec::new();
    let mut absent = Vec::new();
    for number in 0..PEOPLE {
        let mut ledger = store.register().await;
        let _ = store.run(&mut ledger, START, &login()).await;
        if number % 3 == 1 {
            let _ = store.run(&mut ledger, START, &login()).await;
        }
        if number % 3 == 2 { fine.push(ledger) } else { absent.push(ledger) }
    }
    // Of every second one of those the sessions are over, though their version does not say so.
    store
        .execute(
            "UPDATE sessions SET ended_at = 1, end_reason = 'logout' \
             WHERE user_id IN (SELECT id FROM users WHERE session_version = 2)",
        )
        .await;
    let before: Vec<_> = stored(&store, &absent).await;
    for round in 0..ROUNDS {
        let commits = fine.iter().chain(&absent).map(|ledger| {
            let [first, second] = [0, 1].map(|place: usize| ledger.live()[place].id());
            let logout = decide(&Logout { session: first }, ledger, START, &policy()).events;
            let open = match ledger.version {
                // Its id is taken.
                1 if !fine.iter().any(|one| one.user == ledger.user) => Open { id: second, ..login() },
                _ => login(),
            };
            let open = decide(&open, ledger, START, &policy()).events;
            let events: Vec<_> = logout.into_iter().chain(open).collect();
            let (store, commit) = (store.clone(), commit_of(ledger, START, &events));
            tokio::spawn(async move { (store.commit(commit, None).await, events) })
        });
        let commits: Vec<_> = commits.collect();
        let (of_fine, of_absent) = (fine.len(), absent.len());
        let results = futures_util::future::join_all(commits).await;
        for (ledger, result) in fine.iter_mut().zip(&results[..of_fine]) {
            let (outcome, events) = result.as_ref().unwrap();
            assert_eq!(
                outcome.as_ref().unwrap(),
                &CommitOutcome::Committed(ledger.version + 1),
                "round {round}"
            );
            events.iter().for_each(|event| ledger.apply(event));
            ledger.version += 1;
        }
        assert_eq!(results.len(), of_fine + of_absent);
        for (outcome, _) in results.iter().skip(of_fine).map(|result| result.as_ref().unwrap()) {
            assert!(!matches!(outcome, Ok(CommitOutcome::Committed(_))), "{outcome:?}");
        }
    }
    for ledger in &fine {
        assert_same(&store.ledger(ledger.user).await, ledger);
    }
    for (before, now) in before.iter().zip(stored(&store, &absent).await) {
        assert_same(&now, before);
    }
}

async fn stored(store: &TestStore, ledgers: &[Ledger]) -> Vec<Ledger> {
    let mut stored = Vec::new();
    for ledger in ledgers {
        stored.push(store.ledger(ledger.user).await);
    }
    stored
}

/// Where the database is far away, that is what a change takes: 200 ms here, and 1 s with one for each
/// statement.
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
    let mut took = committed().await;
    for _ in 0..7 {
        took = took.min(committed().await);
    }
    assert!(took >= ONE_WAY * 2 && took < ONE_WAY * 4, "{took:?}");
}
