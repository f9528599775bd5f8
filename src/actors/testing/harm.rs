//! Ways to harm a node: panics in its actors, and a database that is locked, changed or unavailable.

use actix::{Context, Handler};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};

use super::{Node, eventually, io};
use crate::actors::activity_flusher::ActivityFlusher;
use crate::actors::messages::Panic;
use crate::actors::publisher::Publisher;
use crate::domain::command::{Command, Decision};
use crate::domain::ids::UserId;
use crate::domain::ledger::Ledger;
use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;

impl Node {
    /// Makes the user's actor panic, and waits until it is gone.
    pub(in crate::actors) async fn kill(&self, user: UserId) {
        let address = self.address(user);
        address.do_send(Panic);
        eventually("the actor is gone", async || !address.connected()).await;
    }

    /// Another connection to the database, for what the store would never do.
    pub(in crate::actors) async fn intruder(&self) -> Intruder {
        let file = self.folder.path().join("auth.db");
        let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rw", file.display()));
        options.max_connections(1).sqlx_logging(false);
        Intruder(io().run(sea_orm::Database::connect(options)).await.unwrap().unwrap())
    }

    /// From now on the database answers with errors.
    pub(in crate::actors) async fn lose_database(&self) {
        self.intruder().await.execute("ALTER TABLE users RENAME TO users_away").await;
    }

    pub(in crate::actors) async fn find_database(&self) {
        self.intruder().await.execute("ALTER TABLE users_away RENAME TO users").await;
    }
}

/// A connection that bypasses the store.
pub(in crate::actors) struct Intruder(DatabaseConnection);

impl Intruder {
    pub(in crate::actors) async fn execute(&self, sql: &'static str) {
        let db = self.0.clone();
        io().run(async move { db.execute_unprepared(sql).await }).await.unwrap().unwrap();
    }

    /// Nobody else can write until [`Intruder::unlock`].
    pub(in crate::actors) async fn lock_writes(&self) {
        self.execute("BEGIN IMMEDIATE").await;
    }

    pub(in crate::actors) async fn unlock(&self) {
        self.execute("ROLLBACK").await;
    }
}

/// A command that panics while it is being decided, in the middle of the actor's work.
#[derive(Clone, Copy, Debug)]
pub(in crate::actors) struct Explode;

impl Command for Explode {
    type Reply = ();
    const REPEATABLE: bool = false;

    fn decide(&self, _: &Ledger, _: Timestamp, _: &Policy) -> Decision<()> {
        panic!("injected");
    }
}

impl Handler<Panic> for ActivityFlusher {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("injected");
    }
}

impl Handler<Panic> for Publisher {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut Context<Self>) {
        panic!("injected");
    }
}
