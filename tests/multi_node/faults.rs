//! PostgreSQL is frozen, killed, replaced by its standby, out of connections or read-only: requests are
//! refused within bounded time meanwhile, nothing acknowledged is lost, and nothing has to be restarted
//! afterwards.

use std::time::Duration;

use futures_util::future::{join, join_all};

use super::revocation::{BOUND, check_within_bound};
use crate::support::postgres::{PostgresServer, url_at};
use crate::support::proxy::Proxy;
use crate::support::time::{Stopwatch, millis_of};
use crate::support::writer::{Writer, settled, write_until};
use crate::support::{Client, Database, Person, Setup, TestApp, eventually};

const WRITERS: usize = 4;
/// How long a refusal may take: 6 s of waiting for the database, and a slow machine.
const REFUSED_WITHIN: Duration = Duration::from_secs(9);
/// From the database being available again to the service being available.
const MENDED_WITHIN: Duration = Duration::from_secs(15);

/// Nodes on one database, and people who use them.
struct Scene {
    nodes: Vec<TestApp>,
    writers: Vec<Writer>,
    ada: Person,
    /// Signed in, and not one of the writers.
    device: Client,
    /// Another person's device, likewise.
    other: Client,
    /// Signed out.
    ended: Client,
}

impl Scene {
    async fn on(urls: &[String]) -> Self {
        let nodes = join_all(urls.iter().map(|url| node(url))).await;
        let bases: Vec<_> = nodes.iter().map(TestApp::base).collect();
        let writers = bases.iter().cycle().take(WRITERS).enumerate();
        let writers = join_all(writers.map(|(number, base)| Writer::new(base, number))).await;
        let ada = Person::named("Ada");
        let (mut device, mut other, mut ended) = (nodes[0].client(), nodes[0].client(), nodes[0].client());
        device.signup(&ada).await.expect(201);
        other.signup(&Person::named("Bob")).await.expect(201);
        ended.login(&ada).await.expect(200);
        ended.logout().await.expect(204);
        Self { nodes, writers, ada, device, other, ended }
    }

    /// Breaks something while everybody writes; returns when nobody can write any more.
    async fn break_while_writing(&mut self, fault: impl Future<Output = ()>) {
        let bases: Vec<_> = self.nodes.iter().map(TestApp::base).collect();
        write_until(&bases, &mut self.writers, fault).await;
    }

    /// All writes are refused, in bounded time. None of them is carried out later: see
    /// [`Self::is_whole_again`].
    async fn writes_are_refused(&self) {
        let asked = Stopwatch::start();
        let (mut login, mut signup) = (self.nodes[0].client(), self.nodes[0].client());
        let (mut refresh, mut logout) = (self.device.clone(), self.other.clone());
        let eve = Person::named("Eve");
        let (login, signup) = join(login.login(&self.ada), signup.signup(&eve)).await;
        let (refresh, logout) = join(refresh.refresh(), logout.logout()).await;
        for answer in [login, signup, refresh, logout] {
            answer.expect_problem(503, "unavailable");
        }
        // Two waits, one after the other.
        assert!(asked.elapsed() < REFUSED_WITHIN * 2, "refused after {:?}", asked.elapsed());
    }

    /// No memory is trusted for longer than the bound, and no answer says that a session is over.
    async fn is_silent_past_the_bound(&self, broken: &Stopwatch) {
        while broken.elapsed() < BOUND * 2 {
            let sent = broken.elapsed();
            let (live, ended) = join(self.device.session(), self.ended.session()).await;
            match live.status {
                200 => check_within_bound(sent, &live),
                _ => drop(live.expect_problem(503, "unavailable")),
            }
            assert!(matches!(ended.status, 401 | 503), "{ended}");
        }
        let health = self.nodes[0].client().get("/health").await;
        assert_eq!((health.status, &health.json["status"]), (503, &"unavailable".into()), "{health}");
        self.nodes[0].client().get("/health/live").await.expect(200);
    }

    /// Everything is as it was acknowledged, and everybody is served, without a restart.
    async fn is_whole_again(&mut self) {
        let back = Stopwatch::start();
        for node in &self.nodes {
            let mut device = node.client();
            eventually("the node serves again", MENDED_WITHIN, async || {
                let answer = device.login(&self.ada).await;
                let session = device.session().await;
                match (answer.status, session.status) {
                    (200, 200) => Ok(()),
                    _ => Err(format!("{answer}, then {session}")),
                }
            })
            .await;
        }
        println!("served again after {:.1?}", back.elapsed());
        for device in [&mut self.device, &mut self.other] {
            settled(async || device.session().await).await.expect(200);
            settled(async || device.refresh().await).await.expect(200);
        }
        settled(async || self.ended.session().await).await.expect_problem(401, "session_logged_out");
        for writer in &mut self.writers {
            writer.check().await;
        }
        settled_probe(&self.nodes[0].client()).await;
    }
}

/// A poll of the feed may be late on a busy machine; then the node answers 503 for a moment.
async fn settled_probe(client: &Client) {
    eventually("the node is ready", MENDED_WITHIN, async || {
        let answer = client.get("/health/ready").await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

async fn node(url: &str) -> TestApp {
    let setup =
        Setup::on(Database::Sqlite).await.set("DATABASE_URL", url).set("MAX_SESSIONS_PER_USER", 1_000);
    // A client whose refresh was carried out after all looks like a thief when it retries.
    setup.set("REFRESH_REUSE_GRACE_SECONDS", 1).start().await
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_frozen_database_is_not_waited_for_and_goes_on() {
    let server = PostgresServer::start(&[]).await;
    let mut scene = Scene::on(&[server.url()]).await;
    let mut frozen = Stopwatch::start();
    scene
        .break_while_writing(async {
            server.freeze().await;
            frozen = Stopwatch::start();
        })
        .await;
    join(scene.is_silent_past_the_bound(&frozen), scene.writes_are_refused()).await;
    server.thaw();
    scene.is_whole_again().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_killed_database_has_everything_when_it_is_back() {
    let mut server = PostgresServer::start(&[]).await;
    let mut scene = Scene::on(&[server.url()]).await;
    let mut killed = Stopwatch::start();
    scene
        .break_while_writing(async {
            server.kill().await;
            killed = Stopwatch::start();
        })
        .await;
    join(scene.is_silent_past_the_bound(&killed), scene.writes_are_refused()).await;
    server.restart().await;
    scene.is_whole_again().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_standby_that_takes_over_has_everything() {
    let mut primary = PostgresServer::start(&[]).await;
    let standby = primary.standby().await;
    let proxy = Proxy::to(&primary.address()).await;
    let url = url_at(&proxy.address().to_string());
    let mut scene = Scene::on(&[url.clone(), url]).await;
    scene
        .break_while_writing(async {
            primary.kill().await;
            proxy.lead_to(&standby.address());
        })
        .await;
    // The standby has not been promoted yet.
    scene.writes_are_refused().await;
    standby.promote().await;
    scene.is_whole_again().await;
}

/// No proxy and no changed address: the nodes were given both servers, and find the one that accepts
/// writes.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn of_several_servers_the_one_that_has_been_promoted_is_found() {
    let mut primary = PostgresServer::start(&[]).await;
    let standby = primary.standby().await;
    let hosts = format!("{},{}", standby.address(), primary.address());
    let url = format!("{}?target_session_attrs=read-write", url_at(&hosts));
    // The standby comes first in the address, and is not chosen.
    let mut scene = Scene::on(&[url.clone(), url]).await;
    scene.break_while_writing(async { primary.kill().await }).await;
    scene.writes_are_refused().await;
    standby.promote().await;
    scene.is_whole_again().await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_database_is_reached_by_a_socket_and_by_ipv6() {
    let server = PostgresServer::start(&["listen_addresses=127.0.0.1,::1"]).await;
    let (folder, port) = server.socket();
    let encoded = folder.replace('/', "%2F");
    let mut urls = vec![
        format!("postgres://postgres@/postgres?host={folder}&port={port}"),
        format!("postgres://postgres@{encoded}:{port}/postgres"),
    ];
    // Where the machine has no IPv6 there is nothing to reach.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        urls.push(url_at(&format!("[::1]:{port}")));
    }
    let nodes = join_all(urls.iter().map(|url| node(url))).await;
    let mut device = nodes[0].client();
    device.signup(&Person::named("Ada")).await.expect(201);
    for node in &nodes {
        settled(async || device.at(node.base()).session().await).await.expect(200);
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_database_without_a_free_connection_is_one_that_is_away() {
    let server = PostgresServer::start(&["max_connections=14"]).await;
    let mut scene = Scene::on(&[server.url()]).await;
    let taken = server.use_up_connections("auth-service%").await;
    // The service has no connections of its own left: it lost the last of them a moment ago.
    let lost = Stopwatch::start();
    join(scene.is_silent_past_the_bound(&lost), scene.writes_are_refused()).await;
    for connection in taken {
        connection.close().await.unwrap();
    }
    scene.is_whole_again().await;
}

/// New connections are read-only, so those opened meanwhile stay read-only when the database is writable
/// again.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_read_only_database_serves_who_is_signed_in() {
    let server = PostgresServer::start(&[]).await;
    let mut scene = Scene::on(&[server.url()]).await;
    let end_connections =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'auth-service%'";
    scene
        .break_while_writing(async {
            server.execute("ALTER DATABASE postgres SET default_transaction_read_only = on").await;
            server.execute(end_connections).await;
        })
        .await;
    scene.writes_are_refused().await;
    eventually("the feed has its connection again", MENDED_WITHIN, async || {
        let answer = scene.device.session().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    settled(async || scene.device.me().await).await.expect(200);
    settled(async || scene.device.sessions().await).await.expect(200);
    settled(async || scene.ended.session().await).await.expect_problem(401, "session_logged_out");
    let active = settled(async || scene.device.activity().await).await.expect(200).json;

    let reset = "ALTER DATABASE postgres RESET default_transaction_read_only";
    server.execute(&format!("BEGIN READ WRITE; {reset}; COMMIT")).await;
    scene.is_whole_again().await;
    // What could not be written was not lost.
    let (id, at) = (&scene.device.session_id, millis_of(&active["lastActivity"]));
    let stored = format!("SELECT count(*) FROM sessions WHERE id = '{id}' AND last_activity >= {at}");
    eventually("the activity is stored", MENDED_WITHIN, async || match server.count(&stored).await {
        1 => Ok(()),
        count => Err(format!("{count} rows")),
    })
    .await;
}

/// A standby may lag behind: here its replay is paused. What a node reads there is no reason to accept
/// anybody.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_node_that_was_led_to_a_standby_trusts_nothing_it_reads() {
    let primary = PostgresServer::start(&[]).await;
    let standby = primary.standby().await;
    let proxy = Proxy::to(&primary.address()).await;
    let led = url_at(&proxy.address().to_string());
    let scene = Scene::on(&[primary.url(), led]).await;
    let mut other = scene.nodes[0].client();
    other.login(&scene.ada).await.expect(200);
    let there = other.at(scene.nodes[1].base());
    eventually("the session is known there", MENDED_WITHIN, async || {
        let answer = there.session().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;

    standby.execute("SELECT pg_wal_replay_pause()").await;
    proxy.lead_to(&standby.address());
    proxy.cut_open();
    other.logout().await.expect(204);
    let ended = Stopwatch::start();
    while ended.elapsed() < BOUND * 3 {
        let sent = ended.elapsed();
        let answer = there.session().await;
        match answer.status {
            200 => check_within_bound(sent, &answer),
            _ => drop(answer.expect_problem(503, "unavailable")),
        }
    }
    scene.nodes[1].client().login(&scene.ada).await.expect_problem(503, "unavailable");

    // Open connections stay open, and lead to the standby for as long as the node keeps them.
    proxy.lead_to(&primary.address());
    eventually("the node serves again", MENDED_WITHIN, async || {
        let answer = scene.nodes[1].client().login(&scene.ada).await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
    let refused = async {
        loop {
            let answer = there.session().await;
            assert_ne!(answer.status, 200, "accepted {:?} after its end: {answer}", ended.elapsed());
            if answer.status == 401 {
                return answer.expect_problem(401, "session_logged_out");
            }
        }
    };
    tokio::time::timeout(MENDED_WITHIN, refused).await.expect("the session is refused in the end");
}
