//! SIGKILL at any moment loses nothing that was acknowledged.
//!
//! Several people use the service as fast as they can; it is killed, started again, and each of their
//! sessions must be in the state that its last response reported. Twenty times, on the same data. A request
//! without a response may or may not have been carried out; only then does the test drop a session.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::support::random::Random;
use crate::support::witness::Witness;
use crate::support::{Database, Setup, TestApp, eventually, on_each_database};

on_each_database!(twenty_kills_lose_nothing_acknowledged);

const ROUNDS: usize = 20;
const PEOPLE: usize = 4;
const SEED: u64 = 0x5E55_1015;

async fn kill_after(app: &mut TestApp, answered: &AtomicUsize, count: usize) {
    eventually("requests are answered", Duration::from_secs(60), async || {
        let so_far = answered.load(Ordering::Relaxed);
        if so_far >= count { Ok(()) } else { Err(format!("{so_far} of {count}")) }
    })
    .await;
    app.kill();
}

async fn twenty_kills_lose_nothing_acknowledged(db: Database) {
    let mut app = Setup::on(db)
        .await
        .set("MAX_SESSIONS_PER_USER", 1_000)
        .set("SESSION_TIMEOUT_MINUTES", 60)
        // A rotation whose response was lost must not look like theft if a slow machine takes long to start
        // again.
        .set("REFRESH_REUSE_GRACE_SECONDS", 300)
        .start()
        .await;
    let mut random = Random::seeded(SEED);
    let mut witnesses = Vec::new();
    for number in 0..PEOPLE {
        witnesses.push(Witness::new(app.base(), SEED, number).await);
    }

    for _ in 0..ROUNDS {
        let base = app.base().to_owned();
        let answered = AtomicUsize::new(0);
        let using = join_all(witnesses.iter_mut().map(|witness| witness.use_until_it_dies(&base, &answered)));
        Box::pin(join(using, kill_after(&mut app, &answered, 5 + random.below(60)))).await;

        app.restart().await;
        let base = app.base();
        join_all(witnesses.iter_mut().map(|witness| witness.check(base))).await;
    }
}
