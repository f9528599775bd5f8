//! What a database has in hand when nobody waits for it any more: a frozen one goes on with that when it is
//! thawed. And the connection on which that was: its next user must find it as new.

use std::time::Duration;

use auth_service::domain::command::{Logout, RotateRefresh, decide};
use auth_service::domain::ledger::Ledger;
use auth_service::storage::accounts::create::RegisterError;
use auth_service::storage::ledger::{Commit, CommitOutcome};
use auth_service::storage::{StorageError, Store};
use futures_util::future::join;
use sea_orm::{ConnectionTrait, TransactionTrait};

use crate::support::postgres::{PostgresServer, url_at};
use crate::support::proxy::Proxy;
use crate::support::store::{START, commit_of, login, open_once_at, policy, registration};
use crate::support::time::{Stopwatch, eventually};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Somebody with one session, in a store with one connection.
async fn scene() -> (PostgresServer, Store, Ledger) {
    let server = PostgresServer::start(&[]).await;
    let (store, ledger) = on(&server).await;
    (server, store, ledger)
}

async fn on(server: &PostgresServer) -> (Store, Ledger) {
    let store = open_once_at(server.url()).await;
    store.migrate().await.unwrap();
    let (registration, ledger) = registration("ada@example.com");
    store.add_user(registration).await.unwrap();
    (store, ledger)
}

/// Whose answer was 503 may have refreshed or signed in again by then: nothing must come in between.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_commit_that_was_given_up_is_not_stored_later() {
    let (server, store, mut ledger) = scene().await;
    let session = ledger.live()[0].id();
    store.change_feed(TIMEOUT).unwrap().poll().await.unwrap();
    let mut rotate = async |generation| {
        let events = decide(&RotateRefresh { session, generation }, &ledger, START, &policy()).events;
        let outcome = store.commit(commit_of(&ledger, START, &events), None).await;
        events.iter().for_each(|event| ledger.apply(event));
        ledger.version += 1;
        outcome
    };
    // Prepared now: the second only has to be executed, which takes no answer of a frozen database.
    assert_eq!(rotate(1).await.unwrap(), CommitOutcome::Committed(1));
    server.freeze().await;
    let cancelled_work = rotate(2).await;
    assert!(matches!(cancelled_work, Err(StorageError::TimedOut)), "{cancelled_work:?}");
    server.thaw();
    // On the same connection, so the frozen one is done by then.
    assert_eq!(store.load_ledger(ledger.user).await.unwrap().unwrap().version, 1);
}

/// It got no further than to begin. The next user of its connection must not hear that something is stored
/// which waits in that transaction for a commit that nobody sends.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_transaction_that_was_given_up_swallows_nothing() {
    let (server, store, ledger) = scene().await;
    server.freeze().await;
    let cancelled_work = store.add_user(registration("eve@example.com").0).await;
    assert!(
        matches!(cancelled_work, Err(RegisterError::Storage(StorageError::TimedOut))),
        "{cancelled_work:?}"
    );
    server.thaw();
    let events = decide(&login(), &ledger, START, &policy()).events;
    let outcome = store.commit(commit_of(&ledger, START, &events), None).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(1));
    let stored = server.count("SELECT session_version FROM users WHERE email = 'ada@example.com'").await;
    assert_eq!(stored, 1, "it was acknowledged");
    assert_eq!(server.count("SELECT count(*) FROM users").await, 1, "nobody else signed up");
}

/// A server that lost its power says nothing, and neither does the one that took over its address: nothing is
/// known there of the connection. The pool must not keep a place for it until the system gives it up, a
/// quarter of an hour later.
async fn its_place_is_given_back(server: PostgresServer) {
    let (store, mut ledger) = on(&server).await;
    store.close().await;
    let proxy = Proxy::to(&server.address()).await;
    let store = open_once_at(url_at(&proxy.address().to_string())).await;
    for what in ["reading", "a lock that is taken", "a lock that is dropped"] {
        // Between our own question to a connection that returns and sqlx's, silence would not be noticed.
        eventually("the connection is back", TIMEOUT, async || match store.connections() {
            (_, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        let lock = match what {
            "a lock that is dropped" => store.load_ledger_locked(ledger.user).await.unwrap(),
            _ => None,
        };
        proxy.silence_open();
        drop(lock);
        // A lock's connection may be on its way back to the pool: then this one waits for another.
        let _ = match what {
            "a lock that is taken" => store.load_ledger_locked(ledger.user).await.map(drop),
            _ => store.load_ledger(ledger.user).await.map(drop),
        };
        let events = decide(&login(), &ledger, START, &policy()).events;
        let commit = commit_of(&ledger, START, &events);
        let outcome = eventually(what, TIMEOUT, async || {
            store.commit(commit.clone(), None).await.map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(outcome, CommitOutcome::Committed(ledger.version + 1), "{what}");
        ledger.version += 1;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_connection_that_fell_silent_gives_its_place_back() {
    its_place_is_given_back(PostgresServer::start(&[]).await).await;
}

/// There a connection ends with a word that is waited for.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_connection_that_fell_silent_under_tls_gives_its_place_back() {
    let server = PostgresServer::start_with_tls().await;
    its_place_is_given_back(server).await;
}

/// Somebody holds the row, and lets go of it without a change when it is too late.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_commit_that_waited_for_too_long_is_not_stored() {
    const WAITED_FOR: Duration = Duration::from_millis(500);
    let (server, store, ledger) = scene().await;
    store.change_feed(TIMEOUT).unwrap().poll().await.unwrap();
    let session = ledger.live()[0].id();
    let rotate = decide(&RotateRefresh { session, generation: 1 }, &ledger, START, &policy()).events;
    let logout = decide(&Logout { session }, &ledger, START, &policy()).events;
    for events in [rotate, logout] {
        let transaction = server.connect().await.unwrap().begin().await.unwrap();
        transaction.execute_unprepared("SELECT FROM users FOR UPDATE").await.unwrap();
        let commit = Commit { wanted_for: WAITED_FOR, ..commit_of(&ledger, START, &events) };
        let watch = Stopwatch::start();
        let (outcome, ()) = join(store.commit(commit, None), async {
            let blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            eventually("it waits", TIMEOUT, async || {
                let late = watch.elapsed() > WAITED_FOR + Duration::from_millis(100);
                if server.count(blocked).await > 0 && late { Ok(()) } else { Err("not yet".to_owned()) }
            })
            .await;
            transaction.rollback().await.unwrap();
        })
        .await;
        assert_eq!(outcome.unwrap(), CommitOutcome::Conflict);
        assert_eq!(store.load_ledger(ledger.user).await.unwrap().unwrap(), ledger);
    }
}
