//! `/admin/sessions` and `/admin/users/{id}/sessions`: who is signed in where; an operator ends sessions, and
//! devices and other services are notified.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::admin_users::operated;
use super::api_keys::with_key;
use crate::support::{Connection, Database, Person, Setup, Transport, eventually, on_each_database};

on_each_database!(
    sessions_are_listed_the_most_recently_active_first,
    sessions_are_ended_for_a_reason,
    an_operator_who_hangs_up_has_ended_them_all_the_same,
);

fn ids(value: &Value) -> Vec<&str> {
    value["sessions"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect()
}

async fn sessions_are_listed_the_most_recently_active_first(db: Database) {
    let setup = Setup::on(db).await.set("ACTIVITY_FLUSH_SECONDS", "0.05");
    let (app, operator) = operated(setup).await;
    let (ada, eve) = (Person::named("Ada"), Person::named("Eve"));
    let devices = app.devices(&ada, 3).await;
    let other = app.devices(&eve, 1).await;
    let id = operator.get("/admin/users?email=ada@example.com").await.expect(200).uuid("/users/0/id");
    devices[0].activity().await.expect(200);
    let path = format!("/admin/users/{id}/sessions");
    let wanted = [&devices[0], &devices[2], &devices[1]].map(|device| device.session_id.as_str());
    let listed = eventually("activity is stored", Duration::from_secs(5), async || {
        let listed = operator.get(&path).await.expect(200).json;
        if ids(&listed) == wanted { Ok(listed) } else { Err(listed.to_string()) }
    })
    .await;
    let first = &listed["sessions"][0];
    assert_eq!((&first["userId"], &first["acr"]), (&json!(id), &json!("aal1")));
    assert!(first["idleExpiresAt"].is_string() && first["token"].is_null(), "{first}");

    let all = operator.get("/admin/sessions").await.expect(200).json;
    assert_eq!(ids(&all).len(), 4);
    assert!(ids(&all).contains(&other[0].session_id.as_str()));
    let (mut seen, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = operator.get(&format!("/admin/sessions?{query}")).await.expect(200).json;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("limit=3&cursor={cursor}");
    }
    assert_eq!(seen, ids(&all));
    let cursor =
        operator.get("/admin/sessions?limit=1").await.json["nextCursor"].as_str().unwrap().to_owned();
    operator.get(&format!("{path}?cursor={cursor}")).await.expect_problem(422, "validation_failed");
}

async fn sessions_are_ended_for_a_reason(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 3).await;
    let mut phone = Connection::open(Transport::Sse, &devices[2]).await;
    let id = operator.get("/admin/users?email=ada@example.com").await.expect(200).uuid("/users/0/id");
    let end = async |path: &str| {
        let request = operator.request(Method::DELETE, &format!("/admin/users/{id}/sessions{path}"));
        operator.send(request).await
    };
    end("?reason=evicted").await.expect_problem(422, "validation_failed");
    let path = format!("/{}", devices[0].session_id);
    assert_eq!(end(&path).await.expect(200).json, json!({"terminated": 1}));
    // It takes effect at once on this node, and the person's other devices are notified.
    devices[0].session().await.expect_problem(401, "session_terminated");
    let told = phone.expect("session.terminated").await;
    assert_eq!(
        (&told["sessionId"], &told["terminatedBySessionId"]),
        (&json!(devices[0].session_id), &Value::Null)
    );
    end(&path).await.expect_problem(404, "session_not_found");
    end("/nonsense").await.expect_problem(404, "session_not_found");
    assert_eq!(end("?reason=logout").await.expect(200).json, json!({"terminated": 2}));
    for device in &devices[1..] {
        device.session().await.expect_problem(401, "session_logged_out");
    }
    assert_eq!(end("").await.expect(200).json, json!({"terminated": 0}));
    let nobody =
        operator.request(Method::DELETE, "/admin/users/0198c1a2-3b4d-7a10-9c2b-5d6e7f809112/sessions");
    operator.send(nobody).await.expect_problem(404, "user_not_found");
}

/// The connection may break at any moment. What is stored as ended is refused, and nothing else is.
async fn an_operator_who_hangs_up_has_ended_them_all_the_same(db: Database) {
    const ROUNDS: u64 = 40;
    let (app, operator) = operated(Setup::on(db).await).await;
    let key = operator.access.clone().unwrap();
    let mut ended = 0;
    for round in 0..ROUNDS {
        let person = Person::named(&format!("Ada{round}"));
        let device = app.devices(&person, 1).await.remove(0);
        let path = format!("/admin/users/{}/sessions", device.claims()["sub"].as_str().unwrap());
        let mut line = TcpStream::connect(app.address()).await.unwrap();
        let head = format!("DELETE {path} HTTP/1.1\r\nHost: auth\r\nAuthorization: Bearer {key}\r\n\r\n");
        line.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_micros(round * 150)).await;
        // This sends a TCP reset, which the service notices while it works.
        line.set_zero_linger().unwrap();
        drop(line);
        eventually("it is ended and refused, or neither", Duration::from_secs(3), async || {
            let sessions = operator.get(&path).await.expect(200).json["sessions"].as_array().unwrap().len();
            let status = device.session().await.status;
            match (sessions, status) {
                (0, 401) => {
                    ended += 1;
                    Ok(())
                }
                (1, 200) => Ok(()),
                _ => Err(format!("{sessions} sessions stored, {status}")),
            }
        })
        .await;
    }
    assert!(ended > 0, "no request came far enough");
}

#[tokio::test]
async fn a_key_may_ask_so_often() {
    let setup = Setup::on(Database::Sqlite)
        .await
        .set("RATE_LIMIT_ENABLED", true)
        .set("RATE_LIMIT_ADMIN_PER_MINUTE", 3);
    let (one, other) = (setup.api_key(&["users:read"]).await, setup.api_key(&["users:read"]).await);
    let app = setup.start().await;
    for _ in 0..3 {
        with_key(&app, &one).get("/admin/users").await.expect(200);
    }
    with_key(&app, &one).get("/admin/users").await.expect_problem(429, "rate_limited");
    with_key(&app, &other).get("/api/auth/admin/users").await.expect(200);
    with_key(&app, &other).get("/admin/sessions").await.expect_problem(403, "insufficient_scope");
    app.client().get("/admin/users").await.expect_problem(401, "token_missing");
}
