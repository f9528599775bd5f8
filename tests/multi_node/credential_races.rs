//! Changes of a password race each other and logins, on two nodes: one of them wins, and no session of
//! the old password outlives the answer to the winner.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use crate::support::cluster::ClusterSetup;
use crate::support::random::Random;
use crate::support::smtp::{MailServer, Received};
use crate::support::{Answer, Client, Cluster, Person, eventually};

/// Rounds of each race; `RACE_ROUNDS` for more.
const ROUNDS: usize = 150;
const LOGINS: usize = 4;
/// A mail whose lease was lost arrives within this time.
const PATIENCE: Duration = Duration::from_secs(90);

fn rounds() -> usize {
    std::env::var("RACE_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap())
}

fn cluster(server: &MailServer) -> ClusterSetup {
    Cluster::of(2)
        .set("SMTP_URL", server.url())
        .set("MAIL_FROM", "no-reply@example.com")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
        .set("MAX_SESSIONS_PER_USER", 50)
}

async fn somebody(cluster: &Cluster, round: usize) -> (Person, Client) {
    let (person, mut device) = (Person::named(&format!("Person{round}")), cluster.client(round % 2));
    device.signup(&person).await.expect(201);
    (person, device)
}

/// A requested reset, and its code.
async fn asked(cluster: &Cluster, server: &MailServer, person: &Person, number: usize) -> (Value, String) {
    let client = cluster.client(number % 2);
    let asked = client.post("/password/reset", &json!({"email": person.email})).await.expect(202).json;
    let id = asked["requestId"].as_str().unwrap();
    let row = format!(
        "SELECT kind || ' ' || attempts || ' ' || coalesce(outcome, '-') || ' ' || coalesce(error, '-') || ' ' \
         || coalesce(next_at - created_at, -1) || ' ' || coalesce(text_noted_at - created_at, -1) \
         FROM mails WHERE request_id = '{id}'"
    );
    let code = eventually("the code of a reset", PATIENCE, async || {
        let mails = server.received(&person.email);
        let found = mails.iter().find(|mail| mail.text.contains(id)).map(Received::code);
        match found {
            Some(code) => Ok(code),
            None => {
                let rows = cluster.query(&row).await;
                Err(rows
                    .iter()
                    .map(|row| row.try_get_by_index(0).unwrap())
                    .collect::<Vec<String>>()
                    .join("; "))
            }
        }
    });
    let code = code.await;
    (asked, code)
}

fn with_password(person: &Person, password: &str) -> Person {
    Person { password: password.to_owned(), ..person.clone() }
}

async fn confirm(client: &Client, asked: &(Value, String), password: &str) -> Answer {
    let body = json!({"requestId": asked.0["requestId"], "code": asked.1, "newPassword": password});
    client.post("/password/reset/confirm", &body).await
}

async fn change(device: &Client, person: &Person, password: &str) -> Answer {
    let body = json!({"currentPassword": person.password, "newPassword": password});
    device.post("/password/change", &body).await
}

/// A moment of up to 12 ms: as long as a login takes.
async fn pause(millis: usize) {
    tokio::time::sleep(Duration::from_millis(millis as u64)).await;
}

/// Asserts that these passwords are valid or not, on both nodes.
async fn check_passwords(cluster: &Cluster, person: &Person, passwords: &[(&str, bool)]) {
    for (password, is_good) in passwords {
        for node in 0..2 {
            let login = cluster.client(node).login(&with_password(person, password)).await;
            assert_eq!(login.status == 200, *is_good, "{} with {password}: {login}", person.name);
        }
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn no_session_of_the_old_password_outlives_a_change() {
    let server = MailServer::start().await;
    let cluster = cluster(&server).start().await;
    let mut random = Random::seeded(0x7261_6365);
    let mut met = 0;
    for round in 0..rounds() {
        let (person, device) = somebody(&cluster, round).await;
        let by_reset = round.is_multiple_of(3);
        let reset = if by_reset { Some(asked(&cluster, &server, &person, round).await) } else { None };
        let delays: Vec<_> = (0..=LOGINS).map(|_| random.below(12)).collect();
        let logins = delays[1..].iter().enumerate().map(|(number, delay)| {
            let (mut client, person) = (cluster.client(number % 2), &person);
            async move {
                pause(*delay).await;
                let answer = client.login(person).await;
                (client, answer)
            }
        });
        let changing = async {
            pause(delays[0]).await;
            let answer = match &reset {
                Some(asked) => {
                    confirm(&cluster.client(round % 2), asked, "a much better passphrase").await.expect(204)
                }
                None => change(&device, &person, "a much better passphrase").await.expect(200),
            };
            // A login after the answer is too late, on every node.
            check_passwords(&cluster, &person, &[(&person.password, false)]).await;
            answer
        };
        let (_, logins) = join(changing, join_all(logins)).await;
        for (client, answer) in logins {
            if answer.status != 200 {
                answer.expect_problem(401, "invalid_credentials");
                continue;
            }
            met += 1;
            for node in 0..2 {
                let session = client.at(cluster.base(node)).session().await;
                session.expect_problem(401, "session_credentials_changed");
            }
        }
        check_passwords(&cluster, &person, &[("a much better passphrase", true)]).await;
    }
    println!("{met} logins were in time and ended");
    assert!(met > 0, "no login ever met a change");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn of_two_resets_one_counts() {
    let server = MailServer::start().await;
    let cluster = cluster(&server).start().await;
    let mut random = Random::seeded(0x7265_7365);
    for round in 0..rounds() {
        let (person, _) = somebody(&cluster, round).await;
        let first = asked(&cluster, &server, &person, 0).await;
        // The same code twice, or two codes that were requested before either was used.
        let second =
            if round.is_multiple_of(2) { first.clone() } else { asked(&cluster, &server, &person, 1).await };
        let (here, there) = (cluster.client(0), cluster.client(1));
        let (early, late) = (random.below(4), random.below(4));
        let (one, other) = join(
            async {
                pause(early).await;
                confirm(&here, &first, "one much better passphrase").await.status
            },
            async {
                pause(late).await;
                confirm(&there, &second, "another better passphrase").await.status
            },
        )
        .await;
        let won = match (one, other) {
            (204, 422) => true,
            (422, 204) => false,
            both => panic!("{}: {both:?}", person.name),
        };
        let passwords = [
            (person.password.as_str(), false),
            ("one much better passphrase", won),
            ("another better passphrase", !won),
        ];
        check_passwords(&cluster, &person, &passwords).await;
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn of_a_reset_and_a_change_one_counts() {
    let server = MailServer::start().await;
    let cluster = cluster(&server).start().await;
    let mut random = Random::seeded(0x6368_616e);
    for round in 0..rounds() {
        let (person, device) = somebody(&cluster, round).await;
        let code = asked(&cluster, &server, &person, round + 1).await;
        let (device, client) = (device.at(cluster.base(round)), cluster.client((round + 1) % 2));
        let (early, late) = (random.below(6), random.below(6));
        let (reset, changed) = join(
            async {
                pause(early).await;
                confirm(&client, &code, "one much better passphrase").await
            },
            async {
                pause(late).await;
                change(&device, &person, "another better passphrase").await
            },
        )
        .await;
        let won = match (reset.status, changed.status) {
            (204, 401 | 403) => true,
            (422, 200) => false,
            _ => panic!("{}: {reset} {changed}", person.name),
        };
        let passwords = [
            (person.password.as_str(), false),
            ("one much better passphrase", won),
            ("another better passphrase", !won),
        ];
        check_passwords(&cluster, &person, &passwords).await;
    }
}
