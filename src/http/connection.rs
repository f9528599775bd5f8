//! A client's connection, as the HTTP library reads and writes it. What that library leaves open is bounded
//! here:
//!
//! - Of pipelined requests one is served, then the other connections have their turn
//!   ([`ConnectionState::take_turn`]).
//! - A head after the first that does not come whole is waited for as long as the first (`watch`).
//! - Bytes behind a request that is being served are left to the system once there are many.
//! - A request behind one that asked for the connection's end is not served.
//! - What the library refuses by itself is answered as everything else is (`refusal`).

mod refusal;
mod watch;

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use watch::Watched;

/// Most bytes that are read behind a request while it is being served: a body, and what is read along with
/// its end. A body of 16 KiB in chunks of one byte takes six times as many.
const READ_AHEAD_MAX: usize = 256 * 1024;

/// What the service knows of one connection; shared with the services of its requests, on the same thread.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Bytes that came since a request last began or was answered.
    unserved_bytes: Cell<usize>,
    /// Requests being served, and answers being sent piece by piece.
    serving: Cell<usize>,
    /// Whether a request has begun since bytes were last looked for.
    had_turn: Cell<bool>,
    /// Whether it speaks another protocol by now.
    is_upgraded: Cell<bool>,
    /// Whether an answer has said that it is the last.
    is_closing: Cell<bool>,
    /// Whether nothing more is to be read.
    is_over: Cell<bool>,
    /// For how many looks of the watch a head has been unfinished.
    looks: Cell<u32>,
    /// Wakes the task that reads.
    reader: RefCell<Option<Waker>>,
}

impl ConnectionState {
    /// Begins to serve a request; it is being served until this is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> Serving {
        self.serving.set(self.serving.get() + 1);
        self.unserved_bytes.set(0);
        self.looks.set(0);
        Serving(Rc::clone(self))
    }

    /// Waits until the other connections of this thread have been looked after, if this one was just served.
    pub(super) async fn take_turn(&self) {
        if self.had_turn.replace(true) {
            tokio::task::yield_now().await;
            self.had_turn.set(true);
        }
    }

    /// From here on its bytes are no requests.
    pub(super) fn upgrade(&self) {
        self.is_upgraded.set(true);
    }

    /// Notes that the answer now given is the last.
    pub(super) fn close_after_answer(&self) {
        self.is_closing.set(true);
    }

    /// Whether the last answer has been given already.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.get()
    }

    /// Ends it, as if the client had.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.wake_reader();
    }

    /// Whether a head was begun that is not whole, and nothing else is going on.
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

/// A request that is being served, or an answer that is being sent.
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

/// The connection itself.
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
        // No bytes mean the end.
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
