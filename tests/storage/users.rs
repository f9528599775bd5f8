//! Accounts: found by address and by id, one for each address, and never guessed at.

use auth_service::security::password::PasswordHash;
use auth_service::storage::StorageError;
use auth_service::storage::accounts::create::RegisterError;

use crate::support::store::{TestStore, registration};
use crate::support::{Database, on_each_database};

on_each_database!(
    an_account_is_found_as_it_was_made,
    an_address_is_taken_once,
    of_many_at_once_one_gets_the_address,
    a_deleted_account_is_not_found,
    an_unknown_role_is_an_error,
    a_hash_is_replaced_only_if_it_is_still_the_old_one,
);

async fn an_account_is_found_as_it_was_made(db: Database) {
    let store = TestStore::on(db).await;
    let (new, _) = registration("ada@example.com");
    let user = new.user.clone();
    store.add_user(new).await.unwrap();
    assert_eq!(store.lookup_user(user.id).await.unwrap(), Some(user.clone()));
    let found = store.lookup_account("ada@example.com".to_owned()).await.unwrap().unwrap();
    assert_eq!((found.user, found.password_hash.expose()), (user, "hash"));
    assert!(store.lookup_account("eve@example.com".to_owned()).await.unwrap().is_none());
    assert_eq!(store.waiting().await, 2, "user.registered, session.created");
}

async fn an_address_is_taken_once(db: Database) {
    let store = TestStore::on(db).await;
    let ((first, _), (second, _)) = (registration("ada@example.com"), registration("ada@example.com"));
    let refused = second.user.id;
    store.add_user(first).await.unwrap();
    let refusal = store.add_user(second).await.unwrap_err();
    assert!(matches!(refusal, RegisterError::EmailTaken), "{refusal}");
    assert_eq!(store.lookup_user(refused).await.unwrap(), None);
    assert_eq!(store.waiting().await, 2, "no event for the second");
}

async fn of_many_at_once_one_gets_the_address(db: Database) {
    const RIVALS: usize = 16;
    let store = TestStore::on(db).await;
    let rivals = (0..RIVALS).map(|_| {
        let (store, (new, ledger)) = (store.clone(), registration("ada@example.com"));
        tokio::spawn(async move { (store.add_user(new).await, ledger) })
    });
    let mut winners = Vec::new();
    for rival in rivals.collect::<Vec<_>>() {
        match rival.await.unwrap() {
            (Ok(()), ledger) => winners.push(ledger),
            (Err(RegisterError::EmailTaken), ledger) => {
                assert_eq!(store.load_ledger(ledger.user).await.unwrap(), None);
            }
            (Err(error), _) => panic!("{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.ledger(winners[0].user).await, winners[0]);
    assert_eq!(store.waiting().await, 2);
}

async fn a_deleted_account_is_not_found(db: Database) {
    let store = TestStore::on(db).await;
    let (new, ledger) = registration("ada@example.com");
    store.add_user(new).await.unwrap();
    store.execute("UPDATE users SET deleted_at = 1").await;
    assert_eq!(store.lookup_user(ledger.user).await.unwrap(), None);
    assert_eq!(store.load_ledger(ledger.user).await.unwrap(), None);
    assert!(store.lookup_account("ada@example.com".to_owned()).await.unwrap().is_none());
}

async fn an_unknown_role_is_an_error(db: Database) {
    let store = TestStore::on(db).await;
    let (new, ledger) = registration("ada@example.com");
    store.add_user(new).await.unwrap();
    store.execute("UPDATE users SET role = 'EMPEROR'").await;
    for error in [
        store.lookup_user(ledger.user).await.unwrap_err(),
        store.load_ledger(ledger.user).await.unwrap_err(),
        store.lookup_account("ada@example.com".to_owned()).await.unwrap_err(),
    ] {
        assert!(matches!(error, StorageError::UnknownValue { table: "users", column: "role" }), "{error}");
    }
}

async fn a_hash_is_replaced_only_if_it_is_still_the_old_one(db: Database) {
    let store = TestStore::on(db).await;
    let (new, ledger) = registration("ada@example.com");
    store.add_user(new).await.unwrap();
    let hash = |text: &str| PasswordHash::from_stored(text.to_owned());
    store.replace_password_hash(ledger.user, hash("another"), hash("wrong")).await.unwrap();
    store.replace_password_hash(ledger.user, hash("hash"), hash("new")).await.unwrap();
    let found = store.lookup_account("ada@example.com".to_owned()).await.unwrap().unwrap();
    assert_eq!(found.password_hash.expose(), "new");
}
