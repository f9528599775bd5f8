//! The same nodes for a long time: one round after another, each with new people. `SOAK_MINUTES=20` sets
//! how long; by default it ends after two rounds.

use std::time::Duration;

use super::{cluster, round};
use crate::support::time::Stopwatch;

/// The node that is never killed: its memory is watched.
const WATCHED: usize = 0;
/// How much memory may grow from the first half of a long run to the second: each verified token is
/// remembered, in about 100 bytes, and a faster machine verifies more of them.
const GROWTH: f64 = 1.1;
/// Rounds after which memory is compared: by then caches and pools have reached their size.
const WARM_AFTER: usize = 8;

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_node_lives_long_and_stays_small() {
    let minutes = std::env::var("SOAK_MINUTES").ok().map_or(0.0, |text| text.parse().unwrap());
    let (watch, lasting) = (Stopwatch::start(), Duration::from_secs_f64(minutes * 60.0));
    let mut cluster = cluster(true).await;
    let mut memory = Vec::new();
    while memory.len() < 2 || watch.elapsed() < lasting {
        let seed = 10_000 + memory.len() as u64;
        Box::pin(round(seed, Some(WATCHED), &mut cluster)).await;
        // The events so far have been checked.
        cluster.redis.server().command(&["XTRIM", "auth:events", "MAXLEN", "0"]).await;
        memory.push(cluster.nodes[WATCHED].resident_memory());
        println!("after {:.0?}: {} KiB", watch.elapsed(), memory[memory.len() - 1] / 1024);
    }
    let warm = memory.get(WARM_AFTER..).unwrap_or_default();
    if warm.len() > WARM_AFTER {
        let (early, late) = warm.split_at(warm.len() / 2);
        let (early, late) = (median(early), median(late));
        println!("memory: {} KiB in the first half, {} KiB in the second", early / 1024, late / 1024);
        assert!((late as f64) < early as f64 * GROWTH, "it grew from {early} to {late} bytes");
    }
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
