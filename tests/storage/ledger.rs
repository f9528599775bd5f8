//! Loading and committing: what is stored is what was decided, all of it or nothing.

use auth_service::clock::new_uuid;
use auth_service::domain::command::{
    EndAll, Logout, Open, RotateRefresh, Terminate, TerminateOthers, decide,
};
use auth_service::domain::ids::UserId;
use auth_service::domain::ledger::Ledger;
use auth_service::domain::reason::EndReason;
use auth_service::storage::StorageError;
use auth_service::storage::ledger::{Commit, CommitOutcome};

use crate::support::postgres::PostgresServer;
use crate::support::store::{
    MINUTE, START, TestStore, assert_same, commit_of, login, open_at, policy, registration,
};
use crate::support::{Database, on_each_database};

on_each_database!(
    nobody_has_no_ledger,
    what_is_committed_is_loaded,
    a_commit_on_an_old_version_stores_nothing,
    a_commit_that_fails_stores_nothing,
    the_last_activity_never_moves_back,
    an_unreadable_session_is_an_error,
);

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

async fn the_last_activity_never_moves_back(db: Database) {
    let store = TestStore::on(db).await;
    let mut ledger = store.register().await;
    let later = START.plus(MINUTE * 10);
    let _ = store.run(&mut ledger, later, &login()).await;
    let open = decide(&login(), &ledger, later, &policy()).events;
    let commit = commit_of(&ledger, later, &open);
    let _ = store.commit(Commit { last_activity_at: START, ..commit }, None).await.unwrap();
    assert_eq!(store.ledger(ledger.user).await.last_activity_at, later);
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
