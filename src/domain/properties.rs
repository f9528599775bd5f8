//! The promises of the rules, for any sequence of commands and any passing of time.

mod choosing;
mod refresh;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::authentication::Methods;
use super::command::{
    Command, EndAll, EndOne, EndOverdue, Logout, Open, OpenRefusal, RefreshRefusal, RotateRefresh, Terminate,
    TerminateOthers, decide,
};
use super::device::{Device, DeviceInfo};
use super::event::{LedgerEvent, OpenedBy};
use super::ids::{SessionId, SessionToken, UserId};
use super::ledger::Ledger;
use super::policy::{AtLimit, Policy};
use super::reason::EndReason;
use super::session::Delivery;
use super::time::Timestamp;
use super::user::Role;

/// One thing that may happen. Sessions are identified by the order in which they were opened.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Open,
    Activity(usize),
    Logout(usize),
    Terminate(usize, usize),
    TerminateOthers(usize),
    Rotate(usize, u32),
    EndOverdue,
    EndOne(usize),
    EndAll,
    Disable,
    Enable,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = 0..12usize;
    let step = prop_oneof![
        3 => (0..40_000u64).prop_map(Step::Wait),
        4 => Just(Step::Open),
        4 => session.clone().prop_map(Step::Activity),
        1 => session.clone().prop_map(Step::Logout),
        1 => (session.clone(), session.clone()).prop_map(|(a, b)| Step::Terminate(a, b)),
        1 => session.clone().prop_map(Step::TerminateOthers),
        3 => (session.clone(), 0..4u32).prop_map(|(a, b)| Step::Rotate(a, b)),
        2 => Just(Step::EndOverdue),
        1 => session.prop_map(Step::EndOne),
        1 => Just(Step::EndAll),
        1 => Just(Step::Disable),
        2 => Just(Step::Enable),
    ];
    prop::collection::vec(step, 1..80)
}

fn policies() -> impl Strategy<Value = Policy> {
    (1..6usize, any::<bool>(), 1_000..60_000u64, 0..3_000u64).prop_map(
        |(max_sessions, reject, idle, margin)| Policy {
            idle_timeout: Duration::from_millis(idle),
            at_limit: if reject { AtLimit::Reject } else { AtLimit::EvictOldest },
            idle_margin: Duration::from_millis(margin),
            ..policy(max_sessions)
        },
    )
}

/// A lifetime of two minutes; access tokens are valid for one minute.
fn policy(max_sessions: usize) -> Policy {
    Policy {
        idle_timeout: Duration::from_secs(30),
        lifetime: Duration::from_secs(120),
        remember_timeout: None,
        remember_lifetime: None,
        max_sessions,
        at_limit: AtLimit::EvictOldest,
        refresh_reuse_grace: Duration::from_secs(10),
        access_expiry: Duration::from_secs(60),
        warning: None,
        idle_margin: Duration::ZERO,
    }
}

/// A login that would open the session with that number.
fn login(number: u128) -> Open {
    let id = SessionId::new(Uuid::from_u128(number));
    Open {
        id,
        token: SessionToken::new(id.uuid()),
        device: Device::new(DeviceInfo::from_user_agent(None, None)),
        ip_address: None,
        occasion: OpenedBy::Login,
        methods: Methods::PASSWORD,
        remember: None,
        delivery: Delivery::default(),
        shown: None,
        ends: Vec::new(),
        replaces: Vec::new(),
    }
}

/// A user's sessions, and an observer who checks every promise after every step.
struct Observer {
    policy: Policy,
    now: Timestamp,
    ledger: Ledger,
    opened: Vec<SessionId>,
    ended: HashMap<SessionId, EndReason>,
    deadlines: HashMap<SessionId, Timestamp>,
    generations: HashMap<SessionId, u32>,
}

impl Observer {
    fn new(policy: Policy) -> Self {
        let user = UserId::new(Uuid::from_u128(1));
        Self {
            policy,
            now: Timestamp::from_millis(1_000_000),
            ledger: Ledger::new(user, Role::Starter, 0, Timestamp::default(), Vec::new()),
            opened: Vec::new(),
            ended: HashMap::new(),
            deadlines: HashMap::new(),
            generations: HashMap::new(),
        }
    }

    fn session(&self, index: usize) -> SessionId {
        let unknown = SessionId::new(Uuid::from_u128(u128::MAX));
        self.opened.get(index % self.opened.len().max(1)).copied().unwrap_or(unknown)
    }

    fn run<C: Command>(&mut self, command: &C) -> C::Reply {
        let decision = decide(command, &self.ledger, self.now, &self.policy);
        for event in &decision.events {
            self.ledger.apply(event);
            if let LedgerEvent::Ended(ending) = event {
                let before = self.ended.insert(ending.session, ending.reason);
                assert_eq!(before, None, "a session ended twice");
            }
        }
        decision.reply
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wait(millis) => self.now = self.now.plus(Duration::from_millis(millis)),
            Step::Open => self.open(),
            Step::Activity(index) => self.activity(self.session(index)),
            Step::Logout(index) => {
                let _ = self.run(&Logout { session: self.session(index) });
            }
            Step::Terminate(target, by) => {
                let _ = self.run(&Terminate { target: self.session(target), by: self.session(by) });
            }
            Step::TerminateOthers(index) => {
                let _ = self.run(&TerminateOthers { keep: self.session(index) });
            }
            Step::Rotate(index, behind) => self.rotate(self.session(index), behind),
            Step::EndOverdue => self.run(&EndOverdue),
            Step::EndOne(index) => {
                let _ =
                    self.run(&EndOne { session: self.session(index), reason: EndReason::RefreshTokenReused });
            }
            Step::EndAll => {
                let _ = self.run(&EndAll { reason: EndReason::UserDeleted });
            }
            Step::Disable => {
                let _ = self.run(&EndAll { reason: EndReason::Terminated });
                self.ledger.account.disabled = true;
            }
            Step::Enable => self.ledger.account.disabled = false,
        }
        self.check();
    }

    fn open(&mut self) {
        let open = login(self.opened.len() as u128 + 100);
        let id = open.id;
        let live_before = self.ledger.live().len();
        match self.run(&open) {
            Ok(opened) => {
                assert!(!self.ledger.account.disabled, "a disabled account has a new session");
                assert_eq!(opened.session.id(), id);
                assert!(opened.evicted.iter().all(|id| self.ended[id] == EndReason::Evicted));
                self.opened.push(id);
            }
            Err(OpenRefusal::Disabled) => assert!(self.ledger.account.disabled),
            Err(OpenRefusal::Outdated) => panic!("nobody has changed the credentials"),
            Err(OpenRefusal::LimitReached { max_sessions, .. }) => {
                assert_eq!(self.policy.at_limit, AtLimit::Reject);
                assert!(live_before >= max_sessions);
            }
        }
    }

    /// Like the actor: only a session that is live and not overdue may be active.
    fn activity(&mut self, id: SessionId) {
        let before = self.ledger.find(id).map(|session| session.idle_expires_at());
        if before.is_some_and(|deadline| self.now < deadline) {
            self.ledger.record_activity(id, self.now);
        }
    }

    fn rotate(&mut self, session: SessionId, behind: u32) {
        let current = self.ledger.find(session).map_or(1, |session| session.refresh.generation);
        let generation = current.saturating_sub(behind);
        match self.run(&RotateRefresh { session, generation }) {
            Ok(refreshed) if behind == 0 => assert_eq!(refreshed.session.refresh.generation, current + 1),
            Ok(refreshed) => assert_eq!((refreshed.session.refresh.generation, behind), (current, 1)),
            Err(RefreshRefusal::Over(_)) => assert!(self.ledger.find(session).is_none()),
            Err(RefreshRefusal::Reused) => assert_eq!(self.ended[&session], EndReason::RefreshTokenReused),
            Err(RefreshRefusal::Unknown) => assert_eq!(generation, 0, "generations begin with 1"),
        }
    }

    fn check(&mut self) {
        assert!(self.ledger.live().len() <= self.policy.max_sessions, "more live sessions than the limit");
        assert!(
            !self.ledger.account.disabled || self.ledger.live().is_empty(),
            "a disabled account has a live session"
        );
        let live: HashSet<_> = self.ledger.live().iter().map(|session| session.id()).collect();
        assert_eq!(live.len(), self.ledger.live().len(), "a session is there twice");
        for id in &self.opened {
            assert_ne!(live.contains(id), self.ended.contains_key(id), "live, or ended for one reason");
        }
        for session in self.ledger.live() {
            let deadline = session.idle_expires_at();
            assert!(deadline <= session.times.expires_at, "idle later than the absolute end");
            let before = self.deadlines.insert(session.id(), deadline);
            assert!(before.is_none_or(|before| before <= deadline), "the idle deadline moved backwards");
            let generation = session.refresh.generation;
            let before = self.generations.insert(session.id(), generation);
            assert!(before.is_none_or(|before| before <= generation), "the refresh generation shrank");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn promises_hold_whatever_happens(policy in policies(), steps in steps()) {
        let mut observer = Observer::new(policy);
        for step in &steps {
            observer.step(step);
        }
    }

    #[test]
    fn nothing_overdue_survives_a_command(policy in policies(), steps in steps()) {
        let mut observer = Observer::new(policy);
        for step in &steps {
            observer.step(step);
            observer.run(&EndOverdue);
            prop_assert!(observer.ledger.due(observer.now, &observer.policy).is_empty());
        }
    }

    #[test]
    fn eviction_takes_the_least_recently_active(
        policy in policies().prop_filter("evicting", |policy| policy.at_limit == AtLimit::EvictOldest),
        steps in steps(),
    ) {
        let mut observer = Observer::new(policy);
        for step in &steps {
            observer.run(&EndOverdue);
            let before = observer.ledger.clone();
            observer.step(step);
            for session in before.live() {
                if observer.ended.get(&session.id()) == Some(&EndReason::Evicted) {
                    let spared = before.live().iter().filter(|other| observer.ledger.find(other.id()).is_some());
                    prop_assert!(spared.into_iter().all(|other| other.last_activity >= session.last_activity));
                }
            }
        }
    }
}
