//! SIGKILL at any moment loses nothing that was acknowledged.
//!
//! Several people use the service as fast as they can; it is killed, started again, and each of their sessions
//! has to be in the state that its last answer told. Twenty times, on the same data. What was asked and not
//! answered may have happened or not; only then is a session forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;

use crate::support::random::Random;
use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(twenty_kills_lose_nothing_acknowledged);

const ROUNDS: usize = 20;
const PEOPLE: usize = 4;
const SEED: u64 = 0x5E55_1015;

/// One person, and what the answers so far told about each session.
struct Witness {
    person: Person,
    random: Random,
    live: Vec<Client>,
    /// With the code that its refusal has to have.
    ended: Vec<(Client, &'static str)>,
}

impl Witness {
    async fn new(app: &TestApp, number: usize) -> Self {
        let person = Person::named(&format!("Person{number}"));
        let mut first = app.client();
        let mut body = person.registration();
        body["refreshTokenDelivery"] = json!("body");
        first.signup_with(&body).await.expect(201);
        Self { person, random: Random::seeded(SEED + number as u64), live: vec![first], ended: Vec::new() }
    }

    /// Goes on until the service does not answer any more, counting the answers.
    async fn use_until_it_dies(&mut self, base: &str, answered: &AtomicUsize) {
        while self.act(base).await.is_ok() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn act(&mut self, base: &str) -> reqwest::Result<()> {
        let count = self.live.len();
        if count < 3 {
            return self.log_in(base).await;
        }
        // The first is kept, because it is the one that terminates others.
        let index = 1 + self.random.below(count - 1);
        match self.random.below(10) {
            0..=2 => self.log_in(base).await,
            3..=5 => self.refresh(index).await,
            6..=7 => self.log_out(index).await,
            _ => self.terminate(index).await,
        }
    }

    async fn log_in(&mut self, base: &str) -> reqwest::Result<()> {
        let mut device = Client::new(base);
        let mut body = self.person.credentials();
        body["refreshTokenDelivery"] = json!("body");
        let request = device.request(reqwest::Method::POST, "/login").json(&body);
        device.try_exchange(request).await?.expect(200);
        self.live.push(device);
        Ok(())
    }

    async fn refresh(&mut self, index: usize) -> reqwest::Result<()> {
        // Without an answer the token of before is still good: as the current one, or as the one just before it.
        let device = &mut self.live[index];
        let request = device.body_refresh(device.refresh.as_ref().unwrap());
        device.try_exchange(request).await?.expect(200);
        Ok(())
    }

    async fn log_out(&mut self, index: usize) -> reqwest::Result<()> {
        let device = self.live.swap_remove(index);
        let request = device.request(reqwest::Method::POST, "/logout");
        device.try_send(request).await?.expect(204);
        self.ended.push((device, "session_logged_out"));
        Ok(())
    }

    async fn terminate(&mut self, index: usize) -> reqwest::Result<()> {
        let device = self.live.swap_remove(index);
        let path = format!("/sessions/{}", device.session_id);
        let by = &self.live[0];
        let request = by.request(reqwest::Method::DELETE, &path);
        by.try_send(request).await?.expect(204);
        self.ended.push((device, "session_terminated"));
        Ok(())
    }

    async fn check(&mut self, base: &str) {
        for device in &mut self.live {
            device.follow(base);
            device.session().await.expect(200);
            device.refresh().await.expect(200);
        }
        for (device, code) in &mut self.ended {
            device.follow(base);
            device.session().await.expect_problem(401, code);
        }
        let list = self.live[0].sessions().await.expect(200).json;
        let total = usize::try_from(list["total"].as_u64().unwrap()).unwrap();
        // More than acknowledged may be there, where a login happened and its answer was lost.
        assert!(total >= self.live.len(), "{total} sessions, {} acknowledged", self.live.len());
    }
}

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
        // A rotation whose answer was lost must not look like theft when a slow machine takes long to start again.
        .set("REFRESH_REUSE_GRACE_SECONDS", 300)
        .start()
        .await;
    let mut random = Random::seeded(SEED);
    let mut witnesses = Vec::new();
    for number in 0..PEOPLE {
        witnesses.push(Witness::new(&app, number).await);
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
