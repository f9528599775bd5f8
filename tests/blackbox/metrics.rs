//! GET `/metrics`: the numbers an operator relies on.

use std::time::Duration;

use crate::support::metrics::Metrics;
use crate::support::{Client, Person, TestApp, eventually};

async fn used(app: &TestApp) -> Client {
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    device.login(&ada).await.expect(200);
    device.refresh().await.expect(200);
    device.activity().await.expect(200);
    device
}

#[tokio::test]
async fn the_promised_names_are_there() {
    let app = TestApp::start().await;
    let device = used(&app).await;
    let metrics = Metrics::read(&device).await;

    for label in ["operation", "status"] {
        assert!(metrics.has_label("auth_operations_total", label), "{}", metrics.0);
    }
    assert!(metrics.has_label("auth_tokens_generated_total", "type"), "{}", metrics.0);
    // Two tokens each for sign-up, login and refresh.
    assert_eq!(metrics.sum("auth_tokens_generated_total"), Some(6.0));
    let hashed = metrics.sum("auth_password_hash_duration_seconds_count");
    assert!(hashed >= Some(2.0), "{hashed:?}");
}

#[tokio::test]
async fn live_sessions_are_counted() {
    let app = TestApp::start().await;
    let mut device = used(&app).await;
    let counted = async |wanted: f64| {
        let operator = app.client();
        eventually("the gauge follows", Duration::from_secs(6), async || {
            match Metrics::read(&operator).await.sum("auth_active_sessions") {
                Some(count) if count == wanted => Ok(()),
                other => Err(format!("{other:?} instead of {wanted}")),
            }
        })
        .await;
    };
    counted(2.0).await;
    device.terminate_others().await.expect(200);
    counted(1.0).await;
    device.logout().await.expect(204);
    counted(0.0).await;
}

#[tokio::test]
async fn routes_are_told_by_pattern_and_nothing_by_a_name_a_caller_chose() {
    let app = TestApp::start().await;
    let mut device = used(&app).await;
    let own = device.session_id.clone();
    let unknown = "018f3f2e-5b7a-7c1d-8000-00155d012345";
    device.terminate(unknown).await.expect(404);
    device.get(&format!("/nothing-{unknown}")).await.expect(404);
    device.get("/api/auth/nothing-else").await.expect(404);
    device.terminate(&own).await.expect(204);

    let text = Metrics::read(&device).await.0;
    assert!(text.contains("/sessions/{id}"), "{text}");
    for raw in [unknown, own.as_str(), "nothing-", "ada@example.com", "Ada"] {
        assert!(!text.contains(raw), "{raw:?} in\n{text}");
    }
}

#[tokio::test]
async fn every_family_is_described_and_named_by_the_rules() {
    let app = TestApp::start().await;
    let device = used(&app).await;
    let answer = device.get("/metrics").await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer}");

    let metrics = Metrics(answer.text);
    let families = metrics.families();
    assert!(families.len() >= 4, "{}", metrics.0);
    for (name, kind) in families {
        assert!(metrics.0.contains(&format!("# HELP {name} ")), "no help for {name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
}
