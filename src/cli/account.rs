//! What the commands about one account share: finding it, its live sessions, and who changes it.

use uuid::Uuid;

use super::CommandError;
use crate::actors::operators::Operators;
use crate::clock::Clock;
use crate::config::{Config, Feature};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::user::{Email, User};
use crate::storage::Store;

/// The account with that address or id.
pub(super) async fn find(store: &Store, who: &str) -> Result<User, CommandError> {
    let found = match Uuid::try_parse(who) {
        Ok(id) => store.lookup_user(UserId::new(id)).await?,
        Err(_) => store.lookup_account(Email::lookup_key(who)).await?.map(|found| found.user),
    };
    found.ok_or_else(|| "no account with this address or id".into())
}

/// Its sessions, without those whose time is up though nobody has ended them yet.
pub(super) async fn live_sessions(
    config: &Config,
    store: &Store,
    user: &User,
) -> Result<Ledger, CommandError> {
    let mut ledger = store.load_ledger(user.id).await?.ok_or("the account was just deleted")?;
    let policies = crate::app::policies(config, store.is_shared());
    let due = ledger.due(Clock::System.now(), &policies.of(ledger.role, ledger.account.policy.as_deref()));
    due.into_iter().for_each(|ending| ledger.apply(&LedgerEvent::Ended(ending)));
    Ok(ledger)
}

/// What does things to accounts, by the same rules as over HTTP.
pub(super) fn operators(config: &Config, store: &Store) -> Operators {
    let policies = crate::app::policies(config, store.is_shared());
    Operators::by_command(store.clone(), policies, &config.service_name, config.has(Feature::Mail))
}
