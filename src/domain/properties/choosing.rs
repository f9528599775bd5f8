//! Logins that say which sessions end: chosen ones, and the one that the browser was signed in to.

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::{login, policy};
use crate::domain::command::{Open, OpenRefusal, Replaces, decide};
use crate::domain::event::LedgerEvent;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::ledger::Ledger;
use crate::domain::policy::{AtLimit, OwnPolicy, Policies, Policy};
use crate::domain::reason::EndReason;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A user with that many sessions, numbered from 100.
fn ledger_of(sessions: u128) -> Ledger {
    let mut ledger = Ledger::new(UserId::new(Uuid::from_u128(1)), Role::Starter, 0, NOW, Vec::new());
    for number in 0..sessions {
        let decision = decide(&login(100 + number), &ledger, NOW, &policy(100));
        decision.events.iter().for_each(|event| ledger.apply(event));
    }
    ledger
}

fn id(number: u8) -> SessionId {
    SessionId::new(Uuid::from_u128(100 + u128::from(number)))
}

fn at_limits() -> impl Strategy<Value = AtLimit> {
    prop::sample::select(&AtLimit::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn nobody_ends_who_was_not_chosen(
        open_before in 0..8u128,
        max_sessions in 1..6usize,
        at_limit in at_limits(),
        chosen in prop::collection::vec(0..10u8, 0..6),
        replaced in prop::option::of((0..10u8, 0..3u32)),
    ) {
        let before = ledger_of(open_before);
        let policy = Policy { at_limit, ..policy(max_sessions) };
        let open = Open {
            ends: chosen.iter().copied().map(id).collect(),
            replaces: replaced
                .map(|(number, generation)| Replaces { session: id(number), generation })
                .into_iter()
                .collect(),
            ..login(200)
        };
        let decision = decide(&open, &before, NOW, &policy);
        let endings: Vec<_> = decision.events.iter().filter_map(LedgerEvent::ending).collect();
        let of = |reason| endings.iter().filter(move |it| it.reason == reason).map(|it| it.session).collect::<HashSet<_>>();
        match decision.reply {
            Err(OpenRefusal::LimitReached { asks, .. }) => {
                prop_assert!(decision.events.is_empty(), "refused, and something has ended");
                prop_assert_ne!(at_limit, AtLimit::EvictOldest);
                prop_assert_eq!(asks, at_limit == AtLimit::Ask);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
            Ok(opened) => {
                let mut after = before.clone();
                decision.events.iter().for_each(|event| after.apply(event));
                prop_assert!(after.live().len() <= max_sessions);
                prop_assert!(matches!(decision.events.last(), Some(LedgerEvent::Opened { .. })), "endings come first");
                let live = |id: &SessionId| before.find(*id).is_some();
                let good = replaced.filter(|(number, generation)| *generation == 1 && live(&id(*number)));
                let replaced: HashSet<_> = good.map(|(number, _)| id(number)).into_iter().collect();
                prop_assert_eq!(of(EndReason::Replaced), replaced.clone());
                let wanted: HashSet<_> = open.ends.iter().copied().filter(live).collect();
                prop_assert_eq!(of(EndReason::Terminated), &wanted - &replaced);
                prop_assert_eq!(of(EndReason::Evicted), opened.evicted.iter().copied().collect::<HashSet<_>>());
                prop_assert!(at_limit == AtLimit::EvictOldest || opened.evicted.is_empty());
                let by = endings.iter().filter(|it| it.reason == EndReason::Terminated).all(|it| it.by == Some(open.id));
                prop_assert!(by, "ended by the new session");
            }
        }
    }

    #[test]
    fn a_users_own_policy_goes_before_the_roles(
        most in prop::option::of(1..9u32),
        minutes in prop::option::of(1..90u64),
        at_limit in prop::option::of(at_limits()),
        remember in prop::option::of(any::<bool>()),
    ) {
        let longer = Duration::from_secs(86_400);
        let by_role = |role| Policy { remember_timeout: Some(longer), ..policy(if role == Role::Admin { 1 } else { 3 }) };
        let policies = Policies::by_role(by_role);
        let own = OwnPolicy {
            idle_timeout: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
            lifetime: None,
            max_sessions: most,
            at_limit,
        };
        for role in Role::ALL {
            let (of_role, policy) = (policies.for_role(role), policies.of(role, Some(&own)));
            prop_assert_eq!(policy.max_sessions, most.map_or(of_role.max_sessions, |most| most as usize));
            prop_assert_eq!(policy.at_limit, at_limit.unwrap_or(of_role.at_limit));
            let idle = if remember == Some(true) { longer } else { own.idle_timeout.unwrap_or(of_role.idle_timeout) };
            let times = policy.times(NOW, remember);
            prop_assert_eq!((times.idle_timeout, times.expires_at), (idle, NOW.plus(of_role.lifetime)));
        }
    }
}

#[test]
fn a_login_with_credentials_of_before_opens_nothing() {
    let mut ledger = ledger_of(1);
    ledger.account.credentials_changed_at = Some(NOW);
    for shown in [None, Some(NOW.plus(Duration::from_millis(1)))] {
        let decision = decide(&Open { shown, ..login(200) }, &ledger, NOW, &policy(5));
        assert_eq!((decision.reply, decision.events.len()), (Err(OpenRefusal::Outdated), 0));
    }
    assert!(decide(&Open { shown: Some(NOW), ..login(200) }, &ledger, NOW, &policy(5)).reply.is_ok());
}
