//! More requests than the database can serve: those that would wait too long are refused immediately, those
//! that need no database notice nothing, probes do not take the node out, and all is well once the flood is
//! over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::support::proxy::{Mode, Proxy};
use crate::support::time::Stopwatch;
use crate::support::{Client, Database, Person, Setup, eventually};

/// Clients that send requests continuously.
const FLOOD: usize = 400;
/// Delay of the connection to the database, each way: four connections can answer at most some 200 queries
/// a second.
const DELAY: Duration = Duration::from_millis(5);
/// Time before refusals are checked, in which the service must have measured the database's pace.
const FIRST: Duration = Duration::from_secs(4);
const LASTING: Duration = Duration::from_secs(8);
/// An admitted request waits 1 s by the service's own estimate; a refused one is answered at once. The rest
/// is for slow machines.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Limit for requests that need no database, on a flooded machine.
const QUICK: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Seen {
    served: usize,
    refused: usize,
    slowest: Duration,
    slowest_check: Duration,
    slowest_probe: Duration,
}

#[tokio::test]
#[ignore = "needs PostgreSQL: run ./scripts/test"]
async fn postgres() {
    let setup = Setup::on(Database::Postgres).await;
    let url = setup.get("DATABASE_URL").to_owned();
    let (before, rest) = url.split_once("@127.0.0.1:").unwrap();
    let (port, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::to(&format!("127.0.0.1:{port}")).await;
    let url = format!("{before}@{}/{name}", proxy.address());
    // A machine this busy may poll the feed too late for the default, which other tests are about.
    let setup = setup.set("DATABASE_URL", url).set("REVOCATION_MAX_STALENESS_MS", 10_000);
    let app = setup.set("DATABASE_MAX_CONNECTIONS", 4).start().await;
    let ada = app.devices(&Person::named("Ada"), 1).await.remove(0);
    proxy.set(Mode::Delay(DELAY));

    let (watch, over) = (Stopwatch::start(), AtomicBool::new(false));
    let flood = join_all((0..FLOOD).map(|_| ask_until(&ada, &watch, &over)));
    let watching = async {
        let seen = look_while(&ada, &watch).await;
        over.store(true, Ordering::Relaxed);
        seen
    };
    let (flood, watched) = join(flood, watching).await;
    let served: usize = flood.iter().map(|seen| seen.served).sum();
    let refused: usize = flood.iter().map(|seen| seen.refused).sum();
    let slowest = flood.iter().map(|seen| seen.slowest).max().unwrap();
    println!(
        "{served} served and {refused} refused, the slowest after {slowest:.1?}; checks within {:.1?}, probes within {:.1?}",
        watched.slowest_check, watched.slowest_probe
    );
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    assert!(slowest < ANSWERED_WITHIN, "answered after {slowest:?}");
    assert!(watched.slowest_check < QUICK, "a session was checked in {:?}", watched.slowest_check);
    assert!(watched.slowest_probe < QUICK, "a probe was answered in {:?}", watched.slowest_probe);

    eventually("it is over", ANSWERED_WITHIN, async || {
        let answer = ada.me().await;
        if answer.status == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

/// Sends requests that need the database, one after the other.
async fn ask_until(ada: &Client, watch: &Stopwatch, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !over.load(Ordering::Relaxed) {
        let sent = watch.elapsed();
        let answer = ada.me().await;
        let counts = sent > FIRST;
        match answer.status {
            200 => seen.served += usize::from(counts),
            _ if counts => {
                // On a busy machine, what the node knows from the database may also be too old.
                let code = if answer.json["code"] == "unavailable" { "unavailable" } else { "overloaded" };
                answer.expect_problem(503, code).expect_header("retry-after", "1");
                seen.refused += 1;
                // Waits as a client does after `Retry-After`, but for a shorter time.
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            // Requests that began to wait before the pace was measured are refused late.
            _ => tokio::time::sleep(Duration::from_millis(300)).await,
        }
        if counts {
            seen.slowest = seen.slowest.max(watch.elapsed() - sent);
        }
    }
    seen
}

/// Checks a session and the node's health continuously.
async fn look_while(ada: &Client, watch: &Stopwatch) -> Seen {
    let mut seen = Seen::default();
    while watch.elapsed() < LASTING {
        let sent = watch.elapsed();
        ada.session().await.expect(200);
        seen.slowest_check = seen.slowest_check.max(watch.elapsed() - sent);
        for probe in ["/health", "/health/ready", "/health/live"] {
            let sent = watch.elapsed();
            ada.get(probe).await.expect(200);
            seen.slowest_probe = seen.slowest_probe.max(watch.elapsed() - sent);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    seen
}
