//! The keys that the auth service publishes. A check whose key is known does not wait for a service
//! that is down.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use reqwest::Client;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::error::AuthError;

/// How long keys are cached, as the response allows, so that a retired key is forgotten.
const KEEP: Duration = Duration::from_secs(300);
/// How long keys are used, at most, if newer ones cannot be fetched.
const KEEP_AT_MOST: Duration = Duration::from_secs(3600);
/// How long the request that starts a refetch waits for it, so that no withdrawn key is used after
/// a quiet time.
const MOMENT: Duration = Duration::from_millis(250);
/// How soon an unknown key id triggers another fetch: not for every forged token.
const COOLDOWN: Duration = Duration::from_secs(5);
/// How soon a failed fetch is retried: not for each request.
const RETRY: Duration = Duration::from_secs(1);

pub(crate) struct PublishedKeys {
    url: String,
    /// Has its own timeout.
    http: Client,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    set: Option<(JwkSet, Instant)>,
    failed: Option<Instant>,
    /// Of the latest fetch: closed when it is over.
    fetch: Option<watch::Receiver<()>>,
}

impl PublishedKeys {
    pub(crate) fn new(url: String, http: Client) -> Arc<Self> {
        Arc::new(Self { url, http, known: Mutex::default() })
    }

    /// The key of a token. A failed fetch says nothing about the token.
    pub(crate) async fn key(
        self: &Arc<Self>,
        kid: &str,
        algorithm: Algorithm,
    ) -> Result<DecodingKey, AuthError> {
        match self.lookup(kid) {
            (Some(key), age) if age < KEEP => return usable(&key, algorithm),
            (Some(key), age) if age < KEEP_AT_MOST => {
                let Some(mut fetch) = self.start_fetch() else { return usable(&key, algorithm) };
                if timeout(MOMENT, fetch.changed()).await.is_err() {
                    return usable(&key, algorithm);
                }
            }
            (None, age) if age < COOLDOWN => return Err(AuthError::invalid()),
            _ => {
                self.start_fetch();
                let running = self.lock().fetch.clone();
                if let Some(mut fetch) = running {
                    // Nothing is sent on it: this is its end.
                    let _ = fetch.changed().await;
                }
                if self.lock().failed.is_some() {
                    return Err(AuthError::unavailable());
                }
            }
        }
        let (found, _) = self.lookup(kid);
        usable(&found.ok_or_else(AuthError::invalid)?, algorithm)
    }

    /// The key of that id, and how old all keys are.
    fn lookup(&self, kid: &str) -> (Option<Jwk>, Duration) {
        match &self.lock().set {
            Some((set, fetched)) => (set.find(kid).cloned(), fetched.elapsed()),
            None => (None, Duration::MAX),
        }
    }

    /// Fetches keys in a task, independently of the request that needs them; does nothing if a
    /// fetch is running, or failed a moment ago.
    fn start_fetch(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut known = self.lock();
        let runs = known.fetch.as_ref().is_some_and(|fetch| fetch.has_changed().is_ok());
        if runs || known.failed.is_some_and(|at| at.elapsed() < RETRY) {
            return None;
        }
        let (running, fetch) = watch::channel(());
        known.fetch = Some(fetch.clone());
        drop(known);
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            keys.load().await;
            drop(running);
        });
        Some(fetch)
    }

    async fn load(&self) {
        let fetched =
            async { self.http.get(&self.url).send().await?.error_for_status()?.json::<JwkSet>().await };
        match fetched.await {
            Ok(set) => {
                let mut known = self.lock();
                (known.set, known.failed) = (Some((set, Instant::now())), None);
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of the auth service cannot be fetched");
                self.lock().failed = Some(Instant::now());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn usable(key: &Jwk, algorithm: Algorithm) -> Result<DecodingKey, AuthError> {
    let named = key.common.key_algorithm.is_some_and(|named| named.to_string() == format!("{algorithm:?}"));
    if !named {
        return Err(AuthError::invalid());
    }
    DecodingKey::from_jwk(key).map_err(|_| AuthError::invalid())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    /// Keys of that age, on a server that answers with `answer`, or never; and how often it was asked.
    async fn published(
        age: Duration,
        answer: Option<&'static str>,
    ) -> (Arc<PublishedKeys>, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = socket.read(&mut [0; 4096]).await;
                if let Some(body) = answer {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
                }
                held.push(socket);
            }
        });
        let http = Client::builder().timeout(Duration::from_secs(2)).build().unwrap();
        let keys = PublishedKeys::new(url, http);
        let fetched = Instant::now().checked_sub(age).unwrap();
        keys.lock().set = Some((serde_json::from_str(KEYS).unwrap(), fetched));
        (keys, asked)
    }

    async fn status(keys: &Arc<PublishedKeys>, kid: &str) -> u16 {
        keys.key(kid, Algorithm::EdDSA).await.map_or_else(|refusal| refusal.status, |_| 200)
    }

    #[tokio::test]
    async fn a_service_that_hangs_holds_up_nobody_whose_key_is_known() {
        let (keys, asked) = published(Duration::from_secs(360), None).await;
        let waiting = Arc::clone(&keys);
        let waiting = tokio::spawn(async move { status(&waiting, "another").await });
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(status(&keys, "a").await, 200);
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(waiting.await.unwrap(), 503, "whose key is not known waits");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "one fetch at a time");
    }

    #[tokio::test]
    async fn old_keys_are_replaced_and_not_used_for_more_than_an_hour() {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        let (keys, _) = published(hour + minute, None).await;
        assert_eq!(status(&keys, "a").await, 503);
        let (keys, _) = published(hour + minute, Some(KEYS)).await;
        assert_eq!(status(&keys, "a").await, 200);
        // The first request after a quiet time does not use a withdrawn key.
        let (keys, _) = published(6 * minute, Some(r#"{"keys":[]}"#)).await;
        assert_eq!(status(&keys, "a").await, 401);
    }
}
