//! People who act at random, on any node.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use rand::Rng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use super::history::{Act, Entry, History};
use super::rules::{LIMIT, TIMEOUT_MS};
use crate::support::time::{unix_millis, until};
use crate::support::{Client, Cluster, Person};

/// Longer than a node may take to settle whether a session is idle, shorter than some freezes.
const TIMEOUT: Duration = Duration::from_secs(3);
/// A phone loses its connection at most this soon after it has requested new tokens: most such refreshes
/// are carried out, and their answers do not arrive.
const TUNNEL_WITHIN_MS: u64 = 30;
/// The timeout once nothing is broken any more, when every answer is awaited.
const FINAL_PATIENCE: Duration = Duration::from_secs(20);
/// By then an answer must have arrived.
const HEALED_WITHIN_MS: i64 = 20_000;
/// Devices whose session is over are still tried now and then: this many of the latest.
const REMEMBERED: usize = 12;
/// How long an ended session is tried on every node: longer than any node may still accept it.
const TRIED_MS: i64 = 1_400;

/// The address of each node, which changes with a restart.
pub(super) struct Bases(RefCell<Vec<String>>);

impl Bases {
    pub(super) fn of(cluster: &Cluster) -> Self {
        Self(RefCell::new(cluster.nodes.iter().map(|node| node.base().to_owned()).collect()))
    }

    pub(super) fn get(&self, node: usize) -> String {
        self.0.borrow()[node].clone()
    }

    pub(super) fn set(&self, node: usize, base: &str) {
        base.clone_into(&mut self.0.borrow_mut()[node]);
    }

    fn count(&self) -> usize {
        self.0.borrow().len()
    }
}

/// A device with its session. Only one task uses it at a time, so that it always knows its latest
/// refresh token.
struct Device {
    client: Client,
    /// The refresh tokens it has had, oldest first.
    tokens: Vec<String>,
}

impl Device {
    fn session(&self) -> &str {
        &self.client.session_id
    }

    /// The same device, for read-only use on another node.
    fn elsewhere(&self, base: &str) -> Self {
        Self { client: self.client.at(base), tokens: Vec::new() }
    }

    fn keep_token(&mut self) {
        let token = self.client.refresh.clone().unwrap();
        if self.tokens.last() != Some(&token) {
            self.tokens.push(token);
        }
    }
}

pub(super) struct Someone {
    number: usize,
    /// Signs in again and again, so that sessions are evicted; others leave their sessions alone, so
    /// that they expire.
    is_restless: bool,
    person: Person,
    http: Client,
    /// Devices not in use at the moment, signed in as far as is known.
    at_hand: RefCell<Vec<Device>>,
    /// Sessions that are signed in as far as is known, including those in use.
    sessions: RefCell<Vec<String>>,
    over: RefCell<Vec<Device>>,
}

impl Someone {
    /// A new person in each round.
    pub(super) fn numbered(number: usize, round: u64) -> Self {
        Self {
            number,
            is_restless: number.is_multiple_of(2),
            person: Person::named(&format!("Person{number}of{round}")),
            http: Client::with_patience("", TIMEOUT),
            at_hand: RefCell::default(),
            sessions: RefCell::default(),
            over: RefCell::default(),
        }
    }

    pub(super) async fn sign_up(&self, bases: &Bases, history: &History) {
        let entry = self.open(Act::SignUp, 0, bases, history).await;
        assert!(entry.done().is_some(), "{entry}");
    }

    /// Does one thing after another, with short pauses between them.
    pub(super) async fn act_until(&self, ends_at: i64, mut random: StdRng, bases: &Bases, history: &History) {
        while unix_millis() < ends_at {
            let node = random.random_range(0..bases.count());
            self.act(&mut random, node, bases, history).await;
            until(unix_millis() + random.random_range(2..40)).await;
        }
    }

    async fn act(&self, random: &mut StdRng, node: usize, bases: &Bases, history: &History) {
        let choice = random.random_range(0..100);
        if choice < 6 {
            return self.try_what_is_over(random, node, bases, history).await;
        }
        if (self.is_restless && choice < 10) || self.sessions.borrow().len() < LIMIT {
            let entry = self.open(Act::LogIn, node, bases, history).await;
            return self.try_what_ended(&entry, bases, history).await;
        }
        let Some(mut device) = self.take(random) else { return };
        if !self.is_restless && choice < 30 {
            // Until around the time when it expires, if nobody is active meanwhile.
            until(unix_millis() + random.random_range(500..TIMEOUT_MS + 1_000)).await;
        }
        device.client.follow(&bases.get(node));
        let entry = self.use_device(choice, &mut device, (self.number, node), random, history).await;
        self.put_back(device, &entry);
        self.try_what_ended(&entry, bases, history).await;
    }

    async fn use_device(
        &self,
        choice: u32,
        device: &mut Device,
        place: (usize, usize),
        random: &mut StdRng,
        history: &History,
    ) -> Entry {
        let session = device.session().to_owned();
        let client = &device.client;
        let (act, request) = match choice {
            ..50 => return look(device, place, history).await,
            70..77 => return refresh(device, TIMEOUT, place, history).await,
            77..80 => {
                let patience = Duration::from_millis(random.random_range(1..=TUNNEL_WITHIN_MS));
                return refresh(device, patience, place, history).await;
            }
            98.. => return steal(device, place, history).await,
            50..70 => (Act::BeActive, client.request(Method::POST, "/activity")),
            80..84 => (Act::LogOut, client.request(Method::POST, "/logout")),
            84..96 => {
                let target = self.any_session(random);
                let request = client.request(Method::DELETE, &format!("/sessions/{target}"));
                (if target == session { Act::LogOut } else { Act::End(target) }, request)
            }
            96..98 => (Act::EndOthers, client.request(Method::DELETE, "/sessions/all")),
        };
        history.record(place, &session, act, client.try_send(request)).await
    }

    /// Signs in on a new device.
    async fn open(&self, act: Act, node: usize, bases: &Bases, history: &History) -> Entry {
        let mut client = self.http.at(&bases.get(node));
        let (path, mut body) = match act {
            Act::SignUp => ("/signup", self.person.registration()),
            _ => ("/login", self.person.credentials()),
        };
        body["refreshTokenDelivery"] = json!("body");
        let request = client.request(Method::POST, path).json(&body);
        let trying = client.try_exchange(request);
        let entry = history.record((self.number, node), "", act, trying).await;
        if entry.done().is_some() {
            let mut device = Device { client, tokens: Vec::new() };
            device.keep_token();
            self.sessions.borrow_mut().push(device.session().to_owned());
            self.at_hand.borrow_mut().push(device);
        }
        entry
    }

    fn take(&self, random: &mut StdRng) -> Option<Device> {
        let mut devices = self.at_hand.borrow_mut();
        let count = devices.len();
        (count > 0).then(|| devices.swap_remove(random.random_range(0..count)))
    }

    /// Called while a device is in use, so there is at least one session.
    fn any_session(&self, random: &mut StdRng) -> String {
        let sessions = self.sessions.borrow();
        sessions[random.random_range(0..sessions.len())].clone()
    }

    fn put_back(&self, device: Device, entry: &Entry) {
        let ended =
            entry.refusal().is_some_and(|code| code.starts_with("session_") && code != "session_not_found")
                || entry.refusal() == Some("refresh_token_reused")
                || (entry.act == Act::LogOut && entry.done().is_some());
        if !ended {
            return self.at_hand.borrow_mut().push(device);
        }
        self.is_over(device);
    }

    fn is_over(&self, device: Device) {
        self.sessions.borrow_mut().retain(|session| session != device.session());
        let mut over = self.over.borrow_mut();
        over.push(device);
        if over.len() > REMEMBERED {
            over.remove(0);
        }
    }

    /// Tries the sessions that this request ended on every node, for longer than any may still accept them.
    async fn try_what_ended(&self, entry: &Entry, bases: &Bases, history: &History) {
        if entry.done().is_none() {
            return;
        }
        let is_ended = |device: &Device| match &entry.act {
            Act::End(target) => target == device.session(),
            Act::EndOthers => device.session() != entry.session,
            _ => entry.evicted().any(|evicted| evicted == device.session()),
        };
        let (ended, at_hand) = self.at_hand.take().into_iter().partition::<Vec<_>, _>(is_ended);
        self.at_hand.borrow_mut().extend(at_hand);
        let tries = ended.iter().flat_map(|device| {
            (0..bases.count()).map(move |node| async move {
                while unix_millis() < entry.until + TRIED_MS {
                    look(&device.elsewhere(&bases.get(node)), (self.number, node), history).await;
                    until(unix_millis() + 60).await;
                }
            })
        });
        join_all(tries).await;
        ended.into_iter().for_each(|device| self.is_over(device));
    }

    async fn try_what_is_over(&self, random: &mut StdRng, node: usize, bases: &Bases, history: &History) {
        let taken = {
            let mut over = self.over.borrow_mut();
            let count = over.len();
            (count > 0).then(|| over.swap_remove(random.random_range(0..count)))
        };
        let Some(mut device) = taken else { return };
        device.client.follow(&bases.get(node));
        if random.random_bool(0.3) {
            refresh(&mut device, TIMEOUT, (self.number, node), history).await;
        } else {
            look(&device, (self.number, node), history).await;
        }
        self.over.borrow_mut().push(device);
    }

    /// Checks every device on every node, one after the other, for as long as it takes.
    pub(super) async fn look_everywhere(&self, bases: &Bases, history: &History) {
        let mut devices = self.at_hand.take();
        devices.extend(self.over.take());
        let devices = &devices;
        let looks = (0..bases.count()).map(|node| async move {
            let patient = Client::with_patience(&bases.get(node), FINAL_PATIENCE);
            for device in devices {
                let mut client = patient.clone();
                client.access = device.client.access.clone();
                device.session().clone_into(&mut client.session_id);
                let device = Device { client, tokens: Vec::new() };
                let asked_until = unix_millis() + HEALED_WITHIN_MS;
                // A node on a busy machine may have to answer for a moment that it cannot tell.
                while look(&device, (self.number, node), history).await.is_unknown()
                    && unix_millis() < asked_until
                {
                    until(unix_millis() + 50).await;
                }
            }
        });
        join_all(looks).await;
    }
}

async fn look(device: &Device, place: (usize, usize), history: &History) -> Entry {
    history.record(place, device.session(), Act::Look, device.client.try_get("/session")).await
}

/// Presents the latest token it has; after a lost answer that is the same one again.
async fn refresh(device: &mut Device, patience: Duration, place: (usize, usize), history: &History) -> Entry {
    let session = device.session().to_owned();
    let request = device.client.body_refresh(device.tokens.last().unwrap()).timeout(patience);
    let entry = history.record(place, &session, Act::Refresh, device.client.try_exchange(request)).await;
    if entry.done().is_some() {
        device.keep_token();
    }
    entry
}

/// Presents the oldest of at least three tokens; with fewer there is nothing to steal yet.
async fn steal(device: &Device, place: (usize, usize), history: &History) -> Entry {
    if device.tokens.len() < 3 {
        return look(device, place, history).await;
    }
    let request = device.client.body_refresh(&device.tokens[0]);
    history.record(place, device.session(), Act::Steal, device.client.try_send(request)).await
}
