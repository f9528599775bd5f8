//! Support for tests of actors: a node on a real SQLite file, its people, and ways to harm it ([`harm`],
//! [`race`]).

pub(super) mod harm;
pub(super) mod race;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Arbiter};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::broadcast;
use uuid::Uuid;

use super::messages::Retire;
use super::registry::{Dependencies, Registry};
use super::session_status::{ActiveSession, SessionStatus};
use super::user_session::UserSession;
use super::user_slot::UserSlot;
use super::waker::Waker;
use crate::bus::Bus;
use crate::clock::{Clock, new_uuid};
use crate::config::{DatabaseConfig, DatabaseLocation};
use crate::domain::address_form::AddressForm;
use crate::domain::authentication::Methods;
use crate::domain::command::{Open, decide};
use crate::domain::device::{Device, DeviceInfo};
use crate::domain::event::OpenedBy;
use crate::domain::ids::{SessionId, SessionToken, UserId};
use crate::domain::ledger::Ledger;
use crate::domain::policy::{AtLimit, Policies, Policy};
use crate::domain::session::{Delivery, Session};
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, Role, User};
use crate::events::{Message, announcement::Announcer};
use crate::io::Io;
use crate::security::password::PasswordHash;
use crate::security::peer_key::PeerKey;
use crate::storage::accounts::create::Registration;
use crate::storage::changes::Change;
use crate::storage::{Store, StoreOptions};
use crate::telemetry::metrics::Metrics;

/// A bound that is reached only if something hangs.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(1);
/// Where manual clocks begin.
pub(super) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The runtime for sockets and files of all tests. It ends with the process, because an async test
/// cannot end a runtime.
static IO: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Polls until the condition holds.
pub(super) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < TIMEOUT, "{what}: not within {TIMEOUT:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the feed reports of a change that checks depend on.
pub(super) fn changed(user: UserId, version: i64) -> Change {
    Change { user, version, check_version: version }
}

/// Keeps this thread busy, so that other threads get ahead by that much; a race is tried with many such
/// delays.
pub(super) fn delay(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// What a node is created with.
pub(super) struct Setup {
    pub(super) clock: Clock,
    pub(super) policy: Policy,
    pub(super) max_residents: usize,
    /// Arbiters for actors besides the test's own; with none, actors live on the test's.
    pub(super) arbiters: usize,
    /// How long an actor stays without work.
    pub(super) rest_after: Duration,
}

impl Default for Setup {
    /// A clock that stands still, sessions with an idle timeout of five minutes, room for everybody, and
    /// actors that do not rest.
    fn default() -> Self {
        Self {
            clock: Clock::manual(START),
            policy: Policy {
                idle_timeout: Duration::from_secs(300),
                lifetime: Duration::from_secs(30 * 24 * 3600),
                remember_timeout: None,
                remember_lifetime: None,
                max_sessions: 5,
                at_limit: AtLimit::EvictOldest,
                refresh_reuse_grace: Duration::from_secs(10),
                access_expiry: Duration::from_secs(900),
                idle_margin: Duration::ZERO,
                warning: None,
            },
            max_residents: 10_000,
            arbiters: 0,
            rest_after: Duration::from_secs(3600),
        }
    }
}

impl Setup {
    /// The machine's clock, and sessions that end after that long without activity.
    pub(super) fn idle_after(idle_timeout: Duration) -> Self {
        let setup = Self { clock: Clock::System, ..Self::default() };
        Self { policy: Policy { idle_timeout, ..setup.policy }, ..setup }
    }

    pub(super) async fn start(self) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::Sqlite { path: folder.path().join("auth.db") };
        let metrics = Metrics::new().unwrap();
        let options = StoreOptions {
            keeps_events: true,
            database: DatabaseConfig { location, max_connections: 4, auto_migrate: true },
            io: io(),
            metrics: metrics.clone(),
            default_idle_timeout: self.policy.idle_timeout,
            addresses: AddressForm::Full,
        };
        let store = Store::open(options).await.unwrap();
        store.migrate().await.unwrap();
        let registry = Registry::new(self.dependencies(store, metrics), self.max_residents);
        Waker::new(registry.clone()).start();
        let mut arbiters = Vec::new();
        for _ in 0..self.arbiters {
            arbiters.push(adopted(&registry));
        }
        Node { registry, arbiters, folder }
    }

    fn dependencies(&self, store: Store, metrics: Metrics) -> Dependencies {
        Dependencies {
            store,
            clock: self.clock.clone(),
            policies: Policies::same_for_all(self.policy.clone()),
            peer_key: Arc::new(PeerKey::of("a secret of the tests")),
            bus: Bus::in_process(),
            outbox_lanes: 1,
            service_name: "auth-service".into(),
            mails: false,
            activity_event_interval: Duration::from_secs(10),
            rest_after: self.rest_after,
            max_staleness: None,
            metrics,
        }
    }
}

fn io() -> Io {
    Io::new(IO.handle().clone())
}

fn adopted(registry: &Registry) -> Arbiter {
    let arbiter = Arbiter::new();
    registry.add_arbiter(arbiter.handle());
    arbiter
}

/// A user with the session that signing up opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) user: UserId,
    pub(super) session: SessionId,
    pub(super) token: SessionToken,
}

/// A registry on a database of its own.
pub(super) struct Node {
    pub(super) registry: Registry,
    pub(super) arbiters: Vec<Arbiter>,
    folder: TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}

impl Node {
    pub(super) fn metrics(&self) -> &Metrics {
        self.registry.metrics()
    }

    pub(super) fn store(&self) -> &Store {
        self.registry.store()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.registry.clock().advance(by);
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Message> {
        match &self.registry.dependencies().bus {
            Bus::InProcess(bus) => bus.subscribe(),
            Bus::Redis(_) => panic!("the kit has no Redis"),
        }
    }

    /// Signs somebody up, in the database only: no actor is started.
    pub(super) async fn register(&self) -> Person {
        let (now, id) = (self.registry.clock().now(), UserId::new(new_uuid()));
        let email = Email::parse(&format!("{id}@example.com")).unwrap();
        let open = Open { occasion: OpenedBy::Signup { email: email.as_str().into() }, ..login() };
        let ledger = Ledger::new(id, Role::default(), 0, now, Vec::new());
        let decision = decide(&open, &ledger, now, &self.registry.policy(Role::default()));
        let session = decision.reply.unwrap().session;
        let announcer = Announcer::new("auth-service", id, now);
        let registration = Registration {
            user: User::new(id, "Ada".to_owned(), email, Role::default(), now),
            password_hash: PasswordHash::from_stored("none".to_owned()),
            announcements: announcer.announce(&decision.events),
            code: None,
            session: session.clone(),
        };
        self.store().add_user(registration).await.unwrap();
        Person { user: id, session: session.id(), token: session.token }
    }

    pub(super) async fn register_many(&self, count: usize) -> Vec<Person> {
        let mut people = Vec::with_capacity(count);
        for _ in 0..count {
            people.push(self.register().await);
        }
        people
    }

    /// Logs the user in on one more device.
    pub(super) async fn open(&self, user: UserId) -> Session {
        self.registry.ask(user, login()).await.unwrap().unwrap().session
    }

    pub(super) async fn status(&self, person: Person) -> SessionStatus {
        self.registry.status(person.user, person.session, Some(person.token)).await.unwrap()
    }

    /// The person's session, which must be live.
    pub(super) async fn present(&self, person: Person) -> ActiveSession {
        match self.status(person).await {
            SessionStatus::Active(present) => present,
            other => panic!("the session is not live: {other:?}"),
        }
    }

    /// The user's slot, which must exist.
    pub(super) fn slot(&self, user: UserId) -> Arc<UserSlot> {
        self.registry.get(user).unwrap()
    }

    pub(super) fn address(&self, user: UserId) -> Addr<UserSession> {
        self.registry.address(user).unwrap()
    }

    /// Asks the user's actor to stop, if there is one.
    pub(super) fn retire(&self, user: UserId) {
        if let Some(address) = self.registry.address(user) {
            address.do_send(Retire);
        }
    }

    pub(super) fn restarts(&self, actor: &str) -> u64 {
        self.metrics().actor_restarts.with_label_values(&[actor]).get()
    }

    pub(super) fn ended(&self, reason: &str) -> u64 {
        self.metrics().sessions_ended.with_label_values(&[reason]).get()
    }

    /// The session's last activity according to the database.
    pub(super) async fn stored_activity(&self, person: Person) -> Timestamp {
        let ledger = self.store().load_ledger(person.user).await.unwrap().unwrap();
        ledger.find(person.session).unwrap().last_activity
    }
}

/// A login on some device.
pub(super) fn login() -> Open {
    Open {
        id: SessionId::new(new_uuid()),
        token: SessionToken::new(Uuid::new_v4()),
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
