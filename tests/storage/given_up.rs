//! What a database has in hand when nobody waits for it any more: a frozen one goes on with that when it is thawed. And
//! the connection on which that was: whoever has it next must find it as new.

use std::time::Duration;

use auth_service::domain::command::{RotateRefresh, decide};
use auth_service::domain::ledger::Ledger;
use auth_service::storage::ledger::CommitOutcome;
use auth_service::storage::users::RegisterError;
use auth_service::storage::{StorageError, Store};

use crate::support::postgres::{PostgresServer, url_at};
use crate::support::proxy::Proxy;
use crate::support::store::{START, commit_of, login, open_once_at, policy, registration};
use crate::support::time::eventually;

const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody with one session, in a store with one connection.
async fn scene() -> (PostgresServer, Store, Ledger) {
    let server = PostgresServer::start(&[]).await;
    let store = open_once_at(server.url()).await;
    store.migrate().await.unwrap();
    let (registration, ledger) = registration("ada@example.com");
    store.add_user(registration).await.unwrap();
    (server, store, ledger)
}

/// Whose answer was 503 may have refreshed or signed in again by then: nothing must come in between.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_commit_that_was_given_up_is_not_stored_later() {
    let (server, store, mut ledger) = scene().await;
    let session = ledger.live()[0].id();
    store.change_feed(PATIENCE).unwrap().look().await.unwrap();
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
    let given_up = rotate(2).await;
    assert!(matches!(given_up, Err(StorageError::TimedOut)), "{given_up:?}");
    server.thaw();
    // On the same connection, so the frozen one is done by then.
    assert_eq!(store.load_ledger(ledger.user).await.unwrap().unwrap().version, 1);
}

/// It got no further than to begin. Whoever has its connection next must not be told that something is stored which
/// waits in that transaction for a commit that nobody sends.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_transaction_that_was_given_up_swallows_nothing() {
    let (server, store, ledger) = scene().await;
    server.freeze().await;
    let given_up = store.add_user(registration("eve@example.com").0).await;
    assert!(matches!(given_up, Err(RegisterError::Storage(StorageError::TimedOut))), "{given_up:?}");
    server.thaw();
    let events = decide(&login(), &ledger, START, &policy()).events;
    let outcome = store.commit(commit_of(&ledger, START, &events), None).await.unwrap();
    assert_eq!(outcome, CommitOutcome::Committed(1));
    let stored = server.count("SELECT session_version FROM users WHERE email = 'ada@example.com'").await;
    assert_eq!(stored, 1, "it was acknowledged");
    assert_eq!(server.count("SELECT count(*) FROM users").await, 1, "nobody else signed up");
}

/// A server that lost its power says nothing, and neither does the one that took over its address: nothing is known there of
/// the connection. The pool must not keep a place for it until the system gives it up, a quarter of an hour later.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_connection_that_fell_silent_gives_its_place_back() {
    let (server, _, mut ledger) = scene().await;
    let proxy = Proxy::to(&server.address()).await;
    let store = open_once_at(url_at(&proxy.address().to_string())).await;
    for begins in [true, false] {
        proxy.silence_open();
        // It may have been on its way back to the pool: then this one waits for a connection.
        let _ = match begins {
            true => store.load_ledger_in_turn(ledger.user).await.map(drop),
            false => store.load_ledger(ledger.user).await.map(drop),
        };
        let events = decide(&login(), &ledger, START, &policy()).events;
        let commit = commit_of(&ledger, START, &events);
        let outcome = eventually("there is a new one", PATIENCE, async || {
            store.commit(commit.clone(), None).await.map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(outcome, CommitOutcome::Committed(ledger.version + 1));
        ledger.version += 1;
    }
}
