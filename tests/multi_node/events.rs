//! Other services receive every change, each user's in order, however long Redis was unavailable and
//! whichever node died meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use crate::support::app::ACCESS_SECRET;
use crate::support::redis::StreamEvent;
use crate::support::time::{Stopwatch, millis_of};
use crate::support::token::Token;
use crate::support::{Client, Cluster, Person, eventually};

const PEOPLE: usize = 10;
/// Rounds of login, refresh and ending: 510 changes of all people together.
const ROUNDS: usize = 17;
/// From Redis being back to everything being published.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A channel without its prefix, and the session that the event is about, if there is one.
type Told = (String, String);

/// Somebody who changes sessions, and knows which events other services must receive, in this order.
pub(super) struct Writer {
    person: Person,
    user: String,
    keeper: Client,
    expected: Vec<Told>,
}

impl Writer {
    async fn new(base: &str, number: usize) -> Self {
        let person = Person::named(&format!("Writer{number}"));
        let mut keeper = Client::new(base);
        let answer = keeper.signup(&person).await.expect(201);
        let user = answer.uuid("/user/id").to_string();
        let expected = vec![told("user.registered", ""), told("session.created", &keeper.session_id)];
        Self { person, user, keeper, expected }
    }

    /// Three changes, each through the next of these nodes.
    async fn change(&mut self, round: usize, bases: &[&str]) {
        let base = |step: usize| bases[(round + step) % bases.len()];
        let mut device = Client::new(base(0));
        device.login(&self.person).await.expect(200);
        let session = device.session_id.clone();
        self.expected.extend([told("user.login", &session), told("session.created", &session)]);

        device.follow(base(1));
        device.refresh().await.expect(200);
        self.expected.push(told("token.refreshed", &session));

        if round.is_multiple_of(2) {
            device.follow(base(2));
            device.logout().await.expect(204);
            self.expected.extend([told("user.logout", &session), told("session.deleted", &session)]);
        } else {
            self.keeper.at(base(2)).terminate(&session).await.expect(204);
            self.expected.push(told("session.terminated", &session));
        }
    }

    /// Asserts that the stream contains this person's events, complete and in order.
    fn check(&self, events: &[StreamEvent]) {
        let mine = events.iter().filter(|event| event.text("userId") == self.user);
        let heard: Vec<_> = mine.map(|event| told(event.text("event"), event.text("sessionId"))).collect();
        let same = heard.iter().zip(&self.expected).take_while(|(heard, expected)| heard == expected).count();
        assert!(
            heard.len() == same && self.expected.len() == same,
            "{}: the first {same} of {} events are right, then {:?} was expected and {:?} heard ({} in all)",
            self.person.name,
            self.expected.len(),
            self.expected.get(same),
            heard.get(same),
            heard.len(),
        );
    }
}

fn told(event: &str, session: &str) -> Told {
    (event.to_owned(), session.to_owned())
}

pub(super) async fn writers(cluster: &Cluster) -> Vec<Writer> {
    join_all((0..PEOPLE).map(|number| Writer::new(cluster.base(number), number))).await
}

/// All write at once, each one change after another.
pub(super) async fn write(writers: &mut [Writer], bases: &[&str]) {
    let writing = writers.iter_mut().enumerate().map(|(number, writer)| async move {
        for round in 0..ROUNDS {
            writer.change(number + round, bases).await;
        }
    });
    join_all(writing).await;
}

pub(super) async fn everything_is_told(cluster: &Cluster, writers: &[Writer]) {
    let watch = Stopwatch::start();
    let waiting = async || cluster.count("SELECT count(*) FROM outbox").await;
    let before = waiting().await;
    eventually("everything is published", TOLD_WITHIN, async || match waiting().await {
        0 => Ok(()),
        left => Err(format!("{left} of {before} in the outbox")),
    })
    .await;
    let (stream, events) = (cluster.redis.stream().await, cluster.redis.events().await);
    let repeated = stream.len() - events.len();
    println!("{before} events told {:.1?} after Redis was back, {repeated} of them twice", watch.elapsed());
    writers.iter().for_each(|writer| writer.check(&events));
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_happened_while_redis_was_down_is_told_when_it_is_back() {
    let mut cluster = Cluster::of(3).start().await;
    let mut writers = writers(&cluster).await;
    cluster.redis.kill();
    write(&mut writers, &[cluster.base(0), cluster.base(1), cluster.base(2)]).await;
    cluster.redis.restart().await;
    everything_is_told(&cluster, &writers).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_happened_while_redis_was_frozen_is_told_in_order() {
    let cluster = Cluster::of(3).start().await;
    let mut writers = writers(&cluster).await;
    // Whatever was on its way stays in the sockets, and arrives late.
    let freezing = async {
        for _ in 0..3 {
            cluster.redis.freeze();
            tokio::time::sleep(Duration::from_millis(2_500)).await;
            cluster.redis.thaw();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let bases = [cluster.base(0), cluster.base(1), cluster.base(2)];
    futures_util::future::join(write(&mut writers, &bases), freezing).await;
    everything_is_told(&cluster, &writers).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn what_a_node_had_not_told_when_it_died_is_told_by_another() {
    let mut cluster = Cluster::of(3).start().await;
    let mut writers = writers(&cluster).await;
    cluster.redis.kill();
    write(&mut writers, &[cluster.base(0)]).await;
    cluster.nodes[0].kill();
    cluster.redis.restart().await;
    everything_is_told(&cluster, &writers).await;
}

/// A consumer with a list of ended sessions drops an entry at that time, so no token of the session may
/// be valid after it.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn no_token_outlives_the_time_that_is_told_with_its_end() {
    const SESSIONS: usize = 20;
    const ROTATIONS: usize = 10;
    let cluster = Cluster::of(2).start().await;
    let person = Person::named("Ada");
    cluster.client(0).signup(&person).await.expect(201);
    let mut valid_until = HashMap::new();
    for number in 0..SESSIONS {
        let mut device = cluster.client(number % 2);
        device.login(&person).await.expect(200);
        let mut latest = expiry(&device);
        for step in 0..ROTATIONS {
            device.follow(cluster.base(number + step));
            // The second request presents a token that has just been replaced: that is answered too.
            let replaced = device.clone();
            for mut asking in [device.clone(), replaced] {
                asking.refresh().await.expect(200);
                latest = latest.max(expiry(&asking));
                device = asking;
            }
        }
        device.logout().await.expect(204);
        valid_until.insert(device.session_id.clone(), latest);
    }
    everything_is_told(&cluster, &[]).await;
    let events = cluster.redis.events().await;
    let endings = events.iter().filter(|event| event.text("event") == "session.deleted");
    let told: HashMap<_, _> =
        endings.map(|event| (event.text("sessionId"), millis_of(&event.data["tokensExpireAt"]))).collect();
    for (session, latest) in valid_until {
        let told = told[session.as_str()];
        assert!(
            latest * 1_000 <= told,
            "session {session}: a token is good until {latest} s, told was {told} ms"
        );
    }
}

/// `exp` of the device's access token, in seconds.
fn expiry(device: &Client) -> i64 {
    let claims = Token::open(device.access.as_ref().unwrap(), ACCESS_SECRET).claims;
    claims["exp"].as_i64().unwrap()
}
