//! `Writer`: one person who logs in and out until the service reports that it is unavailable, and knows what
//! was acknowledged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::answer::Answer;
use super::client::{Client, Person};
use super::time::{Stopwatch, eventually};

/// Longest time from the first 503 to a definite response.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// Sessions kept open at the same time.
const DEVICES: usize = 3;

pub(crate) struct Writer {
    person: Person,
    /// Devices whose login was acknowledged.
    live: Vec<Client>,
    /// Devices whose logout was acknowledged.
    ended: Vec<Client>,
}

impl Writer {
    pub(crate) async fn new(base: &str, number: usize) -> Self {
        let person = Person::named(&format!("Writer{number}"));
        let mut first = Client::new(base);
        first.signup(&person).await.expect(201);
        Self { person, live: vec![first], ended: Vec::new() }
    }

    /// Logs in and out until the first 503, counting what was acknowledged.
    async fn write_until_refused(&mut self, base: &str, acknowledged: &AtomicUsize) {
        while self.log_in(base).await && self.log_one_out().await {
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn log_in(&mut self, base: &str) -> bool {
        let mut device = Client::new(base);
        let answer = device.login(&self.person).await;
        if answer.status == 503 {
            answer.expect_problem(503, "unavailable");
            return false;
        }
        answer.expect(200);
        self.live.push(device);
        true
    }

    async fn log_one_out(&mut self) -> bool {
        if self.live.len() <= DEVICES {
            return true;
        }
        // Whether a refused logout was carried out is not known, so the device is not used again.
        let mut device = self.live.remove(0);
        let answer = device.logout().await;
        if answer.status == 503 {
            answer.expect_problem(503, "unavailable");
            return false;
        }
        answer.expect(204);
        self.ended.push(device);
        true
    }

    /// Asserts everything that was acknowledged.
    pub(crate) async fn check(&mut self) {
        self.check_reads().await;
        for device in &mut self.live {
            settled(async || device.refresh().await).await.expect(200);
        }
    }

    /// The same, after the service has moved to another address.
    pub(crate) async fn check_at(&mut self, base: &str) {
        self.live.iter_mut().chain(&mut self.ended).for_each(|device| device.follow(base));
        self.check().await;
    }

    /// The same, if nothing can be written.
    pub(crate) async fn check_reads(&self) {
        for device in &self.live {
            settled(async || device.session().await).await.expect(200);
        }
        for device in &self.ended {
            settled(async || device.session().await).await.expect_problem(401, "session_logged_out");
        }
    }
}

/// Sends a request, and sends it again while the service responds that it is unavailable, as it may if the
/// machine has stalled it for longer than the bound.
pub(crate) async fn settled(mut ask: impl AsyncFnMut() -> Answer) -> Answer {
    let asked = Stopwatch::start();
    loop {
        let answer = ask().await;
        if answer.status != 503 || asked.elapsed() > SETTLED_WITHIN {
            return answer;
        }
        answer.expect_problem(503, "unavailable");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Has all writers write, each at the next of these addresses, and injects a fault into the service
/// meanwhile. Returns when nobody gets a response any more.
pub(crate) async fn write_until(bases: &[&str], writers: &mut [Writer], fault: impl Future<Output = ()>) {
    let acknowledged = AtomicUsize::new(0);
    let enough = writers.len() * 2 * DEVICES;
    let writing = writers.iter_mut().zip(bases.iter().cycle());
    let writing = join_all(writing.map(|(writer, base)| writer.write_until_refused(base, &acknowledged)));
    let breaking = async {
        eventually("people write", Duration::from_secs(30), async || {
            let count = acknowledged.load(Ordering::Relaxed);
            if count >= enough { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
        fault.await;
    };
    Box::pin(join(writing, breaking)).await;
}
