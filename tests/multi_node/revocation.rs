//! Shared by the tests of revocation: sessions to end, and checks of who still accepts them.

use std::time::Duration;

use crate::support::time::Stopwatch;
use crate::support::{Answer, Client, Cluster, Person};

/// `REVOCATION_MAX_STALENESS_MS`, at its default.
pub(super) const BOUND: Duration = Duration::from_millis(1_000);
/// Clocks are read in whole milliseconds. No other tolerance is needed: what counts is when a request
/// was sent, and it is judged later than that, however slow the machine is.
const ROUNDING: Duration = Duration::from_millis(2);
/// A session that is still accepted after this, or a node that still refuses everything, stays so.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The wait before a node that cannot tell is asked again, so that it is not flooded with requests.
const PAUSE: Duration = Duration::from_millis(5);

/// Somebody with one device that stays, on the first node, and others that sign in and are ended.
pub(super) struct Household {
    person: Person,
    pub(super) keeper: Client,
}

impl Household {
    pub(super) async fn new(cluster: &Cluster) -> Self {
        let person = Person::named(&format!("Ada{}", uuid::Uuid::new_v4().simple()));
        let mut keeper = cluster.client(0);
        keeper.signup(&person).await.expect(201);
        Self { person, keeper }
    }

    /// A session opened on the first node, and accepted by every node.
    pub(super) async fn device_known_everywhere(&self, cluster: &Cluster) -> Client {
        let device = self.device().await;
        for node in &cluster.nodes {
            self.accepted(&device.at(node.base())).await;
        }
        device
    }

    /// A session opened on the first node, which the others do not know of.
    pub(super) async fn device(&self) -> Client {
        let mut device = self.keeper.clone();
        device.login(&self.person).await.expect(200);
        device
    }

    /// Waits until the session is accepted: a node that has not read the feed for too long refuses
    /// everything for a moment.
    async fn accepted(&self, device: &Client) {
        let accepting = async {
            while device.session().await.status != 200 {
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(TIMEOUT, accepting).await.expect("a live session is accepted");
    }

    /// Ends a session from the device that stays; returns how long the answer took.
    pub(super) async fn end(&self, device: &Client) -> Duration {
        let watch = Stopwatch::start();
        let path = format!("/sessions/{}", device.session_id);
        self.keeper.send(self.keeper.request(reqwest::Method::DELETE, &path)).await.expect(204);
        watch.elapsed()
    }
}

/// Sends requests without a pause until the session is refused. A request sent later than the bound
/// after the session's end must not be accepted. An answer that the node cannot tell (503) is not a
/// refusal yet.
pub(super) async fn refused_after(device: &Client, ended: &Stopwatch) -> Duration {
    let asking = async {
        loop {
            let sent = ended.elapsed();
            let answer = device.session().await;
            match answer.status {
                200 => check_within_bound(sent, &answer),
                503 => {
                    answer.expect_problem(503, "unavailable");
                    tokio::time::sleep(PAUSE).await;
                }
                _ => {
                    answer.expect_problem(401, "session_terminated");
                    return ended.elapsed();
                }
            }
        }
    };
    tokio::time::timeout(TIMEOUT, asking).await.expect("the session is refused in the end")
}

/// Asserts that a request that was accepted was sent within the bound after the event that should have
/// stopped it.
pub(super) fn check_within_bound(sent: Duration, answer: &Answer) {
    assert!(sent <= BOUND + ROUNDING, "accepted, though sent {sent:?} after: {answer}");
}

/// Durations, and their summary.
#[derive(Debug, Default)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort_unstable();
    }

    pub(super) fn percentile(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    pub(super) fn tell(&self, what: &str) {
        let (p50, p99, most) = (self.percentile(50), self.percentile(99), self.percentile(100));
        println!(
            "refused elsewhere, {what}: p50 {p50:.1?}, p99 {p99:.1?}, longest {most:.1?}, n {}",
            self.0.len()
        );
    }
}
