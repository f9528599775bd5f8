//! A client's connection, as the HTTP library reads and writes it. What that library leaves unbounded is
//! bounded here:
//!
//! - After one of several pipelined requests is served, the next one waits while the other connections get
//!   their turn ([`ConnectionState::take_turn`]).
//! - An incomplete head after the first has the same time limit as the first (`watch`).
//! - While a request is being served, bytes after it stay in the system's buffers once there are many.
//! - A request after one that asked to close the connection is not served.
//! - What the library itself refuses is answered in the same form as every other error (`refusal`).

mod refusal;
mod watch;

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use watch::Watched;

/// Most bytes that are read after a request's head while the request is being served: its body, and what is
/// read along with the body's end. A body of 16 KiB in chunks of one byte takes six times its size.
const READ_AHEAD_MAX: usize = 256 * 1024;

/// How long a pipelined request waits after the one before it: 20 connections that pipeline as fast as they
/// can then take a tenth of a small machine, and not all of it.
const PIPELINING_PAUSE: Duration = Duration::from_millis(5);

/// What the service knows about one connection; shared with the services of its requests, on the same
/// thread.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Bytes that arrived since a request last began or was answered.
    unserved_bytes: Cell<usize>,
    /// Requests being served, and responses being sent piece by piece.
    serving: Cell<usize>,
    /// Whether a request has begun since the connection was last read.
    had_turn: Cell<bool>,
    /// Whether it has been upgraded to another protocol.
    is_upgraded: Cell<bool>,
    /// Whether a response has announced that it is the last.
    is_closing: Cell<bool>,
    /// Whether nothing more is to be read.
    is_over: Cell<bool>,
    /// For how many checks of the watch the head has been incomplete.
    looks: Cell<u32>,
    /// Wakes the task that reads.
    reader: RefCell<Option<Waker>>,
}

impl ConnectionState {
    /// Begins to serve a request; it counts as being served until the returned guard is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Serving {
        self.serving.set(self.serving.get() + 1);
        self.unserved_bytes.set(0);
        self.looks.set(0);
        Serving(Rc::clone(self))
    }

    /// Gives the other connections their turn, if this one was just served: its next request was sent
    /// before the response to the last, which no usual client or proxy does.
    pub(super) async fn take_turn(&self) {
        if self.had_turn.replace(true) {
            // Boxed to keep the common future small.
            Box::pin(tokio::time::sleep(PIPELINING_PAUSE)).await;
            self.had_turn.set(true);
        }
    }

    /// From here on its bytes are not HTTP requests.
    pub(super) fn upgrade(&self) {
        self.is_upgraded.set(true);
    }

    /// Notes that the current response is the last.
    pub(super) fn close_after_answer(&self) {
        self.is_closing.set(true);
    }

    /// Whether the last response has been given already.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Ends the connection as if the client had ended it.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.wake_reader();
    }

    /// Whether a head has begun and is incomplete, and nothing else is going on.
    fn awaits_head(&self) -> bool {
        self.unserved_bytes.get() > 0 && self.serving.get() == 0 && !self.is_upgraded.get()
    }

    fn is_ahead(&self) -> bool {
        self.serving.get() > 0 && !self.is_upgraded.get() && self.unserved_bytes.get() > READ_AHEAD_MAX
    }

    fn keep_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        if !reader.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *reader = Some(waker.clone());
        }
    }

    fn wake_reader(&self) {
        if let Some(reader) = &*self.reader.borrow() {
            reader.wake_by_ref();
        }
    }
}

/// A request that is being served, or a response that is being sent.
#[derive(Debug)]
pub(super) struct Serving(Rc<ConnectionState>);

impl Drop for Serving {
    fn drop(&mut self) {
        let was_ahead = self.0.is_ahead();
        self.0.serving.set(self.0.serving.get().saturating_sub(1));
        self.0.unserved_bytes.set(0);
        if was_ahead {
            self.0.wake_reader();
        }
    }
}

/// The stream that the HTTP library reads and writes.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    state: Rc<ConnectionState>,
    refusal: refusal::Rewriting,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, state: Rc::default(), refusal: refusal::Rewriting::default() }
    }

    pub(super) fn state(&self) -> &Rc<ConnectionState> {
        &self.state
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.state.had_turn.set(false);
        // Zero bytes read mean the end of the stream.
        if this.state.is_over.get() {
            return Poll::Ready(Ok(()));
        }
        if this.state.is_ahead() {
            this.state.keep_reader(context.waker());
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        match &read {
            Poll::Ready(_) => {
                let came = buffer.filled().len() - before;
                this.state.unserved_bytes.set(this.state.unserved_bytes.get() + came);
            }
            Poll::Pending => this.state.keep_reader(context.waker()),
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.refusal.poll_write(&mut this.stream, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
