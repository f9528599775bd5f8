//! GET `/sessions`, DELETE `/sessions/{id}`, DELETE `/sessions/all`: all devices of a person, and ending
//! them.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::answer::members;
use crate::support::{Client, Database, Person, TestApp, eventually, on_each_database, timestamp};

on_each_database!(
    the_most_recently_active_comes_first,
    terminating_another_ends_it_at_once_and_tells_why,
    terminating_itself_is_a_logout,
    terminating_all_others_leaves_this_one,
    a_session_of_somebody_else_is_not_there,
);

/// One person on several devices, in the order in which they signed in.
async fn devices(app: &TestApp, count: usize) -> Vec<Client> {
    let ada = Person::named("Ada");
    let mut first = app.client();
    first.signup(&ada).await.expect(201);
    let mut devices = vec![first];
    while devices.len() < count {
        let mut device = app.client();
        let latest = devices.last().unwrap();
        let before = latest.session().await.expect(200).json["session"]["lastActivity"].clone();
        device.login(&ada).await.expect(200);
        // So that the times are in the order of the logins, however fast the machine is.
        become_latest(&device, &before).await;
        devices.push(device);
    }
    devices
}

/// Reports activity until its time is later than a given one.
async fn become_latest(device: &Client, before: &Value) -> Value {
    eventually("activity moves", Duration::from_secs(5), async || {
        let last = device.activity().await.expect(200).json["lastActivity"].clone();
        if timestamp(&last) > timestamp(before) { Ok(last) } else { Err(last.to_string()) }
    })
    .await
}

fn ids(list: &Value) -> Vec<&str> {
    let sessions = list["sessions"].as_array().unwrap();
    sessions.iter().map(|session| session["id"].as_str().unwrap()).collect()
}

async fn the_most_recently_active_comes_first(db: Database) {
    let app = TestApp::on(db).await;
    let devices = devices(&app, 3).await;
    let [first, second, third] = devices.as_slice() else { unreachable!() };

    let list = second.sessions().await.expect(200).json;
    assert_eq!(members(&list), ["maxSessions", "sessions", "total"]);
    assert_eq!(list["total"], 3);
    assert_eq!(list["maxSessions"], 5);
    assert_eq!(ids(&list), [&third.session_id, &second.session_id, &first.session_id]);
    let current: Vec<_> = list["sessions"].as_array().unwrap().iter().map(|s| &s["current"]).collect();
    assert_eq!(current, [&json!(false), &json!(true), &json!(false)]);
    assert_eq!(members(&list["sessions"][0]).len(), 8);

    let latest = list["sessions"][0]["lastActivity"].clone();
    become_latest(first, &latest).await;
    let list = second.sessions().await.expect(200).json;
    assert_eq!(ids(&list), [&first.session_id, &third.session_id, &second.session_id]);
}

async fn terminating_another_ends_it_at_once_and_tells_why(db: Database) {
    let app = TestApp::on(db).await;
    let mut devices = devices(&app, 3).await;
    let gone = devices.remove(1);
    let mut by = devices.remove(0);

    let answer = by.terminate(&gone.session_id).await.expect(204);
    assert_eq!(answer.text, "");
    assert_eq!(answer.set_cookie(), None, "the cookie of the one who ends another stays");

    for answer in [gone.session().await, gone.me().await, gone.sessions().await, gone.activity().await] {
        let answer = answer.expect_problem(401, "session_terminated");
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
    }
    let list = by.sessions().await.expect(200).json;
    assert_eq!(list["total"], 2);
    assert!(!ids(&list).contains(&gone.session_id.as_str()));
    // It has ended already, so there is no such session any more.
    by.terminate(&gone.session_id).await.expect_problem(404, "session_not_found");
}

async fn terminating_itself_is_a_logout(db: Database) {
    let app = TestApp::on(db).await;
    let mut devices = devices(&app, 2).await;
    let own = devices[0].session_id.clone();
    let cookie = devices[0].cookie.clone().unwrap();

    let answer = devices[0].terminate(&own).await.expect(204);
    answer.expect_cookie_cleared();

    let gone = &devices[0];
    gone.session().await.expect_problem(401, "session_logged_out");
    let answer = gone.send(gone.cookie_refresh(&cookie)).await;
    answer.expect_problem(401, "session_logged_out");
    devices[1].session().await.expect(200);
}

async fn terminating_all_others_leaves_this_one(db: Database) {
    let app = TestApp::on(db).await;
    let devices = devices(&app, 4).await;
    let (here, others) = devices.split_last().unwrap();

    let answer = here.terminate_others().await.expect(200);
    assert_eq!(answer.json, json!({"terminated": 3}));
    for other in others {
        other.session().await.expect_problem(401, "session_terminated");
    }
    let list = here.sessions().await.expect(200).json;
    assert_eq!(ids(&list), [&here.session_id]);

    let again = here.terminate_others().await.expect(200);
    assert_eq!(again.json, json!({"terminated": 0}));
}

async fn a_session_of_somebody_else_is_not_there(db: Database) {
    let app = TestApp::on(db).await;
    let (mut ada, mut bob) = (app.client(), app.client());
    ada.signup(&Person::named("Ada")).await.expect(201);
    bob.signup(&Person::named("Bob")).await.expect(201);

    let nobodys = Uuid::new_v4().to_string();
    let mut answers = Vec::new();
    for id in [&ada.session_id, &nobodys] {
        let mut answer = bob.terminate(id).await.expect_problem(404, "session_not_found");
        answer.json["requestId"] = json!("");
        answers.push(answer.json);
    }
    assert_eq!(answers[0], answers[1], "somebody else's session looks like none");
    ada.session().await.expect(200);
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_not_there() {
    let app = TestApp::start().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    for id in ["1", "ALL", "not-a-uuid", "%00", "..%2f..%2fetc"] {
        ada.terminate(id).await.expect_problem(404, "session_not_found");
    }
}
