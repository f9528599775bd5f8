//! `Collector`: accepts OTLP exports over HTTP as an OpenTelemetry collector does, and remembers them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One export as it was received.
#[derive(Clone)]
pub(crate) struct Export {
    /// Request line and headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Export {
    pub(crate) fn decode(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(self.body.as_slice()).unwrap()
    }
}

#[derive(Default)]
struct Taken {
    connections: AtomicUsize,
    exports: Mutex<Vec<Export>>,
}

pub(crate) struct Collector {
    address: SocketAddr,
    taken: Arc<Taken>,
    accepting: JoinHandle<()>,
}

impl Collector {
    /// A collector that responds.
    pub(crate) async fn start() -> Self {
        Self::listen(true).await
    }

    /// A collector that accepts connections and never responds.
    pub(crate) async fn hanging() -> Self {
        Self::listen(false).await
    }

    async fn listen(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::<Taken>::default();
        let theirs = Arc::clone(&taken);
        let accepting = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                theirs.connections.fetch_add(1, Ordering::Relaxed);
                if answers {
                    tokio::spawn(take(stream, Arc::clone(&theirs)));
                } else {
                    open.push(stream);
                }
            }
        });
        Self { address, taken, accepting }
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.taken.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn exports(&self) -> Vec<Export> {
        self.taken.exports.lock().unwrap().clone()
    }

    /// All spans received so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.exports().into_iter().map(|export| export.decode());
        let scopes = requests.flat_map(|request| request.resource_spans).flat_map(|spans| spans.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves the requests of one connection until it is closed.
async fn take(mut stream: TcpStream, taken: Arc<Taken>) {
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            match stream.read_buf(&mut read).await {
                Ok(1..) => continue,
                Ok(0) | Err(_) => return,
            }
        };
        let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().trim().parse().unwrap();
        let (from, to) = (end + 4, end + 4 + length);
        while read.len() < to {
            if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
                return;
            }
        }
        let body = read[from..to].to_vec();
        read.drain(..to);
        taken.exports.lock().unwrap().push(Export { head, body });
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// The attribute of that name as text, whatever its type.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}
