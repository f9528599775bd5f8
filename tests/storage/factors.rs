//! Second factors: what is used once is used once, and every change of them is a change of credentials.

use auth_service::clock::new_uuid;
use auth_service::domain::ids::UserId;
use auth_service::storage::factors::{FactorChange, FactorOutcome, Keep};
use auth_service::storage::passkeys::{AddedPasskey, Passkey, PasskeyUse};
use auth_service::storage::totp::{MAX_FAILURES, TotpTry};
use futures_util::future::join_all;

use crate::support::store::{MINUTE, START, TestStore};
use crate::support::{Database, on_each_database};

on_each_database!(
    a_change_of_factors_is_a_change_of_credentials,
    of_many_at_once_one_uses_a_step,
    of_many_at_once_one_uses_a_recovery_code,
    tries_are_counted_before_they_are_looked_at,
    the_last_method_stays,
    a_counter_never_goes_back,
    a_change_stands_on_the_credentials_that_were_shown,
);

fn change(user: UserId, keep: Keep) -> FactorChange {
    FactorChange { user, now: START, shown: None, keep, announcements: Vec::new(), mails: Vec::new() }
}

async fn set_up(store: &TestStore, user: UserId) {
    let (pending, sealed) = (b"pending".to_vec(), b"sealed".to_vec());
    store.put_pending_totp(user, pending.clone(), START).await.unwrap();
    let hashes = vec![vec![1; 32], vec![2; 32]];
    let change = change(user, Keep::Nothing);
    let outcome = store.confirm_totp(change, pending, sealed, 7, hashes).await.unwrap();
    assert!(matches!(outcome, FactorOutcome::Changed(_)), "{outcome:?}");
}

fn passkey(id: u8) -> Passkey {
    Passkey {
        id: new_uuid(),
        credential_id: vec![id; 16],
        name: "Phone".to_owned(),
        public_key: vec![9],
        counter: 5,
        backup_eligible: false,
        backed_up: false,
        transports: vec!["internal".to_owned()],
        added_at: START,
        last_used_at: None,
    }
}

async fn a_change_of_factors_is_a_change_of_credentials(db: Database) {
    let store = TestStore::on(db).await;
    let before = store.register().await;
    let user = before.user;
    set_up(&store, user).await;
    let added = store.add_passkey(change(user, Keep::Nothing), passkey(1)).await.unwrap();
    let AddedPasskey::Added(changed) = added else { panic!("{added:?}") };
    let after = store.ledger(user).await;
    assert_eq!((after.version, after.version), (changed.version, before.version + 2));
    assert_eq!(after.account.factors, 2);
    assert_eq!(after.account.credentials_changed_at, changed.credentials_changed_at);
    let changed_at = after.account.credentials_changed_at.unwrap();
    assert!(changed_at > START, "each change is later than the one before, whatever the clock says");

    let again = store.add_passkey(change(user, Keep::Nothing), passkey(1)).await.unwrap();
    assert_eq!((again, store.ledger(user).await.version), (AddedPasskey::Present, changed.version));
    let pending = store.pending_totp(user, START.minus(MINUTE)).await.unwrap();
    assert_eq!(pending, None, "what was confirmed is not confirmed again");

    assert!(matches!(
        store.delete_factors(change(user, Keep::Nothing)).await.unwrap(),
        FactorOutcome::Changed(_)
    ));
    let factors = store.list_factors(user).await.unwrap();
    assert_eq!((factors.totp, factors.recovery_codes, factors.passkeys.len()), (None, 0, 0));
    assert_eq!(store.ledger(user).await.account.factors, 0);
    let nothing = store.delete_factors(change(user, Keep::Nothing)).await.unwrap();
    assert_eq!(nothing, FactorOutcome::Unchanged);
}

async fn of_many_at_once_one_uses_a_step(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    set_up(&store, user).await;
    for step in 8..28 {
        let tries = (0..8).map(|_| store.use_totp_step(user, START, step, START));
        let used = join_all(tries).await.into_iter().filter(|used| *used.as_ref().unwrap()).count();
        assert_eq!(used, 1, "step {step}");
    }
    for (added_at, step) in [(START, 27), (START, 3), (START.plus(MINUTE), 99)] {
        assert!(!store.use_totp_step(user, added_at, step, START).await.unwrap());
    }
}

async fn of_many_at_once_one_uses_a_recovery_code(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    set_up(&store, user).await;
    let hashes = vec![vec![7; 32], vec![1; 32]];
    let tries = join_all((0..8).map(|_| store.use_recovery_code(user, hashes.clone()))).await;
    assert_eq!(tries.into_iter().filter(|used| *used.as_ref().unwrap()).count(), 1);
    assert_eq!(store.list_factors(user).await.unwrap().recovery_codes, 1);
}

async fn tries_are_counted_before_they_are_looked_at(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    assert_eq!(store.try_totp(user).await.unwrap(), TotpTry::Absent);
    set_up(&store, user).await;
    let tries = join_all((0..MAX_FAILURES + 20).map(|_| store.try_totp(user))).await;
    let counted = tries.into_iter().filter(|it| matches!(it, Ok(TotpTry::Counted { .. }))).count();
    assert_eq!(counted, usize::try_from(MAX_FAILURES).unwrap());
    assert!(store.list_factors(user).await.unwrap().totp.unwrap().blocked);
    assert!(store.use_recovery_code(user, vec![vec![1; 32]]).await.unwrap());
    let counted = TotpTry::Counted { sealed: b"sealed".to_vec(), added_at: START };
    assert_eq!(store.try_totp(user).await.unwrap(), counted);
}

async fn the_last_method_stays(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    set_up(&store, user).await;
    let kept = store.delete_totp(change(user, Keep::SecondFactor)).await.unwrap();
    assert_eq!(kept, FactorOutcome::LastMethod);
    let factors = store.list_factors(user).await.unwrap();
    assert!(factors.totp.is_some() && factors.recovery_codes == 2, "nothing was stored: {factors:?}");

    let key = passkey(1);
    store.add_passkey(change(user, Keep::Nothing), key.clone()).await.unwrap();
    assert!(matches!(
        store.delete_totp(change(user, Keep::SecondFactor)).await.unwrap(),
        FactorOutcome::Changed(_)
    ));
    store.execute("UPDATE users SET password_hash = ''").await;
    let kept = store.delete_passkey(change(user, Keep::WayToSignIn), key.id).await.unwrap();
    assert_eq!(kept, FactorOutcome::LastMethod);
    assert!(!store.list_factors(user).await.unwrap().password);
}

async fn a_counter_never_goes_back(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    let key = passkey(1);
    store.add_passkey(change(user, Keep::Nothing), key.clone()).await.unwrap();
    let signed = async |counter_before, counter| {
        let used = PasskeyUse { counter_before, counter, backed_up: false, now: START };
        store.use_passkey(user, key.credential_id.clone(), used, Vec::new()).await.unwrap()
    };
    let stored = async || {
        let found = store.lookup_passkey(user, key.credential_id.clone()).await.unwrap().unwrap();
        (found.counter, found.last_used_at)
    };
    assert_eq!(stored().await, (5, None));
    assert!(signed(5, 9).await);
    assert!(!signed(5, 12).await, "it moved since it was looked at");
    assert!(signed(9, 4).await);
    assert_eq!(stored().await, (9, Some(START)));
}

/// Two requests that were proved with the same credentials: a change between them makes the second void.
async fn a_change_stands_on_the_credentials_that_were_shown(db: Database) {
    let store = TestStore::on(db).await;
    let user = store.register().await.user;
    let shown = async || store.lookup_user(user).await.unwrap().unwrap().credentials_changed_at;
    let before = shown().await;
    let proved = |at| FactorChange { shown: Some(at), ..change(user, Keep::Nothing) };
    let AddedPasskey::Added(changed) = store.add_passkey(proved(before), passkey(1)).await.unwrap() else {
        panic!("the first was not added");
    };
    assert_eq!(shown().await, changed.credentials_changed_at);
    assert_eq!(store.add_passkey(proved(before), passkey(2)).await.unwrap(), AddedPasskey::Outdated);
    assert_eq!(store.delete_factors(proved(before)).await.unwrap(), FactorOutcome::Outdated);
    let second = store.add_passkey(proved(changed.credentials_changed_at), passkey(2)).await.unwrap();
    assert!(matches!(second, AddedPasskey::Added(_)), "{second:?}");
    assert_eq!(store.list_factors(user).await.unwrap().passkeys.len(), 2);
}
