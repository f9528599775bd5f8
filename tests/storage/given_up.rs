//! What a frozen database has in hand when nobody waits for it any more: it goes on with that when it is thawed.

use std::time::Duration;

use auth_service::domain::command::{RotateRefresh, decide};
use auth_service::domain::ledger::Ledger;
use auth_service::storage::ledger::CommitOutcome;
use auth_service::storage::users::RegisterError;
use auth_service::storage::{StorageError, Store};

use crate::support::postgres::PostgresServer;
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
    // That of before is at least 6 s old.
    let done = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auth-service' AND state = 'idle' \
                AND query LIKE 'WITH \"moved\"%' AND query_start > now() - interval '5 s'";
    eventually("the frozen one is done", PATIENCE, async || {
        let count = server.count(done).await;
        if count == 1 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
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
