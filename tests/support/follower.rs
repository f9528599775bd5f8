//! A follower of `/revocations`: reads a stream, and stores the endings and the cursor it has reached.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Method;
use serde_json::Value;

use super::Client;
use super::time::Stopwatch;

const TIMEOUT: Duration = Duration::from_secs(20);

/// A message of the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Reset,
    Ended(Value),
    /// Everything stored until this many milliseconds after the request began is known.
    Heartbeat(u64),
}

pub(crate) struct Follower {
    client: Client,
    stream: Option<BoxStream<'static, reqwest::Result<actix_web::web::Bytes>>>,
    text: String,
    pub(crate) cursor: Option<String>,
    /// Endings by session, and how often each was received.
    pub(crate) ended: HashMap<String, (Value, usize)>,
    pub(crate) resets: usize,
    began: Stopwatch,
}

impl Follower {
    pub(crate) fn new(client: Client) -> Self {
        let (text, ended) = (String::new(), HashMap::new());
        Self { client, stream: None, text, cursor: None, ended, resets: 0, began: Stopwatch::start() }
    }

    /// Opens the stream, from the last cursor.
    pub(crate) async fn connect(&mut self) {
        let mut request = self.client.request(Method::GET, "/revocations").timeout(Duration::from_secs(600));
        if let Some(cursor) = &self.cursor {
            request = request.header("Last-Event-ID", cursor);
        }
        self.began = Stopwatch::start();
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        self.text.clear();
        self.stream = Some(answer.bytes_stream().boxed());
    }

    pub(crate) fn disconnect(&mut self) {
        self.stream = None;
    }

    /// The next message; `None` at the stream's end.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(told) = self.take(&message) {
                    return Some(told);
                }
                continue;
            }
            let stream = self.stream.as_mut().expect("connected");
            let chunk = tokio::time::timeout(TIMEOUT, stream.next()).await.expect("something is sent")?;
            self.text.push_str(std::str::from_utf8(&chunk.ok()?).unwrap());
        }
    }

    fn take(&mut self, message: &str) -> Option<Told> {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        let data = field("data: ")?;
        let data: Value = serde_json::from_str(data).unwrap();
        Some(match field("event: ") {
            Some("reset") => {
                assert!(data["since"].is_string(), "{data}");
                self.resets += 1;
                Told::Reset
            }
            Some("heartbeat") => {
                self.cursor = Some(field("id: ").unwrap().to_owned());
                let elapsed = data["elapsedMs"].as_u64().unwrap();
                let most = u64::try_from(self.began.elapsed().as_millis()).unwrap();
                assert!(elapsed <= most, "{elapsed} ms of {most}");
                Told::Heartbeat(elapsed)
            }
            Some(other) => panic!("{other}: {data}"),
            None => {
                let entry = self.ended.entry(data["sessionId"].as_str().unwrap().to_owned());
                entry.or_insert_with(|| (data.clone(), 0)).1 += 1;
                Told::Ended(data)
            }
        })
    }

    /// Reads until everything stored by now is known.
    pub(crate) async fn catch_up(&mut self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        loop {
            match self.next().await {
                Some(Told::Heartbeat(elapsed)) if elapsed > now => return,
                Some(_) => {}
                None => panic!("the stream has ended"),
            }
        }
    }
}
