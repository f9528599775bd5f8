//! After a reset no access token of its user is accepted: not on the node that answered, and elsewhere only
//! within the bound, whatever the user's devices did meanwhile, with Redis and without.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;

use super::revocation::{Times, check_within_bound};
use crate::support::proxy::Mode;
use crate::support::random::Random;
use crate::support::smtp::{MailServer, Received};
use crate::support::time::Stopwatch;
use crate::support::{Client, Cluster, Person, eventually};

/// Rounds with Redis, and as many without; `RESET_ROUNDS` for more.
const ROUNDS: usize = 20;
const NODES: usize = 3;
/// How often each device does something while the password is reset.
const TURNS: usize = 4;
/// A mail whose lease was lost arrives within this time.
const MAILED_WITHIN: Duration = Duration::from_secs(90);
/// A token that is still accepted after this stays so.
const REFUSED_WITHIN: Duration = Duration::from_secs(30);

/// A person with three devices that every node knows, and the code of a reset.
async fn prepare(cluster: &Cluster, server: &MailServer, name: &str) -> (Person, Vec<Client>, [String; 2]) {
    let person = Person::named(name);
    let mut first = cluster.client(0);
    first.signup(&person).await.expect(201);
    let mut devices = vec![first];
    for node in 1..NODES {
        let mut device = cluster.client(node);
        device.login(&person).await.expect(200);
        devices.push(device);
    }
    for device in &devices {
        for node in &cluster.nodes {
            eventually("the session is accepted", REFUSED_WITHIN, async || {
                let answer = device.at(node.base()).session().await;
                if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
            })
            .await;
        }
    }
    let asked = cluster.client(1).post("/password/reset", &json!({"email": person.email})).await.expect(202);
    let id = asked.json["requestId"].as_str().unwrap().to_owned();
    let code = eventually("the code of a reset", MAILED_WITHIN, async || {
        let mails = server.received(&person.email);
        mails
            .iter()
            .find(|mail| mail.text.contains(&id))
            .map(Received::code)
            .ok_or_else(|| format!("{mails:?}"))
    });
    let code = code.await;
    (person, devices, [id, code])
}

/// Refreshes in turn on every node; returns the device with each access token it was given.
async fn refresh(cluster: &Cluster, mut device: Client) -> Vec<Client> {
    let mut known = Vec::new();
    for turn in 0..TURNS {
        device.follow(cluster.base(turn % NODES));
        if device.refresh().await.status != 200 {
            break;
        }
        known.push(device.clone());
    }
    known
}

/// Reports activity on every node.
async fn act(cluster: &Cluster, device: &Client) {
    for turn in 0..TURNS {
        device.at(cluster.base((turn + 1) % NODES)).activity().await;
    }
}

/// Signs in with the old password on every node; returns those who got in.
async fn sign_in(cluster: &Cluster, person: &Person) -> Vec<Client> {
    let mut known = Vec::new();
    for turn in 0..TURNS {
        let mut device = cluster.client((turn + 2) % NODES);
        if device.login(person).await.status == 200 {
            known.push(device);
        }
    }
    known
}

async fn check_refused(device: &Client, changed: &Stopwatch, is_here: bool) -> Duration {
    let asking = async {
        loop {
            let sent = changed.elapsed();
            let answer = device.session().await;
            match answer.status {
                401 => return changed.elapsed(),
                200 if is_here => panic!("accepted by the node that answered: {answer}"),
                200 => check_within_bound(sent, &answer),
                // A node that cannot tell.
                _ => drop(answer.expect_problem(503, "unavailable")),
            }
        }
    };
    tokio::time::timeout(REFUSED_WITHIN, asking).await.expect("it is refused in the end")
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn no_access_token_outlives_a_reset() {
    let rounds = std::env::var("RESET_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let server = MailServer::start().await;
    let cluster = Cluster::of(NODES)
        .behind_proxies()
        .set("SMTP_URL", server.url())
        .set("MAIL_FROM", "no-reply@example.com")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
        .set("MAX_SESSIONS_PER_USER", 50)
        .start()
        .await;
    let mut random = Random::seeded(0x0072_6573_6574);
    for (mode, about) in [(Mode::Forward, "with Redis"), (Mode::Cut, "without Redis")] {
        cluster.nodes.iter().for_each(|node| node.redis().set(mode));
        let (mut times, mut met) = (Times::default(), 0);
        for round in 0..rounds {
            let name = format!("Person{round} {about}").replace(' ', "");
            let (person, devices, [id, code]) = prepare(&cluster, &server, &name).await;
            let (here, delay) = (cluster.client(round % NODES), random.below(12) as u64);
            let changing = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                let body = json!({"requestId": id, "code": code, "newPassword": "a much better passphrase"});
                here.post("/password/reset/confirm", &body).await.expect(204);
                let changed = Stopwatch::start();
                for device in &devices {
                    check_refused(&device.at(cluster.base(round % NODES)), &changed, true).await;
                }
                changed
            };
            let meanwhile = async {
                let (refreshed, (), signed_in) = tokio::join!(
                    refresh(&cluster, devices[1].clone()),
                    act(&cluster, &devices[2]),
                    sign_in(&cluster, &person),
                );
                [devices.clone(), refreshed, signed_in].concat()
            };
            let (changed, known) = join(changing, meanwhile).await;
            met += known.len() - devices.len();
            let asking = known.iter().flat_map(|device| {
                cluster
                    .nodes
                    .iter()
                    .enumerate()
                    .map(move |(node, at)| (device.at(at.base()), node == round % NODES))
            });
            let asking: Vec<_> = asking.collect();
            let refusals = asking.iter().map(|(device, is_here)| check_refused(device, &changed, *is_here));
            join_all(refusals).await.into_iter().for_each(|time| times.add(time));
        }
        times.tell(about);
        assert!(met > 0, "{about}: nothing ever met a reset");
    }
}
