//! A seeded random test: people use all nodes at once while nodes are killed, frozen and cut off; then
//! every answer is checked against the session rules of the contract.
//!
//! In reading order: `history` (what is recorded), `people` (who act), `faults` (what is done to the
//! cluster), `rules` (what must hold), `soak` (the same for long, on nodes that keep running).
//! `CHAOS_SEEDS=50` runs that many seeds instead of five, `CHAOS_SEED=17` only that one. The seed
//! decides who tries what, where and when; the machine decides how it interleaves.

mod faults;
mod history;
mod people;
mod rules;
mod soak;

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::support::app::STALENESS;
use crate::support::cluster::ClusterSetup;
use crate::support::time::{Stopwatch, unix_millis};
use crate::support::{Client, Cluster, eventually};
use history::History;
use people::{Bases, Someone};
use rules::{LIMIT, Stored};

const SEEDS: RangeInclusive<u64> = 1..=5;
const CLUSTER_SEED: u64 = 901;
const NODES: usize = 3;
const PEOPLE: usize = 5;
/// How many things one person does at the same time.
const HANDS: usize = 3;
const DURATION_MS: i64 = 9_000;
const HEALED_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_session_rules_hold_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match (number("CHAOS_SEED"), number("CHAOS_SEEDS")) {
        (Some(one), _) => one..=one,
        (None, Some(count)) => 1..=count,
        (None, None) => SEEDS,
    };
    for seed in seeds {
        Box::pin(run(seed)).await;
    }
}

/// Masters of the Cluster are killed and replaced all the time; nodes reach it without proxies.
#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn the_session_rules_hold_on_a_redis_cluster() {
    let mut cluster = setup().on_redis_cluster().start().await;
    Box::pin(round(CLUSTER_SEED, None, &mut cluster)).await;
}

fn setup() -> ClusterSetup {
    Cluster::of(NODES)
        .set(STALENESS, 1_000)
        .set("MAX_SESSIONS_PER_USER", LIMIT)
        .set("SESSION_TIMEOUT_MINUTES", rules::TIMEOUT_MS as f64 / 60_000.0)
        .set("SESSION_LIFETIME_HOURS", 8.0 / 3_600.0)
        .set("ACTIVITY_FLUSH_SECONDS", rules::FLUSH_MS as f64 / 1_000.0)
        // A rotation whose answer was lost must not look like theft.
        .set("REFRESH_REUSE_GRACE_SECONDS", 300)
        .behind_proxies()
}

/// Every node has connections of its own, to PostgreSQL or to a pooler in front of it.
async fn cluster(pooler: bool) -> Cluster {
    match pooler {
        true => setup().behind_pooler(&["pool_mode = session", "default_pool_size = 80"]).start().await,
        false => setup().start().await,
    }
}

async fn run(seed: u64) {
    let mut cluster = cluster(seed.is_multiple_of(2)).await;
    round(seed, None, &mut cluster).await;
}

/// New people act while things break; then checks that the rules have held.
async fn round(seed: u64, spared: Option<usize>, cluster: &mut Cluster) {
    let watch = Stopwatch::start();
    let began_at = unix_millis();
    let bases = Bases::of(cluster);
    let history = History::default();
    let people: Vec<_> = (0..PEOPLE).map(|number| Someone::numbered(number, seed)).collect();
    join_all(people.iter().map(|someone| someone.sign_up(&bases, &history))).await;

    let ends_at = unix_millis() + DURATION_MS;
    let hands = people.iter().enumerate().flat_map(|(number, someone)| {
        let (bases, history) = (&bases, &history);
        (0..HANDS).map(move |hand| {
            let random = StdRng::seed_from_u64(seed * 1_000 + (number * HANDS + hand) as u64);
            someone.act_until(ends_at, random, bases, history)
        })
    });
    let acting = join_all(hands);
    let watcher = cluster.connect().await;
    let most = Cell::new(0);
    let sampling = rules::sample(&watcher, &most);
    let breaking = faults::until(ends_at, seed, spared, cluster, &bases, &history);
    match select(Box::pin(join(acting, breaking)), Box::pin(sampling)).await {
        Either::Left(_) => {}
        Either::Right((never, _)) => match never {},
    }

    heal(&bases).await;
    // Every node knows every session, or why it is over.
    let healed_at = unix_millis();
    join_all(people.iter().map(|someone| someone.look_everywhere(&bases, &history))).await;
    let stored = Stored::read(cluster, began_at).await;
    let history = history.into_entries();
    let summary = history::summary(&history);
    if let Err(violation) = rules::check(&history, &stored, most.get(), healed_at) {
        panic!("seed {seed} (CHAOS_SEED={seed}): {}", violation.told(&history));
    }
    println!("seed {seed}: the rules held over {summary}, in {:.1?}", watch.elapsed());
}

async fn heal(bases: &Bases) {
    for node in 0..NODES {
        let client = Client::with_patience(&bases.get(node), Duration::from_secs(5));
        eventually("the node is ready again", HEALED_WITHIN, async || {
            match client.try_get("/health/ready").await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.to_string()),
                Err(cause) => Err(cause.to_string()),
            }
        })
        .await;
    }
}
