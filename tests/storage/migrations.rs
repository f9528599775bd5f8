//! The schema goes up, down and up again, and a database is opened by nobody it does not belong to.

use auth_service::storage::OpenError;
use migration::{Migrator, MigratorTrait};

use crate::support::store::{TestStore, registration};
use crate::support::{Database, on_each_database};

on_each_database!(
    up_down_and_up_again,
    each_step_has_its_way_back,
    addresses_are_brought_to_one_form,
    a_closed_store_answers_with_errors,
);

async fn up_down_and_up_again(db: Database) {
    let store = TestStore::empty(db).await;
    let all = store.pending_migrations().await.unwrap();
    assert!(all > 0);
    assert_eq!(store.migrate().await.unwrap(), all);
    assert_eq!((store.pending_migrations().await.unwrap(), store.migrate().await.unwrap()), (0, 0));
    let user = store.register().await.user;
    store.migrate_down(u32::try_from(all).unwrap()).await.unwrap();
    assert_eq!(store.pending_migrations().await.unwrap(), all);
    store.load_ledger(user).await.unwrap_err();
    assert_eq!(store.migrate().await.unwrap(), all);
    assert_eq!(store.load_ledger(user).await.unwrap(), None, "nothing of the first time is left");
    store.register().await;
}

async fn each_step_has_its_way_back(db: Database) {
    let store = TestStore::empty(db).await;
    let all = store.migrate().await.unwrap();
    for steps in 1..=all {
        store.migrate_down(u32::try_from(steps).unwrap()).await.unwrap();
        assert_eq!(store.pending_migrations().await.unwrap(), steps);
        assert_eq!(store.migrate().await.unwrap(), steps);
        store.register().await;
    }
}

/// What collides or has no such form is left, and the migration goes on.
async fn addresses_are_brought_to_one_form(db: Database) {
    let store = TestStore::empty(db).await;
    store.migrate().await.unwrap();
    let names = Migrator::migrations().iter().map(|it| it.name().to_owned()).collect::<Vec<_>>();
    let at = names.iter().position(|name| name.ends_with("bring_emails_to_one_form")).unwrap();
    for (number, old) in [
        "ada@bücher.example",
        "bob@xn--bcher-kva.example",
        "bob@bücher.example",
        "eve@exam\u{200b}ple.com",
        "dan@пример.рф",
    ]
    .into_iter()
    .enumerate()
    {
        let plain = format!("{number}@example.com");
        store.add_user(registration(&plain).0).await.unwrap();
        store.execute(&format!("UPDATE users SET email = '{old}' WHERE email = '{plain}'")).await;
    }
    store.migrate_down(u32::try_from(names.len() - at).unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    for email in [
        "ada@xn--bcher-kva.example",
        "bob@xn--bcher-kva.example",
        "bob@bücher.example",
        "eve@exam\u{200b}ple.com",
        "dan@xn--e1afmkfd.xn--p1ai",
    ] {
        let count = store.count(&format!("SELECT count(*) FROM users WHERE email = '{email}'")).await;
        assert_eq!(count, 1, "{email}");
    }
}

async fn a_closed_store_answers_with_errors(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    store.ping().await.unwrap();
    store.close().await;
    store.ping().await.unwrap_err();
    store.load_ledger(user).await.unwrap_err();
    store.outbox_backlog().await.unwrap_err();
}

#[tokio::test]
async fn a_sqlite_file_belongs_to_one_store_at_a_time() {
    let store = TestStore::on(Database::Sqlite).await;
    assert!(!store.is_shared());
    let refusal = store.open_again().await.unwrap_err();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
}

mod many_nodes_may_migrate_at_once {
    use super::*;

    #[tokio::test]
    #[ignore = "needs PostgreSQL: run ./scripts/test"]
    async fn postgres() {
        let store = TestStore::empty(Database::Postgres).await;
        assert!(store.is_shared());
        let all = store.pending_migrations().await.unwrap();
        let mut nodes = Vec::new();
        for _ in 0..5 {
            nodes.push(store.open_again().await.unwrap());
        }
        let migrating = nodes.into_iter().map(|node| tokio::spawn(async move { node.migrate().await }));
        let mut applied = 0;
        for node in migrating.collect::<Vec<_>>() {
            applied += node.await.unwrap().unwrap();
        }
        assert_eq!(applied, all, "each once");
        store.register().await;
    }
}
