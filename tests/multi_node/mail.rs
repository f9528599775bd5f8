//! Several nodes send mails, and some die: each mail arrives, and none twice.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::cluster::ClusterSetup;
use crate::support::random::Random;
use crate::support::smtp::MailServer;
use crate::support::{Client, Cluster, Person, eventually};

/// How often a node is killed; `MAIL_KILLS` for more.
const KILLS: usize = 12;
/// How many people request a mail before each kill.
const ASKING: usize = 4;
/// A lease, and what it takes to notice its end.
const LEASE_ENDS: Duration = Duration::from_secs(100);

fn cluster(nodes: usize, server: &MailServer) -> ClusterSetup {
    Cluster::of(nodes)
        .set("SMTP_URL", server.url())
        .set("MAIL_FROM", "no-reply@example.com")
        .set("APP_URL", "https://app.example.com")
        .set("ENCRYPTION_SECRET", "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c")
}

async fn people(client: &Client, names: impl Iterator<Item = String>) -> Vec<Person> {
    let people: Vec<_> = names.map(|name| Person::named(&name)).collect();
    for person in &people {
        client.clone().signup(person).await.expect(201);
    }
    people
}

async fn ask(client: &Client, person: &Person) {
    client.post("/password/reset", &json!({"email": person.email})).await.expect(202);
}

/// How many reset mails have reached each of them.
fn resets(server: &MailServer, people: &[Person]) -> Vec<usize> {
    let is_reset = |text: &str| text.contains("reset-password#");
    let count =
        |person: &Person| server.received(&person.email).iter().filter(|mail| is_reset(&mail.text)).count();
    people.iter().map(count).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn five_nodes_send_one() {
    let server = MailServer::start().await;
    let cluster = cluster(5, &server).start().await;
    let clients: Vec<_> = (0..5).map(|node| Client::new(cluster.base(node))).collect();
    let people = people(&clients[0], (0..100).map(|number| format!("Person{number}"))).await;
    let asking = people.iter().enumerate().map(|(number, person)| ask(&clients[number % 5], person));
    join_all(asking).await;
    eventually("each has a mail", Duration::from_secs(60), async || {
        let counts = resets(&server, &people);
        if counts.iter().all(|count| *count >= 1) { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await;
    // Nothing waits any more, so nothing can arrive.
    let waiting = "SELECT COUNT(*) FROM mails WHERE next_at IS NOT NULL";
    eventually("nothing waits", Duration::from_secs(30), async || match cluster.count(waiting).await {
        0 => Ok(()),
        waiting => Err(waiting.to_string()),
    })
    .await;
    assert_eq!(resets(&server, &people), vec![1; people.len()]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_that_is_killed_loses_no_mail_and_doubles_none() {
    let server = MailServer::start().await;
    let mut cluster = cluster(2, &server).start().await;
    let kills = std::env::var("MAIL_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut random = Random::seeded(0x6d61_696c);
    let mut everybody = Vec::new();
    for round in 0..kills {
        let client = Client::new(cluster.base(0));
        let people = people(&client, (0..ASKING).map(|number| format!("Person{round}x{number}"))).await;
        join_all(people.iter().map(|person| ask(&client, person))).await;
        // Between commit and mail, in the middle of sending, or after it.
        tokio::time::sleep(Duration::from_millis(random.below(25) as u64)).await;
        cluster.nodes[0].kill();
        cluster.nodes[0].restart().await;
        everybody.extend(people);
    }
    // A mail whose text was noted before the kill may have been sent, so it waits for five minutes,
    // which is longer than this test waits.
    let of_them = "text_noted_at IS NOT NULL AND next_at IS NOT NULL AND kind = 'password_reset'";
    eventually("each has a mail", LEASE_ENDS, async || {
        let counts = resets(&server, &everybody);
        let missing = everybody.iter().zip(&counts).filter(|(_, count)| **count == 0);
        let addresses: Vec<_> = missing.map(|(person, _)| format!("'{}'", person.email)).collect();
        if addresses.is_empty() {
            return Ok(());
        }
        let hasten = format!(
            "UPDATE mails SET next_at = 0 WHERE {of_them} AND address IN ({}) AND next_at > text_noted_at + 200000 \
             AND text_noted_at < extract(epoch FROM now()) * 1000 - 5000 RETURNING id",
            addresses.join(",")
        );
        cluster.query(&hasten).await;
        Err(format!("{counts:?}"))
    })
    .await;
    assert_eq!(resets(&server, &everybody), vec![1; everybody.len()]);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn mails_waiting_for_a_dead_node_are_sent_by_the_others() {
    let server = MailServer::start().await;
    let (url, address) = (server.url(), server.address());
    let mut cluster = cluster(2, &server).start().await;
    drop(server);
    let client = Client::new(cluster.base(0));
    let ada = people(&client, std::iter::once("Ada".to_owned())).await.remove(0);
    ask(&client, &ada).await;
    cluster.nodes[0].kill();
    let server = MailServer::at(address).await;
    assert_eq!(server.url(), url);
    server.mail_about(&ada.email, "Set a new password").await;
    cluster.nodes[0].restart().await;
    assert_eq!(resets(&server, &[ada]), [1]);
}
