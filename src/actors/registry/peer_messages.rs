//! Messages between nodes in any order, repeated, lost or forged, with readings that overlap them: the
//! snapshot is always what the database contained at some version, no message is lost, and one reading
//! makes everything right.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::actors::user_slot::UserSlot;
use crate::domain::authentication::Methods;
use crate::domain::command::{Command, EndOne, Open, RotateRefresh, decide};
use crate::domain::device::{Device, DeviceInfo};
use crate::domain::event::{LedgerEvent, OpenedBy};
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::ledger::{Ledger, RememberedEnding};
use crate::domain::policy::{AtLimit, Policy};
use crate::domain::reason::EndReason;
use crate::domain::session::Delivery;
use crate::domain::time::Timestamp;
use crate::domain::user::Role;
use crate::telemetry::metrics::Metrics;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Another node opens a session, ends one, or refreshes one; the database has it from then on.
    Open,
    End(usize),
    Rotate(usize),
    /// A message of an earlier commit arrives, for the first time or again.
    Message(usize),
    /// A stranger's message arrives.
    Forged(i64),
    /// The feed reports what the database contains.
    Feed,
    /// The actor begins to read, and publishes what it has read.
    BeginRead,
    Show,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Open),
        3 => any::<usize>().prop_map(Step::End),
        3 => any::<usize>().prop_map(Step::Rotate),
        6 => any::<usize>().prop_map(Step::Message),
        1 => prop_oneof![any::<i64>(), -1..20_i64].prop_map(Step::Forged),
        2 => Just(Step::Feed),
        3 => Just(Step::BeginRead),
        3 => Just(Step::Show),
    ]
}

fn policy() -> Policy {
    let hour = std::time::Duration::from_secs(3_600);
    Policy {
        idle_timeout: hour,
        lifetime: hour * 24,
        max_sessions: 100,
        at_limit: AtLimit::EvictOldest,
        refresh_reuse_grace: hour,
        access_expiry: hour,
        idle_margin: std::time::Duration::ZERO,
        warning: None,
        remember_timeout: None,
        remember_lifetime: None,
    }
}

/// The database, and one node that receives its changes.
struct World {
    /// What the database contained, version after version.
    stored: Vec<Ledger>,
    /// What was committed, each with the resulting ledger.
    commits: Vec<(Ledger, Vec<LedgerEvent>)>,
    slot: UserSlot,
    reading: Option<Ledger>,
    /// The highest check version that this node has heard of.
    told: i64,
}

impl World {
    fn new() -> Self {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let slot = UserSlot::new(room, Metrics::new().unwrap(), NOW);
        let ledger = Ledger::new(UserId::new(Uuid::new_v4()), Role::default(), 0, NOW, Vec::new());
        let mut world =
            Self { stored: vec![ledger], commits: Vec::new(), slot, reading: None, told: i64::MIN };
        for _ in 0..3 {
            world.open();
        }
        world.read();
        world
    }

    fn latest(&self) -> &Ledger {
        self.stored.last().unwrap()
    }

    fn some_session(&self, number: usize) -> Option<SessionId> {
        let live = self.latest().live();
        (!live.is_empty()).then(|| live[number % live.len()].id())
    }

    fn open(&mut self) {
        let device = Device::new(DeviceInfo::from_user_agent(None, None));
        let (id, token) = (SessionId::new(Uuid::new_v4()), SessionToken::new(Uuid::new_v4()));
        self.commit(&Open {
            id,
            token,
            device,
            ip_address: None,
            occasion: OpenedBy::Login,
            methods: Methods::PASSWORD,
            remember: None,
            delivery: Delivery::default(),
            shown: None,
            ends: Vec::new(),
            replaces: Vec::new(),
        });
    }

    fn commit(&mut self, command: &impl Command) {
        let before = self.latest().clone();
        let mut ledger = before.clone();
        let events = decide(command, &ledger, NOW, &policy()).events;
        events.iter().for_each(|event| ledger.apply(event));
        ledger.version += 1;
        ledger.rotations += i64::from(ledger.checks_like(&before));
        self.stored.push(ledger.clone());
        self.commits.push((ledger, events));
    }

    /// As [`super::Registry::tell_nodes`] sends it and another node applies it.
    fn message(&mut self, number: usize) {
        let (ledger, events) = self.commits[number % self.commits.len()].clone();
        if events.iter().all(|event| matches!(event, LedgerEvent::Rotated { .. })) {
            return;
        }
        let ended: Vec<_> = events.iter().filter_map(LedgerEvent::ending).collect();
        let ended: Vec<_> = ended
            .iter()
            .map(|it| RememberedEnding { session: it.session, reason: it.reason, by: it.by })
            .collect();
        if ended.is_empty() {
            self.slot.doubt(ledger.version);
        } else {
            self.slot.apply(ledger.version, ledger.check_version(), &ended);
        }
        self.told = self.told.max(ledger.check_version());
    }

    fn read(&mut self) {
        self.slot.begin_read();
        self.slot.publish(Some(self.latest()));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Open => self.open(),
            Step::End(number) => {
                if let Some(session) = self.some_session(number) {
                    self.commit(&EndOne { session, reason: EndReason::Terminated });
                }
            }
            Step::Rotate(number) => {
                if let Some(session) = self.some_session(number) {
                    let generation = self.latest().find(session).unwrap().refresh.generation;
                    self.commit(&RotateRefresh { session, generation });
                }
            }
            Step::Message(number) => self.message(number),
            Step::Forged(version) => {
                self.slot.doubt(version);
            }
            Step::Feed => {
                let ledger = self.latest();
                let (version, check) = (ledger.version, ledger.check_version());
                self.slot.require(version, check);
                self.told = self.told.max(check);
            }
            Step::BeginRead => {
                self.slot.begin_read();
                self.reading = Some(self.latest().clone());
            }
            Step::Show => {
                if let Some(ledger) = self.reading.take() {
                    self.slot.publish(Some(&ledger));
                }
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Some(shown) = self.slot.fresh_snapshot().and_then(|shown| Option::clone(&*shown)) else {
            return Ok(());
        };
        prop_assert!(shown.check_version >= self.told, "{} shown, {} told", shown.check_version, self.told);
        let same = self.stored.iter().find(|ledger| ledger.check_version() == shown.check_version);
        let ids = |ids: &mut dyn Iterator<Item = SessionId>| ids.collect::<BTreeSet<_>>();
        let shown_ids = ids(&mut shown.live().map(|live| live.id()));
        let stored_ids = ids(&mut same.unwrap().live().iter().map(|session| session.id()));
        prop_assert_eq!(shown_ids, stored_ids, "what is shown never was");
        // A decision made on the snapshot rests on exactly what that version was.
        if !self.slot.is_behind(shown.version) {
            let stored = self.stored.iter().find(|ledger| ledger.version == shown.version).unwrap();
            prop_assert_eq!(shown.check_version, stored.check_version());
            for session in stored.live() {
                prop_assert_eq!(shown.refresh(session.id()), Some(session.refresh));
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn what_is_shown_is_true_and_nothing_told_is_forgotten(
        steps in proptest::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check()?;
        }
        world.read();
        world.check()?;
        let shown = world.slot.fresh_snapshot().and_then(|shown| Option::clone(&*shown));
        prop_assert_eq!(shown.map(|shown| shown.version), Some(world.latest().version), "one reading does");
    }
}
