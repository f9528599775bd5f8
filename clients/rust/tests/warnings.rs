//! What goes wrong again and again is logged at once, and then once a minute.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the other tests use the rest")]
mod fake;

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use auth_service_verifier::{Check, OnUnsure, Options, Verifier};
use fake::{FakeService, SECRET, now, token, until};
use tokio::net::TcpListener;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the messages of warnings.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Listens on this thread, on which the tests' tasks run.
    fn listen(&self) -> DefaultGuard {
        set_default(self.clone())
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("auth_service_verifier")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message<'a>(&'a Lines);
        impl Visit for Message<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                if field.name() == "message" {
                    self.0.0.lock().unwrap().push(format!("{value:?}"));
                }
            }
        }
        event.record(&mut Message(self));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn verifier(options: Options) -> Verifier {
    made(vec![SECRET.to_owned()], options)
}

fn made(secrets: Vec<String>, options: Options) -> Verifier {
    let issuer = "auth-service".to_owned();
    Verifier::new(Options { issuer, secrets, on_unsure: OnUnsure::Accept, ..options }).unwrap()
}

#[tokio::test]
async fn while_redis_is_down_there_is_one_warning_though_it_is_tried_again() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let redis = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redis_url = Some(format!("redis://{}", redis.local_addr().unwrap()));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    tokio::spawn(async move {
        // Each connection is closed at once.
        while redis.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let _verifier = verifier(Options { redis_url, ..Options::default() });
    until("it has tried four times", || tries.load(Ordering::Relaxed) >= 4).await;
    assert_eq!(lines.all(), ["the events of the auth service cannot be followed"]);
}

#[tokio::test]
async fn while_the_service_refuses_the_key_there_is_one_warning() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let service = FakeService::start().await;
    service.answer(200, 401);
    let (service_url, api_key) = (Some(service.url.clone()), Some("ak_a_b".to_owned()));
    let _verifier = verifier(Options { service_url, api_key, ..Options::default() });
    until("it has tried four times", || service.cursors().len() >= 4).await;
    assert_eq!(lines.all(), ["the endings of the auth service cannot be followed"]);
}

#[tokio::test]
async fn a_secret_that_is_not_the_auth_services_is_warned_about_once() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let good = token("laptop", now(), 900);
    let strange = "another-secret-of-the-tests-0123456789abcdef".to_owned();
    let both = made(vec![strange.clone(), SECRET.to_owned()], Options::default());
    both.verify(&good, &Check::default()).await.unwrap();
    let expired = token("laptop", now() - 900, 60);
    for sent in [&expired, "nonsense"] {
        both.verify(sent, &Check::default()).await.unwrap_err();
    }
    assert_eq!(lines.all(), [""; 0], "these are no matter of the secret");
    let other = made(vec![strange.clone(), strange], Options::default());
    for sent in [&good, "nonsense", &good, &expired] {
        assert_eq!(other.verify(sent, &Check::default()).await.unwrap_err().code, "token_invalid");
    }
    let wanted =
        "the signature of a token does not match: is the secret the auth service's own JWT_ACCESS_SECRET?";
    assert_eq!(lines.all(), [wanted]);
}
