//! Accounts from elsewhere: each is there once, by id and by address, however often it comes.

use auth_service::actors::operators::{OperatorError, Operators};
use auth_service::clock::new_uuid;
use auth_service::domain::ids::{SessionId, UserId};
use auth_service::domain::policy::Policies;
use auth_service::domain::time::Timestamp;
use auth_service::domain::user::{Email, Role, User};
use auth_service::security::password::PasswordHash;
use auth_service::storage::accounts::Account;
use auth_service::storage::accounts::import::{ImportOptions, ImportOutcome};

use crate::support::store::{START, TestStore, policy, registration};
use crate::support::{Database, on_each_database};

on_each_database!(
    each_is_added_once,
    who_has_the_address_keeps_it,
    what_is_newer_is_taken_over,
    a_new_address_is_as_verified_as_it_comes_and_others_hear_of_it,
    an_account_goes_only_with_a_live_session_of_its_person,
    recovery_codes_are_stored_only_for_the_credentials_they_were_asked_with,
    a_dry_run_stores_nothing,
    a_deleted_account_stays_deleted,
    two_imports_at_once_add_each_once,
);

const KEEP: ImportOptions = ImportOptions { update: false, dry_run: false };
const UPDATE: ImportOptions = ImportOptions { update: true, dry_run: false };

fn account(email: &str) -> Account {
    let (new, _) = registration(email);
    Account { user: new.user, password_hash: new.password_hash }
}

async fn add(store: &TestStore, accounts: &[Account], adding: ImportOptions) -> Vec<ImportOutcome> {
    store.add_accounts(accounts.to_vec(), adding).await.unwrap()
}

fn operators(store: &TestStore) -> Operators {
    Operators::by_command((*store).clone(), Policies::same_for_all(policy()), "auth-service", false)
}

async fn each_is_added_once(db: Database) {
    let store = TestStore::on(db).await;
    let (ada, eve) = (account("ada@example.com"), account("eve@example.com"));
    let same = [ada.clone(), eve.clone(), ada.clone()];
    assert_eq!(
        add(&store, &same, KEEP).await,
        [ImportOutcome::Added, ImportOutcome::Added, ImportOutcome::Present]
    );
    assert_eq!(add(&store, &same, KEEP).await, [ImportOutcome::Present; 3]);
    assert_eq!(store.lookup_user(ada.user.id).await.unwrap(), Some(ada.user));
    assert_eq!(store.waiting().await, 0, "no event for a person who is moved");
}

async fn who_has_the_address_keeps_it(db: Database) {
    let store = TestStore::on(db).await;
    let ledger = store.register().await;
    let here = store.lookup_user(ledger.user).await.unwrap().unwrap();
    let (late, new, rival) =
        (account(here.email.as_str()), account("ada@example.com"), account("ada@example.com"));
    let outcomes = add(&store, &[late.clone(), new.clone(), rival], KEEP).await;
    assert_eq!(
        outcomes,
        [ImportOutcome::PresentAs(here.id), ImportOutcome::Added, ImportOutcome::PresentAs(new.user.id)],
        "of two in one batch the first has the address"
    );
    assert_eq!(store.lookup_user(late.user.id).await.unwrap(), None);
}

async fn what_is_newer_is_taken_over(db: Database) {
    let store = TestStore::on(db).await;
    let (old, other) = (account("ada@example.com"), account("eve@example.com"));
    add(&store, &[old.clone(), other.clone()], KEEP).await;
    let mut new = old.clone();
    new.user.updated_at = Timestamp::from_millis(START.millis() + 1);
    new.user.role = Role::Admin;
    new.user.name = "Ada Lovelace".to_owned();
    new.user.email = Email::parse("lovelace@example.com").unwrap();
    new.password_hash = PasswordHash::from_stored("another".to_owned());
    assert_eq!(add(&store, &[new.clone()], KEEP).await, [ImportOutcome::Present]);
    assert_eq!(
        add(&store, &[new.clone()], ImportOptions { dry_run: true, ..UPDATE }).await,
        [ImportOutcome::Newer]
    );
    assert_eq!(add(&store, &[new.clone()], UPDATE).await, [ImportOutcome::Newer]);
    assert_eq!(store.lookup_user(old.user.id).await.unwrap(), Some(old.user.clone()));

    let operators = operators(&store);
    assert!(operators.take_over(&new, true).await.unwrap());
    assert!(!operators.take_over(&new, true).await.unwrap(), "it is not newer any more");
    let found = store.lookup_account("lovelace@example.com".to_owned()).await.unwrap().unwrap();
    assert!(found.user.credentials_changed_at.is_some());
    new.user.credentials_changed_at = found.user.credentials_changed_at;
    assert_eq!((&found.user, found.password_hash.expose()), (&new.user, "another"));
    assert_eq!(store.ledger(old.user.id).await.version, 1, "the nodes hear of it");
    assert_eq!(add(&store, &[new.clone(), old.clone()], UPDATE).await, [ImportOutcome::Present; 2]);

    new.user.updated_at = Timestamp::from_millis(START.millis() + 2);
    new.user.email = other.user.email.clone();
    assert_eq!(add(&store, &[new], UPDATE).await, [ImportOutcome::AddressTaken(other.user.id)]);
    assert_eq!(store.lookup_user(old.user.id).await.unwrap(), Some(found.user));
}

async fn a_new_address_is_as_verified_as_it_comes_and_others_hear_of_it(db: Database) {
    let store = TestStore::on(db).await;
    let mut there = account("ada@example.com");
    add(&store, &[there.clone()], KEEP).await;
    store.execute("UPDATE users SET email_verified_at = 1").await;
    there.user.updated_at = Timestamp::from_millis(START.millis() + 1);
    there.user.email = Email::parse("lovelace@example.com").unwrap();
    assert!(operators(&store).take_over(&there, false).await.unwrap());
    assert_eq!(store.waiting().await, 1, "others hear of the new address");
    let found = store.lookup_user(there.user.id).await.unwrap().unwrap();
    assert_eq!(found.email.as_str(), "lovelace@example.com");
    assert_eq!(found.email_verified_at, None, "nobody has shown that this address is theirs");
    assert_eq!(found.credentials_changed_at, None);
}

async fn an_account_goes_only_with_a_live_session_of_its_person(db: Database) {
    let store = TestStore::on(db).await;
    let ada = account("ada@example.com");
    add(&store, std::slice::from_ref(&ada), KEEP).await;
    // A reset has ended the session while its request was on the way.
    let ended = SessionId::new(new_uuid());
    let refused = operators(&store).delete_own(ada.user.id, ended, None).await;
    assert!(matches!(refused, Err(OperatorError::NoSuchSession(_))), "{refused:?}");
    assert_eq!(store.lookup_user(ada.user.id).await.unwrap(), Some(ada.user));
}

async fn recovery_codes_are_stored_only_for_the_credentials_they_were_asked_with(db: Database) {
    let store = TestStore::on(db).await;
    let ada = account("ada@example.com").user;
    add(&store, &[Account { user: ada.clone(), password_hash: PasswordHash::none() }], KEEP).await;
    let give = async |user: &User| {
        store.replace_recovery_codes(user, vec![vec![1; 32]], Vec::new(), START).await.unwrap()
    };
    let is_there = async || store.use_recovery_code(ada.id, vec![vec![1; 32]]).await.unwrap();
    assert!(!give(&ada).await, "there is no factor that they could stand in for");
    store.execute("UPDATE users SET factors = 1").await;
    assert!(give(&ada).await && is_there().await);
    store.execute("UPDATE users SET credentials_changed_at = 2").await;
    assert!(!give(&ada).await && !is_there().await, "a reset came first");
    assert!(give(&User { credentials_changed_at: Some(Timestamp::from_millis(2)), ..ada.clone() }).await);
}

async fn a_dry_run_stores_nothing(db: Database) {
    let store = TestStore::on(db).await;
    let ada = account("ada@example.com");
    let dry_run = ImportOptions { dry_run: true, ..KEEP };
    assert_eq!(
        add(&store, &[ada.clone(), ada.clone()], dry_run).await,
        [ImportOutcome::Added, ImportOutcome::Present]
    );
    assert_eq!(store.lookup_user(ada.user.id).await.unwrap(), None);
}

async fn a_deleted_account_stays_deleted(db: Database) {
    let store = TestStore::on(db).await;
    let mut ada = account("ada@example.com");
    add(&store, &[ada.clone()], KEEP).await;
    store.execute("UPDATE users SET deleted_at = 1, email = 'deleted:1'").await;
    ada.user.updated_at = Timestamp::from_millis(START.millis() + 1);
    assert_eq!(add(&store, &[ada.clone()], UPDATE).await, [ImportOutcome::Present]);
    assert_eq!(store.lookup_user(ada.user.id).await.unwrap(), None);
}

async fn two_imports_at_once_add_each_once(db: Database) {
    const USERS: usize = 200;
    let store = TestStore::on(db).await;
    // The same people; the second import has them under ids of its own.
    let first: Vec<_> = (0..USERS).map(|index| account(&format!("{index}@example.com"))).collect();
    let own_id = |account: &Account| {
        let mut account = account.clone();
        account.user.id = UserId::new(new_uuid());
        account
    };
    let second: Vec<_> = first.iter().map(own_id).collect();
    let import = |accounts: Vec<Account>| {
        let store = store.clone();
        tokio::spawn(async move { store.add_accounts(accounts, KEEP).await.unwrap() })
    };
    let (first, second) = (import(first), import(second));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    for outcomes in first.iter().zip(&second) {
        assert!(
            matches!(
                outcomes,
                (ImportOutcome::Added, ImportOutcome::PresentAs(_))
                    | (ImportOutcome::PresentAs(_), ImportOutcome::Added)
            ),
            "{outcomes:?}"
        );
    }
}
