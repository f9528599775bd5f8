//! The messages to a person's devices, the same over Server-Sent Events and WebSocket.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::ACCESS_SECRET;
use crate::support::token::Token;
use crate::support::{
    Client, Connection, Database, Person, Setup, TestApp, Transport, eventually, milliseconds,
    on_each_database,
};

on_each_database!(
    the_first_message_is_the_list_of_sessions,
    a_login_and_a_logout_are_told_to_the_others,
    the_ended_one_and_the_others_hear_of_a_termination,
    ending_all_others_tells_each_of_them,
    ones_own_logout_ends_the_connection,
    an_eviction_tells_its_reason_before_the_new_session,
    a_stolen_token_ends_the_connection_with_its_reason,
    an_idle_end_is_announced_and_activity_puts_it_off,
    a_device_that_connects_again_is_warned_again,
    nobody_is_warned_where_the_warning_is_as_long_as_the_timeout,
    the_longest_time_of_a_session_ends_its_connection,
    a_connection_outlives_its_access_token,
    no_message_holds_a_session_token,
    only_a_live_session_is_let_in,
);

fn ada(transport: Transport) -> Person {
    Person::named(&format!("Ada{transport:?}"))
}

async fn the_first_message_is_the_list_of_sessions(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let devices = app.devices(&ada(transport), 3).await;
        for device in [&devices[0], &devices[2].clone().under("/api/auth")] {
            let snapshot = Connection::open(transport, device).await.snapshot;
            assert_eq!(snapshot["sessions"], device.sessions().await.json["sessions"]);
            assert_eq!(snapshot["sessionId"], device.session_id);
            assert_eq!(snapshot["current"], true);
        }
    }
}

async fn a_login_and_a_logout_are_told_to_the_others(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let ada = ada(transport);
        let devices = app.devices(&ada, 2).await;
        let mut first = Connection::open(transport, &devices[0]).await;
        let mut second = Connection::open(transport, &devices[1]).await;

        let mut third = app
            .client()
            .with_user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        third.login(&ada).await.expect(200);
        let listed = devices[0].sessions().await.json["sessions"][0].clone();
        for connection in [&mut first, &mut second] {
            let told = connection.expect("session.created").await;
            assert_eq!(told["sessionId"], third.session_id);
            assert_eq!(told["current"], false);
            assert_eq!(told["session"], listed, "it is shown as in the list");
        }
        // A device that connects later has it in its snapshot, and is not notified again.
        let mut latest = Connection::open(transport, &third).await;

        let mut leaving = devices[1].clone();
        leaving.logout().await.expect(204);
        for (connection, own) in [(&mut first, false), (&mut second, true), (&mut latest, false)] {
            let told = connection.expect("session.deleted").await;
            assert_eq!(told["sessionId"], leaving.session_id);
            assert_eq!(told["reason"], "logout");
            assert_eq!(told["current"], own);
        }
        second.expect_over("logout").await;
    }
}

async fn the_ended_one_and_the_others_hear_of_a_termination(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let mut devices = app.devices(&ada(transport), 2).await;
        let mut ending = Connection::open(transport, &devices[0]).await;
        // Two tabs of one browser.
        let mut ended =
            [Connection::open(transport, &devices[1]).await, Connection::open(transport, &devices[1]).await];

        let gone = devices[1].session_id.clone();
        devices[0].terminate(&gone).await.expect(204);
        let told = ending.expect("session.terminated").await;
        assert_eq!((&told["sessionId"], &told["current"]), (&json!(gone), &json!(false)));
        for connection in &mut ended {
            let told = connection.expect("session.terminated").await;
            assert_eq!((&told["sessionId"], &told["current"]), (&json!(gone), &json!(true)));
            assert_eq!(told["reason"], "terminated");
            assert_eq!(told["terminatedBySessionId"], devices[0].session_id);
            connection.expect_over("terminated").await;
        }
        Transport::refusal(transport, &devices[1], transport.request(&devices[1]))
            .await
            .expect_problem(401, "session_terminated");
    }
}

async fn ending_all_others_tells_each_of_them(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let devices = app.devices(&ada(transport), 3).await;
        let mut staying = Connection::open(transport, &devices[1]).await;
        let mut others =
            [Connection::open(transport, &devices[0]).await, Connection::open(transport, &devices[2]).await];
        devices[1].terminate_others().await.expect(200);
        for connection in &mut others {
            // The other session may have been ended first; then its message arrives first.
            while connection.expect("session.terminated").await["current"] == false {}
            connection.expect_over("terminated").await;
        }
        for _ in &others {
            assert_eq!(staying.expect("session.terminated").await["current"], false);
        }
    }
}

async fn ones_own_logout_ends_the_connection(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let mut device = app.devices(&ada(transport), 1).await.remove(0);
        let mut connection = Connection::open(transport, &device).await;
        device.logout().await.expect(204);
        let told = connection.expect("session.deleted").await;
        assert_eq!((&told["reason"], &told["current"]), (&json!("logout"), &json!(true)));
        connection.expect_over("logout").await;
    }
}

async fn an_eviction_tells_its_reason_before_the_new_session(db: Database) {
    let app = Setup::on(db).await.set("MAX_SESSIONS_PER_USER", 2).start().await;
    for transport in Transport::EACH {
        let ada = ada(transport);
        let devices = app.devices(&ada, 2).await;
        let mut evicted = Connection::open(transport, &devices[0]).await;
        let mut staying = Connection::open(transport, &devices[1]).await;

        let mut third = app.client();
        let answer = third.login(&ada).await.expect(200);
        assert_eq!(answer.json["evictedSessionIds"], json!([devices[0].session_id]));
        let told = evicted.expect("session.deleted").await;
        assert_eq!((&told["reason"], &told["current"]), (&json!("evicted"), &json!(true)));
        evicted.expect_over("evicted").await;
        let told = staying.expect("session.deleted").await;
        assert_eq!((&told["reason"], &told["current"]), (&json!("evicted"), &json!(false)));
        assert_eq!(staying.expect("session.created").await["sessionId"], third.session_id);
    }
}

async fn a_stolen_token_ends_the_connection_with_its_reason(db: Database) {
    let app = Setup::on(db).await.set("REFRESH_REUSE_GRACE_SECONDS", 0).start().await;
    for transport in Transport::EACH {
        let mut device = app.devices(&ada(transport), 1).await.remove(0);
        let stolen = device.cookie.clone().unwrap();
        device.refresh().await.expect(200);
        let mut connection = Connection::open(transport, &device).await;
        device.send(device.cookie_refresh(&stolen)).await.expect(401);
        assert_eq!(connection.expect("session.deleted").await["reason"], "refresh_token_reused");
        connection.expect_over("refresh_token_reused").await;
    }
}

/// Six seconds.
const TIMEOUT_MINUTES: &str = "0.1";

async fn an_idle_end_is_announced_and_activity_puts_it_off(db: Database) {
    let setup = Setup::on(db).await.set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES);
    let app = setup.set("SESSION_WARNING_SECONDS", 3).start().await;
    tokio::join!(idle_end(&app, Transport::Sse), idle_end(&app, Transport::WebSocket));
}

async fn idle_end(app: &TestApp, transport: Transport) {
    let devices = app.devices(&ada(transport), 2).await;
    let mut idle = Connection::open(transport, &devices[0]).await;
    let mut busy = Connection::open(transport, &devices[1]).await;
    let kept_busy = keep_busy(&devices[1]);
    tokio::pin!(kept_busy);
    tokio::select! {
        () = &mut kept_busy => {}
        () = idle_end_of(transport, &devices[0], &mut idle) => {}
    }
    // The other device is notified only of the end, and not as of its own session.
    tokio::select! {
        () = &mut kept_busy => {}
        told = busy.expect("session.deleted") => {
            assert_eq!((&told["reason"], &told["current"]), (&json!("idle_timeout"), &json!(false)));
        }
    }
}

/// Reports activity far more often than its warning would be due.
async fn keep_busy(device: &Client) {
    loop {
        device.activity().await.expect(200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn idle_end_of(transport: Transport, device: &Client, connection: &mut Connection) {
    let first = expect_warning(connection, device).await;
    match transport {
        Transport::WebSocket => connection.say(r#"{"type":"activity"}"#).await,
        Transport::Sse => drop(device.activity().await.expect(200)),
    }
    let extended = connection.expect("session.extended").await;
    assert_eq!(extended["sessionId"], device.session_id);
    assert!(milliseconds(&first["idleExpiresAt"], &extended["idleExpiresAt"]) > 1000, "{extended}");

    let second = expect_warning(connection, device).await;
    assert_eq!(second["idleExpiresAt"], extended["idleExpiresAt"]);
    let ended = connection.expect("session.deleted").await;
    assert_eq!((&ended["reason"], &ended["current"]), (&json!("idle_timeout"), &json!(true)));
    assert!(milliseconds(&second["idleExpiresAt"], &ended["timestamp"]) >= 0, "before its time: {ended}");
    connection.expect_over("idle_timeout").await;
}

async fn a_device_that_connects_again_is_warned_again(db: Database) {
    let setup = Setup::on(db).await.set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES);
    let app = setup.set("SESSION_WARNING_SECONDS", 4).start().await;
    let warned_twice = async |transport| {
        let device = app.devices(&ada(transport), 1).await.remove(0);
        Connection::open(transport, &device).await.expect("session.expiring").await;
        Connection::open(transport, &device).await.expect("session.expiring").await;
    };
    tokio::join!(warned_twice(Transport::Sse), warned_twice(Transport::WebSocket));
}

async fn expect_warning(connection: &mut Connection, device: &Client) -> Value {
    let warning = connection.expect("session.expiring").await;
    assert_eq!(warning["sessionId"], device.session_id);
    assert_eq!(warning["current"], true);
    let seconds = warning["remainingSeconds"].as_i64().unwrap();
    let left = milliseconds(&warning["timestamp"], &warning["idleExpiresAt"]);
    assert!((1..=3000).contains(&left), "{left} ms before the end: {warning}");
    assert!((left..left + 1000).contains(&(seconds * 1000)), "{left} ms: {warning}");
    warning
}

async fn nobody_is_warned_where_the_warning_is_as_long_as_the_timeout(db: Database) {
    let setup = Setup::on(db).await.set("SESSION_TIMEOUT_MINUTES", TIMEOUT_MINUTES);
    let app = setup.set("SESSION_WARNING_SECONDS", 6).start().await;
    let unwarned = async |transport| {
        let device = app.devices(&ada(transport), 1).await.remove(0);
        let mut connection = Connection::open(transport, &device).await;
        assert_eq!(connection.expect("session.deleted").await["reason"], "idle_timeout");
    };
    tokio::join!(unwarned(Transport::Sse), unwarned(Transport::WebSocket));
}

async fn the_longest_time_of_a_session_ends_its_connection(db: Database) {
    // Five seconds.
    let app = Setup::on(db).await.set("SESSION_LIFETIME_HOURS", "0.0014").start().await;
    let outlived = async |transport| {
        let device = app.devices(&ada(transport), 1).await.remove(0);
        let mut connection = Connection::open(transport, &device).await;
        // The idle deadline is never later than the session's lifetime, so its end is warned of as well.
        connection.expect("session.expiring").await;
        assert_eq!(connection.expect("session.deleted").await["reason"], "expired");
        connection.expect_over("expired").await;
    };
    tokio::join!(outlived(Transport::Sse), outlived(Transport::WebSocket));
}

async fn a_connection_outlives_its_access_token(db: Database) {
    // Its expiry is in whole seconds, so it is valid for up to a second less.
    let app = Setup::on(db).await.set("JWT_ACCESS_EXPIRY", "3s").start().await;
    for transport in Transport::EACH {
        let ada = ada(transport);
        let device = app.devices(&ada, 1).await.remove(0);
        let mut connection = Connection::open(transport, &device).await;
        let refused = eventually("the token runs out", Duration::from_secs(8), async || {
            let answer = device.session().await;
            if answer.status == 200 { Err(answer.to_string()) } else { Ok(answer) }
        })
        .await;
        refused.expect_problem(401, "token_expired");
        Transport::refusal(transport, &device, transport.request(&device))
            .await
            .expect_problem(401, "token_expired");

        let mut other = app.client();
        other.login(&ada).await.expect(200);
        assert_eq!(connection.expect("session.created").await["sessionId"], other.session_id);
        other.terminate(&device.session_id).await.expect(204);
        connection.expect("session.terminated").await;
        connection.expect_over("terminated").await;
    }
}

async fn no_message_holds_a_session_token(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let ada = ada(transport);
        let mut devices = app.devices(&ada, 2).await;
        let mut watching = Connection::open(transport, &devices[0]).await;
        let mut ended = Connection::open(transport, &devices[1]).await;
        let mut third = app.client();
        third.login(&ada).await.expect(200);
        let tokens: Vec<_> = devices.iter().chain([&third]).map(session_token).collect();
        let gone = devices[1].session_id.clone();
        devices[0].terminate(&gone).await.expect(204);
        third.logout().await.expect(204);

        let mut heard = vec![watching.snapshot.clone(), ended.snapshot.clone()];
        for _ in 0..3 {
            heard.push(watching.message().await);
        }
        for _ in 0..2 {
            heard.push(ended.message().await);
        }
        for (message, token) in
            heard.iter().flat_map(|message| tokens.iter().map(move |token| (message, token)))
        {
            assert!(!message.to_string().contains(token), "{message}");
        }
    }
}

fn session_token(device: &Client) -> String {
    let token = Token::open(device.access.as_ref().unwrap(), ACCESS_SECRET);
    token.claims["stk"].as_str().unwrap().to_owned()
}

async fn only_a_live_session_is_let_in(db: Database) {
    let app = TestApp::on(db).await;
    for transport in Transport::EACH {
        let mut device = app.devices(&ada(transport), 1).await.remove(0);
        let stranger = app.client();
        let refused = transport.refusal(&stranger, transport.request(&stranger)).await;
        refused.expect_problem(401, "token_missing");
        let mut forger = app.client();
        forger.access = Some("a.b.c".to_owned());
        let refused = transport.refusal(&forger, transport.request(&forger)).await;
        refused.expect_problem(401, "token_invalid");

        device.logout().await.expect(204);
        let refused = transport.refusal(&device, transport.request(&device)).await;
        let refused = refused.expect_problem(401, "session_logged_out");
        assert!(refused.header("www-authenticate").unwrap().contains(r#"error="invalid_token""#));
    }
}
