//! What a verifier does when it cannot know, and what it accepts as knowledge: against a service
//! that answers as the test says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fake;

use std::time::Duration;

use auth_service_verifier::{AuthError, Check, OnUnsure, Options, OptionsError, Verifier};
use fake::{FakeService, SECRET, now, token, until};

/// How long tokens last, in seconds.
const LONG: i64 = 900;

fn verifier(service: &FakeService, options: Options) -> Verifier {
    Verifier::new(Options {
        issuer: "auth-service".to_owned(),
        secrets: vec![SECRET.to_owned()],
        service_url: Some(service.url.clone()),
        api_key: Some("ak_a_b".to_owned()),
        ..options
    })
    .unwrap()
}

fn refusing() -> Options {
    Options { on_unsure: OnUnsure::Refuse, ..Options::default() }
}

async fn accept(verifier: &Verifier, token: &str) {
    assert_eq!(verifier.verify(token, &Check::default()).await.unwrap().user_id, "ada");
}

async fn refusal(verifier: &Verifier, token: &str) -> AuthError {
    verifier.verify(token, &Check::default()).await.unwrap_err()
}

/// Tells the verifiers that all endings since then (seconds) have been sent.
async fn follow(service: &FakeService, verifiers: &[&Verifier], since: i64) {
    until("they follow", || service.followers() == verifiers.len()).await;
    service.reset(since);
    service.heartbeat(Duration::ZERO, "place");
    until("they are up to date", || verifiers.iter().all(|each| each.status().up_to_date)).await;
}

#[tokio::test]
async fn where_nothing_is_known_it_asks_refuses_or_accepts() {
    let service = FakeService::start().await;
    service.answer(200, 503);
    let with = |on_unsure| verifier(&service, Options { on_unsure, ..Options::default() });
    let (ask, refuse, trust) = (with(OnUnsure::Ask), with(OnUnsure::Refuse), with(OnUnsure::Accept));
    let token = token("laptop", now(), LONG);
    accept(&ask, &token).await;
    let error = refusal(&refuse, &token).await;
    assert_eq!(
        (error.status, error.code.as_str(), error.retry_after, error.www_authenticate),
        (503, "unavailable", Some(1), None)
    );
    accept(&trust, &token).await;
    assert_eq!(service.asked(), 1);
    // If it cannot ask either, that is no reason to sign anybody out.
    service.answer(500, 503);
    assert_eq!(refusal(&ask, &token).await.status, 503);
    service.answer(401, 503);
    assert_eq!(refusal(&ask, &token).await.code, "session_terminated");
}

#[tokio::test]
async fn it_knows_since_the_reset_and_asks_once_about_an_older_token() {
    let service = FakeService::start().await;
    let it = verifier(&service, Options::default());
    follow(&service, &[&it], now() - 60).await;
    accept(&it, &token("phone", now() - 10, LONG)).await;
    assert_eq!(service.asked(), 0);
    for _ in 0..3 {
        service.heartbeat(Duration::ZERO, "place");
        accept(&it, &token("laptop", now() - 120, LONG)).await;
    }
    assert_eq!(service.asked(), 1);
    service.ended("laptop", "evicted");
    service.ended("phone", "a reason of a later version");
    until("both are remembered", || it.status().remembered == 2).await;
    for (session, code) in [("laptop", "session_evicted"), ("phone", "session_terminated")] {
        assert_eq!(refusal(&it, &token(session, now(), LONG)).await.code, code);
    }
}

#[tokio::test]
async fn a_heartbeat_that_waited_on_the_way_is_no_news() {
    let service = FakeService::start().await;
    let it = verifier(&service, refusing());
    follow(&service, &[&it], now() - 60).await;
    until("its knowledge is old", || !it.status().up_to_date).await;
    service.heartbeat(Duration::from_millis(1100), "place");
    service.ended("phone", "logout");
    until("it was heard", || it.status().remembered == 1).await;
    assert!(!it.status().up_to_date);
    assert_eq!(refusal(&it, &token("laptop", now(), LONG)).await.status, 503);
    service.heartbeat(Duration::ZERO, "place");
    until("it is up to date", || it.status().up_to_date).await;
}

#[tokio::test]
async fn a_broken_stream_goes_on_from_its_cursor_and_keeps_what_it_remembered() {
    let service = FakeService::start().await;
    let it = verifier(&service, refusing());
    follow(&service, &[&it], now() - 60).await;
    service.heartbeat(Duration::ZERO, "place-7");
    service.ended("laptop", "logout");
    until("it is remembered", || it.status().remembered == 1).await;
    service.drop_streams();
    until("it comes back", || service.followers() == 1).await;
    assert_eq!(service.cursors(), [None, Some("place-7".to_owned())]);
    service.heartbeat(Duration::ZERO, "place-8");
    until("it is up to date", || it.status().up_to_date).await;
    assert_eq!(refusal(&it, &token("laptop", now(), LONG)).await.code, "session_logged_out");
    accept(&it, &token("phone", now(), LONG)).await;
}

/// The service's clock differs. Only `exp` is compared with the verifier's own clock.
#[tokio::test]
async fn its_own_clock_may_be_off_by_as_much_as_it_allows_for() {
    for offset in [30, -30] {
        let service = FakeService::start().await;
        let it = verifier(&service, refusing());
        let tolerance = Duration::from_secs(35);
        let tolerant = verifier(&service, Options { clock_tolerance: tolerance, ..refusing() });
        let there = now() + offset;
        follow(&service, &[&it, &tolerant], there - 60).await;
        accept(&it, &token("laptop", there, LONG)).await;
        accept(&tolerant, &token("laptop", there, 20)).await;
    }
}

#[tokio::test]
async fn options_that_do_not_go_together_are_refused() {
    let made = |options: Options| {
        let secrets = vec![SECRET.to_owned()];
        Verifier::new(Options { issuer: "a".to_owned(), secrets, ..options }).err().unwrap()
    };
    let text = |text: &str| Some(text.to_owned());
    let (redis_url, service_url) = (text("redis://a"), text("http://a"));
    let both = Options { api_key: text("k"), redis_url, service_url, ..Options::default() };
    assert!(matches!(made(both), OptionsError::Both));
    assert!(matches!(made(Options { api_key: text("k"), ..refusing() }), OptionsError::ApiKey));
    assert!(matches!(made(Options::default()), OptionsError::ServiceUrl));
    assert!(matches!(made(Options { jwks_url: text("http://a"), ..refusing() }), OptionsError::Keys));
    let max_staleness = Some(Duration::from_millis(1));
    assert!(matches!(made(Options { max_staleness, ..refusing() }), OptionsError::MaxStaleness));
}
