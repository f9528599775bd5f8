//! bcrypt alone: what `scripts/bench` compares logins with. Hashes on that many threads for that many
//! seconds, and prints the hashes per second.
//!
//!     cargo run --release --example hash -- 12 2 5      cost, threads, seconds

use std::env;
use std::thread;
use std::time::{Duration, Instant};

fn argument<T: std::str::FromStr>(place: usize, default: T) -> T {
    env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Hashes until the time is up and the last hash is finished; returns how many, and how long that took.
fn hash(cost: u32, time: Duration) -> Result<(u32, Duration), bcrypt::BcryptError> {
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < time {
        bcrypt::hash("correct horse battery", cost)?;
        count += 1;
    }
    Ok((count, began.elapsed()))
}

#[expect(clippy::print_stdout, reason = "the result")]
fn main() -> Result<(), bcrypt::BcryptError> {
    let (cost, threads) = (argument(1, 12), argument(2, 1));
    let time = Duration::from_secs(argument(3, 5));
    let workers: Vec<_> = (0..threads).map(|_| thread::spawn(move || hash(cost, time))).collect();
    let mut rate = 0.0;
    for worker in workers {
        let (count, took) = worker.join().unwrap_or(Ok((0, time)))?;
        rate += f64::from(count) / took.as_secs_f64();
    }
    println!("{rate:.3}");
    Ok(())
}
