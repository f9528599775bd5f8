//! A fake service that answers as the test says.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

pub(crate) const SECRET: &str = "access-secret-of-the-tests-0123456789abcdef";

#[derive(Default)]
struct State {
    /// What is answered at `/session` and at `/revocations`.
    statuses: (u16, u16),
    asked: usize,
    cursors: Vec<Option<String>>,
    /// Open streams: when each began, and where to write.
    streams: Vec<(Instant, UnboundedSender<String>)>,
}

pub(crate) struct FakeService {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl FakeService {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { statuses: (200, 200), ..State::default() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    pub(crate) fn answer(&self, session: u16, revocations: u16) {
        self.state.lock().unwrap().statuses = (session, revocations);
    }

    /// How many requests for a session's state there were.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// The cursors that came with the requests for `/revocations`.
    pub(crate) fn cursors(&self) -> Vec<Option<String>> {
        self.state.lock().unwrap().cursors.clone()
    }

    pub(crate) fn followers(&self) -> usize {
        self.state.lock().unwrap().streams.len()
    }

    /// Breaks all streams.
    pub(crate) fn drop_streams(&self) {
        self.state.lock().unwrap().streams.clear();
    }

    /// Endings before that time (seconds) are not sent.
    pub(crate) fn reset(&self, since: i64) {
        self.tell(|_| format!("event: reset\ndata: {}\n\n", json!({ "since": timestamp(since) })));
    }

    /// Says that every ending stored up to that long ago has been sent.
    pub(crate) fn heartbeat(&self, ago: Duration, cursor: &str) {
        self.tell(|began| {
            let elapsed = json!({ "elapsedMs": began.elapsed().saturating_sub(ago).as_millis() as u64 });
            format!("event: heartbeat\nid: {cursor}\ndata: {elapsed}\n\n")
        });
    }

    pub(crate) fn ended(&self, session: &str, reason: &str) {
        let until = timestamp(now() + 60);
        let event =
            json!({ "sessionId": session, "userId": "ada", "reason": reason, "tokensExpireAt": until });
        self.tell(|_| format!("data: {event}\n\n"));
    }

    fn tell(&self, text: impl Fn(Instant) -> String) {
        for (began, stream) in &self.state.lock().unwrap().streams {
            stream.send(text(*began)).unwrap();
        }
    }
}

async fn serve(mut socket: TcpStream, state: Arc<Mutex<State>>) {
    let mut request = [0; 4096];
    let read = socket.read(&mut request).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&request[..read]).into_owned();
    let mut told = None;
    let answer = {
        let mut state = state.lock().unwrap();
        let (session, revocations) = state.statuses;
        if head.starts_with("GET /session ") {
            state.asked += 1;
            let body = json!({ "code": (session == 401).then_some("session_terminated") }).to_string();
            format!(
                "HTTP/1.1 {session} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
        } else {
            let cursor = head.lines().find_map(|line| line.strip_prefix("last-event-id: "));
            state.cursors.push(cursor.map(str::to_owned));
            let mut answer = format!("HTTP/1.1 {revocations} X\r\nconnection: close\r\n");
            if revocations == 200 {
                let (stream, texts) = unbounded_channel();
                state.streams.push((Instant::now(), stream));
                told = Some(texts);
            } else {
                write!(answer, "content-length: 0\r\n").unwrap();
            }
            answer + "\r\n"
        }
    };
    let _ = socket.write_all(answer.as_bytes()).await;
    if let Some(mut texts) = told {
        while let Some(text) = texts.recv().await {
            let _ = socket.write_all(text.as_bytes()).await;
        }
    }
}

/// A valid token of that session.
pub(crate) fn token(session: &str, issued: i64, lasts: i64) -> String {
    let claims = json!({
        "iss": "auth-service", "sub": "ada", "sid": session, "role": "PRO", "jti": "1",
        "iat": issued, "exp": issued + lasts,
    });
    let header = Header { typ: Some("at+jwt".to_owned()), ..Header::default() };
    encode(&header, &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within five seconds: {what}");
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "tokens are signed now")]
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

fn timestamp(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap().to_rfc3339()
}
