//! Many live sessions of different policies, of users whom no node knows: each overdue one ends in time with nobody asking, and
//! neither the many that are merely idle nor rows that nobody can read hide it.

use std::time::Duration;

use crate::support::{Cluster, Person, eventually};

/// Live sessions; more are tried by hand, where the machine allows.
const SESSIONS: &str = "OVERDUE_SESSIONS";
const USUAL: u32 = 4_000;
/// Of them, sessions of users with a role that this version does not know.
const BROKEN: u32 = 1_000;
/// Six policies: idle timeouts in ms. The three short ones are what falls due while the test looks.
const SHORT: [i64; 3] = [4_000, 8_000, 12_000];
const PATIENT: [i64; 3] = [3_600_000, 86_400_000, 604_800_000];
/// Deadlines of one policy are spread over this time, in ms.
const SPREAD: i64 = 3_000;
/// A timeout is noticed within 5 s of its deadline.
const LATEST_MS: i64 = 5_000;

/// The end of a session by its own times.
const DEADLINE: &str = "least(last_activity + idle_timeout_ms, expires_at)";

/// Copies of a user and of the session it has, with other times. `lead` is the time that storing them takes, in ms: nothing is
/// due before. Of twelve sessions five are of the short policies, one ends at its absolute end, and six go on.
fn seed(sessions: u32, broken: u32, lead: i64) -> [String; 2] {
    let [a, b, c] = SHORT;
    let [x, y, z] = PATIENT;
    let users = format!(
        "INSERT INTO users SELECT (jsonb_populate_record(one, jsonb_build_object('id', gen_random_uuid(), \
         'email', 'u' || n || '@example.com', 'name', n::text, \
         'role', CASE WHEN n <= {broken} THEN 'WIZARD' ELSE one.role END))).* \
         FROM users AS one, generate_series(1, {sessions}) AS n RETURNING 1"
    );
    let sessions = format!(
        "WITH clock AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint + {lead} AS at), \
         times AS (SELECT id, name::int AS n, at - (name::int * 7919 % {SPREAD}) AS active, \
            (ARRAY[{a}, {b}, {c}, {a}, {b}, {z}, {x}, {y}, {z}, {x}, {y}, {z}])[name::int % 12 + 1] AS idle \
            FROM users, clock WHERE name ~ '^[0-9]+$') \
         INSERT INTO sessions SELECT (jsonb_populate_record(one, jsonb_build_object('user_id', times.id, \
            'id', gen_random_uuid(), 'token', gen_random_uuid(), 'created_at', active, 'last_activity', active, \
            'idle_timeout_ms', CASE WHEN n <= {broken} THEN {a} ELSE idle END, \
            'expires_at', active + CASE n % 12 WHEN 5 THEN {c} ELSE {z} END, \
            'ends_at', active + least(CASE WHEN n <= {broken} THEN {a} ELSE idle END, CASE n % 12 WHEN 5 THEN {c} ELSE {z} END)))).* \
         FROM sessions AS one, times RETURNING 1"
    );
    [users, sessions]
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn each_ends_at_its_own_deadline_with_nobody_asking() {
    let wanted = std::env::var(SESSIONS).ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL);
    let cluster = Cluster::of(2).start().await;
    cluster.client(0).signup(&Person::named("Ada")).await.expect(201);
    for statement in seed(wanted, BROKEN, i64::from(wanted) / 4) {
        assert_eq!(cluster.query(&statement).await.len(), wanted as usize);
    }
    let short = format!("ended_at IS NULL AND {DEADLINE} < (SELECT max(created_at) FROM sessions) + 60000");
    let healthy = "user_id NOT IN (SELECT id FROM users WHERE role = 'WIZARD')";
    let due = cluster.count(&format!("SELECT count(*) FROM sessions WHERE {short} AND {healthy}")).await;
    assert!(due * 5 >= i64::from(wanted - BROKEN) * 2, "{due}");
    let within = Duration::from_secs(u64::from(wanted) / 4_000 + 60);
    eventually("all that fell due has ended", within, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let left = cluster.count(&format!("SELECT count(*) FROM sessions WHERE {short} AND {healthy}")).await;
        if left == 0 { Ok(()) } else { Err(format!("{left} are live")) }
    })
    .await;

    let late = |extreme: &str| {
        format!("SELECT {extreme}(ended_at - {DEADLINE}) FROM sessions WHERE ended_at IS NOT NULL")
    };
    let (soonest, latest) = (cluster.count(&late("min")).await, cluster.count(&late("max")).await);
    println!("{due} of {wanted} sessions ended {soonest} to {latest} ms after their own deadlines");
    assert!(soonest >= 0 && latest <= LATEST_MS, "{soonest} to {latest} ms after their deadlines");
    let ended = cluster.count("SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL").await;
    assert_eq!(ended, due, "nothing else has");
    let expired = "SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL AND \
        (end_reason = 'expired') <> (expires_at <= last_activity + idle_timeout_ms)";
    assert_eq!(cluster.count(expired).await, 0, "each for its own reason");

    // Once they can be read again, they end too.
    cluster.query("UPDATE users SET role = 'STARTER' WHERE role = 'WIZARD' RETURNING 1").await;
    eventually("those that were set aside have ended", Duration::from_secs(90), async || {
        let left = cluster.count(&format!("SELECT count(*) FROM sessions WHERE {short}")).await;
        if left == 0 { Ok(()) } else { Err(format!("{left} are live")) }
    })
    .await;
}
