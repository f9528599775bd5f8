//! Live connections as a device's page keeps them open: Server-Sent Events, or a WebSocket.

use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::answer::Answer;
use super::app::ACCESS_SECRET;
use super::client::Client;
use super::time::timestamp;
use super::token::Token;

/// How long to wait for the next message; the longest idle timeout of the tests is well below it.
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a stream may stay open, in place of a request's usual limit, which would end it.
const STREAM: Duration = Duration::from_secs(600);
/// The names under which events carry session tokens; devices must never get one.
const SECRETS: [&str; 3] = ["stk", "sessionToken", "targetSessionToken"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    WebSocket,
}

impl Transport {
    pub(crate) const EACH: [Self; 2] = [Self::Sse, Self::WebSocket];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Sse => "/events",
            Self::WebSocket => "/ws",
        }
    }

    /// A request to connect with this device's access token.
    pub(crate) fn request(self, client: &Client) -> RequestBuilder {
        client.request(Method::GET, self.path())
    }

    /// A request to connect with a ticket and nothing else.
    pub(crate) fn request_by(self, anybody: &Client, ticket: &str) -> RequestBuilder {
        let mut stranger = anybody.clone();
        stranger.access = None;
        stranger.request(Method::GET, &format!("{}?ticket={ticket}", self.path()))
    }

    /// The response to a refused request to connect.
    pub(crate) async fn refusal(self, client: &Client, request: RequestBuilder) -> Answer {
        let request = match self {
            Self::Sse => request,
            Self::WebSocket => request
                .header("Connection", "Upgrade")
                .header("Upgrade", "websocket")
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        };
        client.send(request).await
    }
}

/// How the service ended a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The orderly end of an event stream. A WebSocket without a close frame has no orderly end.
    End,
    /// A WebSocket's close frame.
    Frame(u16, String),
    /// Anything else.
    Broken(String),
}

pub(crate) struct Connection {
    /// The first message, which is always a snapshot.
    pub(crate) snapshot: Value,
    reading: Reading,
    /// The session token of the device, which no message may contain.
    session_token: Option<String>,
}

enum Reading {
    Sse { chunks: BoxStream<'static, Result<Vec<u8>, String>>, unread: Vec<u8> },
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Connection {
    /// Connects with the device's access token, and reads the first message.
    pub(crate) async fn open(transport: Transport, client: &Client) -> Self {
        let mut connection = Self::open_by(transport, transport.request(client)).await;
        connection.session_token = client.access.as_deref().map(|access| {
            let token = Token::open(access, ACCESS_SECRET);
            token.claims["stk"].as_str().unwrap().to_owned()
        });
        connection
    }

    /// Connects with the given request.
    pub(crate) async fn open_by(transport: Transport, request: RequestBuilder) -> Self {
        let reading = match transport {
            Transport::Sse => stream(request).await,
            Transport::WebSocket => socket(request, None).await,
        };
        let mut connection = Self { snapshot: Value::Null, reading, session_token: None };
        connection.snapshot = connection.expect("snapshot").await;
        connection
    }

    /// The next message, which must fulfil what all messages promise.
    pub(crate) async fn message(&mut self) -> Value {
        match self.next().await {
            Ok(message) => message,
            Err(closing) => panic!("closed instead of a message: {closing:?}"),
        }
    }

    /// The next message, which must have that type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let message = self.message().await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// Asserts that there is no other message and that the session's end closes the connection.
    pub(crate) async fn expect_over(&mut self, reason: &str) {
        let wanted = match self.reading {
            Reading::Sse { .. } => Closing::End,
            Reading::WebSocket(_) => Closing::Frame(4401, reason.to_owned()),
        };
        assert_eq!(self.closing().await, wanted);
    }

    /// How the service closes it; there must be no other message before.
    pub(crate) async fn closing(&mut self) -> Closing {
        match self.next().await {
            Ok(message) => panic!("a message instead of the end: {message}"),
            Err(closing) => closing,
        }
    }

    /// The next message, or how the connection ended.
    pub(crate) async fn next(&mut self) -> Result<Value, Closing> {
        let heard = tokio::time::timeout(TIMEOUT, self.reading.next()).await;
        let text = heard.unwrap_or_else(|_| panic!("nothing heard within {TIMEOUT:?}"))?;
        Ok(self.read(&text))
    }

    /// The same, however long it takes.
    pub(crate) async fn next_whenever(&mut self) -> Result<Value, Closing> {
        let text = self.reading.next().await?;
        Ok(self.read(&text))
    }

    fn read(&self, text: &str) -> Value {
        let message: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
        for secret in SECRETS.iter().copied().chain(self.session_token.as_deref()) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(message["type"].is_string(), "no type in {text}");
        assert!(message["sessionId"].is_string(), "no sessionId in {text}");
        assert!(message["current"].is_boolean(), "no current in {text}");
        timestamp(&message["timestamp"]);
        message
    }

    /// Sends a message over a WebSocket.
    pub(crate) async fn say(&mut self, message: impl Into<Message>) {
        self.socket().send(message.into()).await.unwrap();
    }

    /// The underlying WebSocket.
    pub(crate) fn socket(&mut self) -> &mut WebSocketStream<TcpStream> {
        match &mut self.reading {
            Reading::Sse { .. } => panic!("nothing can be said over Server-Sent Events"),
            Reading::WebSocket(socket) => socket,
        }
    }
}

async fn stream(request: RequestBuilder) -> Reading {
    let response = request.timeout(STREAM).send().await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.headers());
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(header("cache-control").as_deref(), Some("no-store"));
    assert!(header("x-request-id").is_some());
    let chunks = response.bytes_stream().map(|chunk| chunk.map(Vec::from).map_err(|cause| cause.to_string()));
    Reading::Sse { chunks: chunks.boxed(), unread: Vec::new() }
}

/// A WebSocket over a connection of its own, or the one that is given.
async fn socket(request: RequestBuilder, over: Option<TcpStream>) -> Reading {
    let request = request.build().unwrap();
    let mut url = request.url().clone();
    url.set_scheme("ws").unwrap();
    let mut handshake = url.as_str().into_client_request().unwrap();
    handshake.headers_mut().extend(request.headers().clone());
    let tcp = match over {
        Some(tcp) => tcp,
        None => TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap(),
    };
    let (socket, _) = tokio_tungstenite::client_async(handshake, tcp).await.unwrap();
    Reading::WebSocket(Box::new(socket))
}

impl Reading {
    async fn next(&mut self) -> Result<String, Closing> {
        match self {
            Self::Sse { chunks, unread } => next_event(chunks, unread).await,
            Self::WebSocket(socket) => next_text(socket).await,
        }
    }
}

async fn next_event(
    chunks: &mut BoxStream<'static, Result<Vec<u8>, String>>,
    unread: &mut Vec<u8>,
) -> Result<String, Closing> {
    loop {
        while let Some(end) = unread.windows(2).position(|pair| pair == b"\n\n") {
            let event = String::from_utf8(unread.drain(..end + 2).collect()).unwrap();
            // A comment keeps the connection alive and carries no message.
            if let Some(data) = event.strip_prefix("data: ") {
                return Ok(data.trim_end().to_owned());
            }
            assert!(event.starts_with(':'), "neither data nor a comment: {event:?}");
        }
        match chunks.next().await {
            Some(Ok(chunk)) => unread.extend(chunk),
            Some(Err(cause)) => return Err(Closing::Broken(cause)),
            None => return Err(Closing::End),
        }
    }
}

async fn next_text(socket: &mut WebSocketStream<TcpStream>) -> Result<String, Closing> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Close(Some(frame)))) => {
                return Err(Closing::Frame(frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => return Err(Closing::Broken(format!("{other:?}"))),
            Some(Err(cause)) => return Err(Closing::Broken(cause.to_string())),
            None => return Err(Closing::End),
        }
    }
}

/// A WebSocket with a small buffer for what it does not read.
pub(crate) async fn narrow_websocket(client: &Client) -> WebSocketStream<TcpStream> {
    let request = Transport::WebSocket.request(client);
    let tcp = narrow_line(&request).await;
    match socket(request, Some(tcp)).await {
        Reading::WebSocket(socket) => *socket,
        Reading::Sse { .. } => unreachable!("a WebSocket was asked for"),
    }
}

/// A requested event stream that is never read, with a small buffer for what is not read.
pub(crate) async fn narrow_stream(client: &Client) -> TcpStream {
    use tokio::io::AsyncWriteExt;
    let request = Transport::Sse.request(client);
    let mut tcp = narrow_line(&request).await;
    let access = client.access.as_ref().unwrap();
    let head = format!("GET /events HTTP/1.1\r\nHost: service\r\nAuthorization: Bearer {access}\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp
}

/// A connection with the smallest receive buffer and small segments, so that the sender's buffer stays small
/// too.
async fn narrow_line(request: &RequestBuilder) -> TcpStream {
    let request = request.try_clone().unwrap().build().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.set_tcp_mss(536).unwrap();
    let address = (request.url().host_str().unwrap(), request.url().port().unwrap());
    let address: std::net::SocketAddr = format!("{}:{}", address.0, address.1).parse().unwrap();
    socket.connect(&address.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}
