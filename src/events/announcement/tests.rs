//! The contents of each event, field by field.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::domain::authentication::Methods;
use crate::domain::command::{Command, Logout, Open, TerminateOthers};
use crate::domain::device::{Device, DeviceInfo};
use crate::domain::ids::SessionToken;
use crate::domain::ledger::Ledger;
use crate::domain::policy::{AtLimit, Policy};
use crate::domain::session::Delivery;
use crate::domain::user::Role;

const USER: UserId = UserId::new(Uuid::from_u128(1));

fn policy(max_sessions: usize) -> Policy {
    Policy {
        idle_timeout: Duration::from_secs(300),
        lifetime: Duration::from_secs(3600),
        remember_timeout: None,
        remember_lifetime: None,
        max_sessions,
        at_limit: AtLimit::EvictOldest,
        refresh_reuse_grace: Duration::from_secs(10),
        access_expiry: Duration::from_secs(900),
        warning: None,
        idle_margin: Duration::ZERO,
    }
}

fn names(events: &[LedgerEvent]) -> Vec<&'static str> {
    let announcer = Announcer::new("auth-service", USER, Timestamp::default());
    announcer.announce(events).iter().map(|made| made.channel.event_name()).collect()
}

fn open(ledger: &mut Ledger, id: u128, occasion: OpenedBy, max: usize) -> Vec<LedgerEvent> {
    let command = Open {
        id: SessionId::new(Uuid::from_u128(id)),
        token: SessionToken::new(Uuid::from_u128(id)),
        device: Device::new(DeviceInfo::from_user_agent(None, None)),
        ip_address: None,
        occasion,
        methods: Methods::PASSWORD,
        remember: None,
        delivery: Delivery::default(),
        shown: None,
        ends: Vec::new(),
        replaces: Vec::new(),
    };
    run(ledger, &command, max)
}

fn run(ledger: &mut Ledger, command: &impl Command, max: usize) -> Vec<LedgerEvent> {
    let events = command.decide(ledger, Timestamp::from_millis(1), &policy(max)).events;
    events.iter().for_each(|event| ledger.apply(event));
    events
}

#[test]
fn each_act_is_told_in_the_promised_order() {
    let mut ledger = Ledger::new(USER, Role::Starter, 0, Timestamp::default(), Vec::new());
    let signup = open(&mut ledger, 10, OpenedBy::Signup { email: Arc::from("a@b.c") }, 1);
    assert_eq!(names(&signup), ["user.registered", "session.created"]);
    let evicting = open(&mut ledger, 11, OpenedBy::Login, 1);
    assert_eq!(names(&evicting), ["session.deleted", "user.login", "session.created"]);
    open(&mut ledger, 12, OpenedBy::Login, 3);
    let keep = SessionId::new(Uuid::from_u128(12));
    let others = run(&mut ledger, &TerminateOthers { keep }, 3);
    assert_eq!(names(&others), ["session.terminated", "sessions.bulk_terminated"]);
    let logout = run(&mut ledger, &Logout { session: keep }, 3);
    assert_eq!(names(&logout), ["user.logout", "session.deleted"]);
}
