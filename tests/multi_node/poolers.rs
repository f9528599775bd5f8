//! PgBouncer, Debian's own, between the nodes and PostgreSQL: what works with it, what is refused at
//! start, and that neither a suspended Redis nor a suspended node blocks others behind it.

use std::time::Duration;

use futures_util::future::join_all;

use super::events::{everything_is_told, write, writers};
use crate::support::pgbouncer::PgBouncer;
use crate::support::proxy::Mode;
use crate::support::time::Stopwatch;
use crate::support::{Cluster, Database, Person, Setup, eventually};

/// By then, another node has published the events of a lane whose turn is held by a suspended node.
const REPLACED_WITHIN: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

async fn behind(settings: &[&str]) -> (PgBouncer, Setup) {
    let setup = Setup::on(Database::Postgres).await;
    let (before, rest) = setup.get("DATABASE_URL").split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let pooler = PgBouncer::start(server, settings).await;
    let url = format!("{before}@{}/{name}", pooler.address());
    let setup = setup.set("DATABASE_URL", url);
    (pooler, setup)
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_pooler_by_session_needs_no_other_setting_postgres() {
    let (_pooler, setup) = behind(&["pool_mode = session"]).await;
    let mut app = setup.start().await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    device.refresh().await.expect(200);
    device.session().await.expect(200);
    device.logout().await.expect(204);
    app.terminate().await.expect_code(0);
}

/// 1.18 does not support prepared statements; startup refuses it, rather than failing half of the requests.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn a_pooler_by_transaction_is_refused_in_plain_words_postgres() {
    let (_pooler, setup) = behind(&["pool_mode = transaction"]).await;
    let ended = setup.run().await.expect_code(1);
    let ended = ended.expect_output("pool_mode = session").expect_output("max_prepared_statements");
    assert!(ended.took < TIMEOUT, "refused after {:?}", ended.took);
}

/// As with a setting of `options` in the address, which PgBouncer treats as its own and refuses.
#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn what_a_pooler_refuses_is_told_as_it_says_it_postgres() {
    let (_pooler, setup) = behind(&["pool_mode = session"]).await;
    let url = format!("{}?options=-c%20search_path%3Dpublic", setup.get("DATABASE_URL"));
    setup
        .set("DATABASE_URL", url)
        .run()
        .await
        .expect_code(1)
        .expect_output("unsupported startup parameter: options");
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn behind_a_pooler_every_event_is_told_in_order() {
    let cluster =
        Cluster::of(3).behind_pooler(&["pool_mode = session", "default_pool_size = 80"]).start().await;
    let mut writers = writers(&cluster).await;
    write(&mut writers, &[cluster.base(0), cluster.base(1), cluster.base(2)]).await;
    everything_is_told(&cluster, &writers).await;
}

/// Each node takes a lane's turn, reads, and is suspended before Redis has its events. The connection to
/// Redis is slow, so that the test knows when the node has the turn.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_that_stands_still_with_the_turn_is_replaced() {
    let setup = Cluster::of(2).behind_proxies().set("OUTBOX_LANES", 1);
    let cluster = setup.behind_pooler(&["pool_mode = session", "default_pool_size = 60"]).start().await;
    let (mut frozen, mut other) = (cluster.client(0), cluster.client(1));
    let person = Person::named("Ada");
    frozen.signup(&person).await.expect(201);
    other.signup(&Person::named("Bob")).await.expect(201);
    cluster.all_is_published(TIMEOUT).await;

    cluster.nodes[0].redis().set(Mode::Delay(Duration::from_millis(400)));
    frozen.login(&person).await.expect(200);
    eventually("the node has its turn", TIMEOUT, async || {
        match cluster.redis.server().ask(&["EXISTS", "auth:turn:1:0"]).await.as_str() {
            "1" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    cluster.nodes[0].freeze();
    let watch = Stopwatch::start();
    other.logout().await.expect(204);
    cluster.all_is_published(REPLACED_WITHIN).await;
    println!("another node published {:.1?} after one stood still with the turn", watch.elapsed());
    assert!(watch.elapsed() < REPLACED_WITHIN, "published after {:?}", watch.elapsed());

    // What was on its way is refused when the node resumes: everything is published once.
    cluster.nodes[0].thaw();
    cluster.nodes[0].redis().set(Mode::Forward);
    frozen.refresh().await.expect(200);
    cluster.all_is_published(TIMEOUT).await;
    let (stream, events) = (cluster.redis.stream().await, cluster.redis.events().await);
    assert_eq!(stream.len(), events.len(), "told twice");
}

/// With only as many connections as there are nodes, so that one that waited for Redis would be missed.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_redis_that_stands_still_holds_no_connection() {
    const LOGINS: usize = 40;
    let cluster =
        Cluster::of(2).set("DATABASE_MAX_CONNECTIONS", 1).set("MAX_SESSIONS_PER_USER", 1_000).start().await;
    let people: Vec<_> = (0..8).map(|number| Person::named(&format!("Person{number}"))).collect();
    for person in &people {
        cluster.client(0).signup(person).await.expect(201);
    }
    cluster.redis.freeze();
    // Everything that publishes is waiting for Redis by now, and keeps waiting.
    cluster.client(0).login(&people[0]).await.expect(200);
    let watch = Stopwatch::start();
    let logins = people.iter().enumerate().map(async |(number, person)| {
        for round in 0..LOGINS / 8 {
            cluster.client((number + round) % 2).login(person).await.expect(200);
        }
    });
    join_all(logins).await;
    let took = watch.elapsed();
    println!("{LOGINS} logins took {took:.1?} while Redis stood still");
    assert!(took < Duration::from_secs(15), "{LOGINS} logins took {took:?}");
    cluster.redis.thaw();
    cluster.all_is_published(TIMEOUT).await;
}
