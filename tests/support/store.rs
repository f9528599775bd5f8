//! `TestStore`: the library's store on a database of one test, and the people and changes to fill it with.

use std::fmt::Display;
use std::ops::Deref;
use std::sync::LazyLock;
use std::time::Duration;

use auth_service::clock::new_uuid;
use auth_service::config::{DatabaseConfig, DatabaseLocation, Secret};
use auth_service::domain::account_details::AccountDetails;
use auth_service::domain::address_form::AddressForm;
use auth_service::domain::authentication::Methods;
use auth_service::domain::command::{Command, Open, decide};
use auth_service::domain::device::{Device, DeviceInfo};
use auth_service::domain::event::{LedgerEvent, OpenedBy};
use auth_service::domain::ids::{SessionId, SessionToken, UserId};
use auth_service::domain::ledger::Ledger;
use auth_service::domain::policy::{AtLimit, Policy};
use auth_service::domain::session::Delivery;
use auth_service::domain::time::Timestamp;
use auth_service::domain::user::{Email, Role, User};
use auth_service::events::announcement::Announcer;
use auth_service::events::lane::Lane;
use auth_service::io::Io;
use auth_service::security::password::PasswordHash;
use auth_service::storage::accounts::create::Registration;
use auth_service::storage::ledger::{Commit, CommitOutcome};
use auth_service::storage::outbox::OutboxMessage;
use auth_service::storage::{OpenError, Store, StoreOptions};
use auth_service::telemetry::metrics::Metrics;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::database::{Database, PostgresDatabase, connect, execute};

/// The time at which everything in these tests begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// The time between most events.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const CONNECTIONS: u32 = 8;

/// The runtime for the stores' sockets; it ends with the process, because an async test cannot drop one.
static IO: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

/// Five sessions per user, five minutes idle timeout, a new session replaces the oldest.
pub(crate) fn policy() -> Policy {
    Policy {
        idle_timeout: Duration::from_secs(300),
        lifetime: Duration::from_secs(24 * 3600),
        remember_timeout: None,
        remember_lifetime: None,
        max_sessions: 5,
        at_limit: AtLimit::EvictOldest,
        refresh_reuse_grace: Duration::from_secs(10),
        access_expiry: Duration::from_secs(900),
        idle_margin: Duration::ZERO,
        warning: None,
    }
}

/// The only lane, which is the whole outbox.
pub(crate) fn only_lane() -> Lane {
    Lane::all(1).next().unwrap()
}

/// A store, and where its data is.
pub(crate) struct TestStore {
    store: Store,
    /// For connections that bypass the store.
    url: String,
    location: DatabaseLocation,
    // Dropped last.
    postgres: Option<PostgresDatabase>,
    _folder: TempDir,
}

impl Deref for TestStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestStore {
    /// A store with all migrations applied.
    pub(crate) async fn on(database: Database) -> Self {
        let store = Self::empty(database).await;
        store.migrate().await.unwrap();
        store
    }

    /// A store without tables.
    pub(crate) async fn empty(database: Database) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(PostgresDatabase::create().await),
        };
        let file = folder.path().join("auth.db");
        let (location, url) = match &postgres {
            None => {
                let url = format!("sqlite://{}?mode=rw", file.display());
                (DatabaseLocation::Sqlite { path: file }, url)
            }
            Some(made) => {
                (DatabaseLocation::Postgres { url: Secret::new(made.url.clone()) }, made.url.clone())
            }
        };
        let store = open(location.clone(), CONNECTIONS).await.unwrap();
        Self { store, url, location, postgres, _folder: folder }
    }

    /// The same database, as another process would open it.
    pub(crate) async fn open_again(&self) -> Result<Store, OpenError> {
        open(self.location.clone(), CONNECTIONS).await
    }

    /// The same PostgreSQL, reached at another address.
    pub(crate) async fn open_through(&self, address: impl Display) -> Store {
        let url = self.postgres.as_ref().expect("on PostgreSQL").url_through(address);
        open_at(url).await
    }

    /// The address of that PostgreSQL, a `host:port`.
    pub(crate) fn address(&self) -> &str {
        self.postgres.as_ref().expect("on PostgreSQL").address()
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The single number that a query returns, bypassing the store.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let connection = self.connect().await;
        let statement = Statement::from_string(connection.get_database_backend(), sql);
        let row = connection.query_one_raw(statement).await.unwrap().unwrap();
        connection.close().await.unwrap();
        row.try_get_by_index(0).unwrap()
    }

    /// Executes SQL, bypassing the store.
    pub(crate) async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await.unwrap();
    }

    /// A connection that bypasses the store.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await.unwrap()
    }

    /// Signs up somebody, who then has one session.
    pub(crate) async fn register(&self) -> Ledger {
        let (registration, ledger) = registration(&format!("{}@example.com", new_uuid()));
        self.add_user(registration).await.unwrap();
        ledger
    }

    /// The stored ledger of the user.
    pub(crate) async fn ledger(&self, user: UserId) -> Ledger {
        self.load_ledger(user).await.unwrap().unwrap()
    }

    /// Decides on that ledger and commits; on success the ledger is updated.
    pub(crate) async fn run(
        &self,
        ledger: &mut Ledger,
        now: Timestamp,
        command: &impl Command,
    ) -> CommitOutcome {
        let events = decide(command, ledger, now, &policy()).events;
        let outcome = self.commit(commit_of(ledger, now, &events), None).await.unwrap();
        if let CommitOutcome::Committed(version) = outcome {
            events.iter().for_each(|event| ledger.apply(event));
            ledger.version = version;
            ledger.rotations += i64::from(is_rotation(&events));
        }
        outcome
    }

    /// Takes everything out of the outbox.
    pub(crate) async fn drain(&self) -> Vec<OutboxMessage> {
        let messages = self.oldest_messages(only_lane(), 100_000).await.unwrap();
        self.delete_messages(messages.iter().map(|waiting| waiting.id).collect()).await.unwrap();
        messages
    }

    /// How many messages are waiting.
    pub(crate) async fn waiting(&self) -> u64 {
        self.outbox_backlog().await.unwrap().0
    }
}

/// Opens a store on the PostgreSQL at that URL.
pub(crate) async fn open_at(url: String) -> Store {
    open(DatabaseLocation::Postgres { url: Secret::new(url) }, CONNECTIONS).await.unwrap()
}

/// The same, with only one connection, so that statements are prepared only once.
pub(crate) async fn open_once_at(url: String) -> Store {
    open(DatabaseLocation::Postgres { url: Secret::new(url) }, 1).await.unwrap()
}

async fn open(location: DatabaseLocation, max_connections: u32) -> Result<Store, OpenError> {
    Store::open(StoreOptions {
        keeps_events: true,
        database: DatabaseConfig { location, max_connections, auto_migrate: false },
        io: Io::new(IO.handle().clone()),
        metrics: Metrics::new().unwrap(),
        default_idle_timeout: policy().idle_timeout,
        addresses: AddressForm::Full,
    })
    .await
}

/// A new account at [`START`], and its ledger once it is stored.
pub(crate) fn registration(email: &str) -> (Registration, Ledger) {
    let (id, email) = (UserId::new(new_uuid()), Email::parse(email).unwrap());
    let open = Open { occasion: OpenedBy::Signup { email: email.as_str().into() }, ..login() };
    let mut ledger = Ledger::new(id, Role::default(), 0, START, Vec::new());
    let decision = decide(&open, &ledger, START, &policy());
    decision.events.iter().for_each(|event| ledger.apply(event));
    ledger.account.details = AccountDetails::of("Ada", email.as_str(), "hash", false);
    let registration = Registration {
        user: User::new(id, "Ada".to_owned(), email, Role::default(), START),
        password_hash: PasswordHash::from_stored("hash".to_owned()),
        announcements: announcer(id, START).announce(&decision.events),
        code: None,
        session: decision.reply.unwrap().session,
    };
    (registration, ledger)
}

/// The commit that an actor would make for these events.
pub(crate) fn commit_of(ledger: &Ledger, now: Timestamp, events: &[LedgerEvent]) -> Commit {
    let commit = Commit::of(ledger, events.to_vec(), "auth-service", now);
    Commit { is_rotation: is_rotation(events), last_activity_at: ledger.last_activity_at.max(now), ..commit }
}

fn is_rotation(events: &[LedgerEvent]) -> bool {
    !events.is_empty() && events.iter().all(|event| matches!(event, LedgerEvent::Rotated { .. }))
}

fn announcer(user: UserId, now: Timestamp) -> Announcer<'static> {
    Announcer::new("auth-service", user, now)
}

/// A login on a device about which everything is known.
pub(crate) fn login() -> Open {
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    Open {
        id: SessionId::new(new_uuid()),
        token: SessionToken::new(Uuid::new_v4()),
        device: Device::new(DeviceInfo::from_user_agent(Some(browser), Some("Ada's machine".to_owned()))),
        ip_address: Some("2001:db8::1".parse().unwrap()),
        occasion: OpenedBy::Login,
        methods: Methods::PASSWORD,
        remember: None,
        delivery: Delivery::default(),
        shown: None,
        ends: Vec::new(),
        replaces: Vec::new(),
    }
}

/// Asserts that the stored ledger is this one. Rows have no order, and do not store why sessions ended.
pub(crate) fn assert_same(stored: &Ledger, expected: &Ledger) {
    let sorted = |ledger: &Ledger| {
        let mut live = ledger.live().to_vec();
        live.sort_by_key(|session| session.id());
        (ledger.user, ledger.role, ledger.version, ledger.last_activity_at, live)
    };
    assert_eq!(sorted(stored), sorted(expected));
}
