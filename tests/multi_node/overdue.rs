//! Many live sessions with different policies, of users who are resident nowhere: each overdue one ends
//! in time without any request. Neither the many that are merely idle nor unreadable rows hide it.

use std::time::Duration;

use entity::session;
use sea_orm::{IdenStatic, Iterable};

use crate::support::{Cluster, Person, eventually};

/// The number of live sessions, if not [`USUAL`]; larger numbers are tried by hand.
const SESSIONS: &str = "OVERDUE_SESSIONS";
const USUAL: u32 = 10_000;
/// Sessions that become due while the test watches: of users who can be read, and of users with a role
/// that this version does not know.
const DUE: u32 = 1_500;
const BROKEN: u32 = 1_000;
/// Six policies by their idle timeouts, in ms. The short ones become due while the test watches, and not
/// before a slow machine has stored them all.
const SHORT: [i64; 3] = [16_000, 22_000, 28_000];
const PATIENT: [i64; 3] = [3_600_000, 86_400_000, 604_800_000];
/// Deadlines of one policy are spread over this time, in ms.
const SPREAD: i64 = 6_000;
/// A timeout is noticed within 5 s of its deadline.
const LATEST_MS: i64 = 5_000;

/// When a session ends by its own times.
const DEADLINE: &str = "least(last_activity + idle_timeout_ms, expires_at)";
/// Live, and about to become due.
const SHORT_LIVED: &str =
    "ended_at IS NULL AND least(idle_timeout_ms, expires_at - last_activity) <= 60000 AND name <> 'Ada'";
const READABLE: &str = "role <> 'WIZARD'";

/// Copies of a user and of the user's session. They differ in their names, which are numbers, and all of
/// them have long timeouts.
fn patient_ones(sessions: u32) -> [String; 2] {
    let [x, y, z] = PATIENT;
    // Without those that the database derives.
    let columns = session::Column::iter().map(|column| column.as_str()).collect::<Vec<_>>().join(", ");
    [
        format!(
            "INSERT INTO users SELECT (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), \
             'email', 'u' || n || '@example.com', 'name', n::text))).* \
             FROM users AS one, generate_series(1, {sessions}) AS n"
        ),
        format!(
            "INSERT INTO sessions ({columns}) SELECT {columns} FROM ( \
             SELECT (jsonb_populate_record(one, jsonb_build_object('user_id', users.id, \
             'id', gen_random_uuid(), 'token', gen_random_uuid(), \
             'idle_timeout_ms', (ARRAY[{x}, {y}, {z}])[users.name::int % 3 + 1], \
             'ends_at', one.last_activity + (ARRAY[{x}, {y}, {z}])[users.name::int % 3 + 1], \
             'expires_at', one.last_activity + {z}))).* \
             FROM sessions AS one, users WHERE users.name <> 'Ada') AS copies"
        ),
    ]
}

/// Gives the first ones short times from now on: out of six, five have the short policies, and one ends
/// at its absolute end.
fn short_ones() -> String {
    let ([a, b, c], [.., z]) = (SHORT, PATIENT);
    let all = BROKEN + DUE;
    format!(
        "WITH numbered AS MATERIALIZED (SELECT id, name::int AS n FROM users WHERE name <> 'Ada'), \
         due AS (SELECT id, \
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint - n * 7919 % {SPREAD} AS active, \
            (ARRAY[{a}, {b}, {c}, {a}, {b}, {z}])[n % 6 + 1] AS idle, \
            CASE n % 6 WHEN 5 THEN {c} ELSE {z} END AS lifetime FROM numbered WHERE n <= {all}), \
         broken AS (UPDATE users SET role = 'WIZARD' FROM numbered WHERE users.id = numbered.id AND n <= {BROKEN}) \
         UPDATE sessions SET created_at = active, last_activity = active, idle_timeout_ms = idle, \
            expires_at = active + lifetime, ends_at = active + least(idle, lifetime) \
         FROM due WHERE user_id = due.id"
    )
}

async fn count(cluster: &Cluster, condition: &str) -> i64 {
    let from = "FROM sessions JOIN users ON users.id = sessions.user_id";
    cluster.count(&format!("SELECT count(*) {from} WHERE {condition}")).await
}

async fn none_is_left(cluster: &Cluster, condition: &str, within: Duration) {
    eventually("all that fell due has ended", within, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let left = count(cluster, condition).await;
        if left == 0 { Ok(()) } else { Err(format!("{left} are live")) }
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn each_ends_at_its_own_deadline_with_nobody_asking() {
    let wanted = std::env::var(SESSIONS).ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL);
    let cluster = Cluster::of(2).set("SESSION_TIMEOUT_MINUTES", 60).start().await;
    cluster.client(0).signup(&Person::named("Ada")).await.expect(201);
    for statement in patient_ones(wanted) {
        cluster.query(&statement).await;
    }
    cluster.query(&short_ones()).await;
    let readable = format!("{SHORT_LIVED} AND {READABLE}");
    assert_eq!(count(&cluster, &readable).await, i64::from(DUE));
    none_is_left(&cluster, &readable, Duration::from_secs(60)).await;

    let late = |extreme: &str| {
        format!("SELECT {extreme}(ended_at - {DEADLINE}) FROM sessions WHERE ended_at IS NOT NULL")
    };
    let (soonest, latest) = (cluster.count(&late("min")).await, cluster.count(&late("max")).await);
    println!("{DUE} of {wanted} sessions ended {soonest} to {latest} ms after their own deadlines");
    assert!(soonest >= 0 && latest <= LATEST_MS, "{soonest} to {latest} ms after their deadlines");
    assert_eq!(count(&cluster, "ended_at IS NOT NULL").await, i64::from(DUE), "nothing else has ended");
    let wrong = "ended_at IS NOT NULL AND (end_reason = 'expired') <> (expires_at <= last_activity + idle_timeout_ms)";
    assert_eq!(count(&cluster, wrong).await, 0, "each for its own reason");

    // Once they can be read again, they end too.
    cluster.query("UPDATE users SET role = 'STARTER' WHERE role = 'WIZARD'").await;
    none_is_left(&cluster, SHORT_LIVED, Duration::from_secs(90)).await;
}
