//! `Witness`: one person who uses the service as fast as possible, and knows what was acknowledged when it
//! dies.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use super::client::{Client, Person};
use super::random::Random;

/// One person, and what the responses so far said about each session.
pub(crate) struct Witness {
    person: Person,
    random: Random,
    live: Vec<Client>,
    /// Ended sessions, with the error code with which each must be refused.
    ended: Vec<(Client, &'static str)>,
}

impl Witness {
    pub(crate) async fn new(base: &str, seed: u64, number: usize) -> Self {
        let person = Person::named(&format!("Person{number}"));
        let mut first = Client::new(base);
        let mut body = person.registration();
        body["refreshTokenDelivery"] = json!("body");
        first.signup_with(&body).await.expect(201);
        Self { person, random: Random::seeded(seed + number as u64), live: vec![first], ended: Vec::new() }
    }

    /// Continues until the service no longer responds, counting the responses.
    pub(crate) async fn use_until_it_dies(&mut self, base: &str, answered: &AtomicUsize) {
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
        // Without a response the previous token is still valid: as the current one, or as the one just
        // before it.
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

    /// Asserts that each session is as its last response said.
    pub(crate) async fn check(&mut self, base: &str) {
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
        // There may be more than acknowledged, if a login happened and its response was lost.
        assert!(total >= self.live.len(), "{total} sessions, {} acknowledged", self.live.len());
    }
}
