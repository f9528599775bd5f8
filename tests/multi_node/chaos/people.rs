//! People who do what comes to their mind, on whichever node.

use std::cell::RefCell;
use std::time::Duration;

use futures_util::future::join_all;
use rand::Rng;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::json;

use super::history::{Act, Entry, History};
use crate::support::time::{unix_millis, until};
use crate::support::{Client, Cluster, Person};

/// Longer than a node may take to settle whether a session is idle, shorter than some freezes.
const PATIENCE: Duration = Duration::from_secs(3);
/// Devices whose session is over are still tried now and then: this many of the latest.
const REMEMBERED: usize = 12;

/// Where each node listens; changes with a restart.
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

/// A device with its session. One hand uses it at a time, so that it always knows its latest refresh token.
struct Device {
    client: Client,
    /// The refresh tokens it has had, oldest first.
    tokens: Vec<String>,
}

impl Device {
    fn session(&self) -> &str {
        &self.client.session_id
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
    person: Person,
    http: Client,
    /// Devices nobody uses at the moment, signed in as far as is known.
    at_hand: RefCell<Vec<Device>>,
    /// Sessions that are signed in as far as is known, also those in use.
    sessions: RefCell<Vec<String>>,
    over: RefCell<Vec<Device>>,
}

impl Someone {
    pub(super) fn numbered(number: usize) -> Self {
        Self {
            number,
            person: Person::named(&format!("Person{number}")),
            http: Client::with_patience("", PATIENCE),
            at_hand: RefCell::default(),
            sessions: RefCell::default(),
            over: RefCell::default(),
        }
    }

    pub(super) async fn sign_up(&self, bases: &Bases, history: &History) {
        let entry = self.open(Act::SignUp, 0, bases, history).await;
        assert!(entry.done().is_some(), "{entry}");
    }

    /// Does one thing after the other, with a short rest between them.
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
        let device = self.take(random).filter(|_| choice >= 14);
        let Some(mut device) = device else {
            drop(self.open(Act::LogIn, node, bases, history).await);
            return;
        };
        device.client.follow(&bases.get(node));
        let place = (self.number, node);
        let session = device.session().to_owned();
        let entry = match choice {
            14..50 => look(&device, place, history).await,
            50..75 => {
                let request = device.client.request(Method::POST, "/activity");
                history.record(place, &session, Act::BeActive, device.client.try_send(request)).await
            }
            75..85 => refresh(&mut device, place, history).await,
            85..89 => {
                let request = device.client.request(Method::POST, "/logout");
                history.record(place, &session, Act::LogOut, device.client.try_send(request)).await
            }
            89..96 => {
                let target = self.any_session(random);
                let request = device.client.request(Method::DELETE, &format!("/sessions/{target}"));
                let act = if target == session { Act::LogOut } else { Act::End(target) };
                history.record(place, &session, act, device.client.try_send(request)).await
            }
            96..98 => {
                let request = device.client.request(Method::DELETE, "/sessions/all");
                history.record(place, &session, Act::EndOthers, device.client.try_send(request)).await
            }
            _ => steal(&device, place, history).await,
        };
        self.put_back(device, &entry);
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
        self.sessions.borrow_mut().retain(|session| session != device.session());
        let mut over = self.over.borrow_mut();
        over.push(device);
        if over.len() > REMEMBERED {
            over.remove(0);
        }
        // Somebody always has something to end.
        if self.sessions.borrow().is_empty() {
            self.sessions.borrow_mut().push(over[0].session().to_owned());
        }
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
            refresh(&mut device, (self.number, node), history).await;
        } else {
            look(&device, (self.number, node), history).await;
        }
        self.over.borrow_mut().push(device);
    }

    /// Looks with every device on every node.
    pub(super) async fn look_everywhere(&self, bases: &Bases, history: &History) {
        let mut devices = self.at_hand.take();
        devices.extend(self.over.take());
        let looks = devices.iter().flat_map(|device| {
            (0..bases.count()).map(move |node| async move {
                let mut client = device.client.at(&bases.get(node));
                client.refresh = None;
                let device = Device { client, tokens: Vec::new() };
                look(&device, (self.number, node), history).await
            })
        });
        join_all(looks).await;
    }
}

async fn look(device: &Device, place: (usize, usize), history: &History) -> Entry {
    history.record(place, device.session(), Act::Look, device.client.try_get("/session")).await
}

async fn refresh(device: &mut Device, place: (usize, usize), history: &History) -> Entry {
    let session = device.session().to_owned();
    let request = device.client.body_refresh(device.tokens.last().unwrap());
    let entry = history.record(place, &session, Act::Refresh, device.client.try_exchange(request)).await;
    if entry.done().is_some() {
        device.keep_token();
    }
    entry
}

/// Shows the oldest of at least three tokens; otherwise there is nothing to steal yet.
async fn steal(device: &Device, place: (usize, usize), history: &History) -> Entry {
    if device.tokens.len() < 3 {
        return look(device, place, history).await;
    }
    let request = device.client.body_refresh(&device.tokens[0]);
    history.record(place, device.session(), Act::Steal, device.client.try_send(request)).await
}
