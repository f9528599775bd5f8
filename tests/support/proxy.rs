//! A TCP proxy between the service and a dependency, to make that unavailable in the ways networks do.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does to connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Forward,
    /// Closes all open connections, and new ones at once: the server is gone.
    Cut,
    /// Accepts, keeps everything open and forwards nothing in either direction: a half-open connection.
    Stall,
    /// Forwards everything with this delay.
    Delay(Duration),
}

pub(crate) struct Proxy {
    address: SocketAddr,
    /// Where new connections lead.
    target: watch::Sender<String>,
    mode: watch::Sender<Mode>,
    /// Increased when the open connections are to go silent forever.
    generation: watch::Sender<u64>,
    /// Increased when the open connections are to be closed.
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to `target`, a `host:port`.
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Forward);
        let (generation, current) = watch::channel(0);
        let (cuts, cut) = watch::channel(0);
        let (target, led) = watch::channel(target.to_owned());
        let line = Line { target: led, mode: watched, generation: current, cuts: cut };
        let accepting = tokio::spawn(accept(listener, line));
        Self { address, target, mode, generation, cuts, accepting }
    }

    /// Forwards new connections to another `host:port`; open ones stay as they are.
    pub(crate) fn lead_to(&self, target: &str) {
        self.target.send_replace(target.to_owned());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Closes the open connections; new ones are not affected.
    pub(crate) fn cut_open(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Silences the open connections forever without closing them; new ones are not affected. A firewall
    /// that has forgotten its connections does the same.
    pub(crate) fn silence_open(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Cut);
        self.accepting.abort();
    }
}

/// What controls a connection.
#[derive(Clone)]
struct Line {
    target: watch::Receiver<String>,
    mode: watch::Receiver<Mode>,
    generation: watch::Receiver<u64>,
    cuts: watch::Receiver<u64>,
}

async fn accept(listener: TcpListener, line: Line) {
    while let Ok((near, _)) = listener.accept().await {
        // For the request-response protocols behind it, as their clients do too.
        let _ = near.set_nodelay(true);
        tokio::spawn(join(near, line.clone()));
    }
}

/// Forwards one connection until either side ends it or it is cut; dropping the sockets closes them.
async fn join(near: TcpStream, line: Line) {
    let Line { target, mut mode, generation, cuts } = line;
    let target = target.borrow().clone();
    let open = mode.wait_for(|mode| *mode != Mode::Stall).await.map(|mode| *mode);
    if matches!(open, Ok(Mode::Cut) | Err(_)) {
        return;
    }
    let Ok(far) = TcpStream::connect(&target).await else {
        return;
    };
    let _ = far.set_nodelay(true);
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let cut = mode.clone();
    tokio::select! {
        () = carry(&mut near_read, &mut far_write, mode.clone()) => {}
        () = carry(&mut far_read, &mut near_write, mode) => {}
        () = until_cut(cut.clone()) => {}
        // Both sockets are held here meanwhile: neither side notices anything before the line is cut.
        () = until_next(cuts) => {}
        () = until_next(generation) => until_cut(cut).await,
    }
}

async fn until_cut(mut mode: watch::Receiver<Mode>) {
    // An error means that the proxy is gone.
    let _ = mode.wait_for(|mode| *mode == Mode::Cut).await;
}

async fn until_next(mut count: watch::Receiver<u64>) {
    let mine = *count.borrow();
    let _ = count.wait_for(|now| *now != mine).await;
}

/// Copies one direction, checking the current mode before each write.
async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let Ok(now) = mode.wait_for(|mode| *mode != Mode::Stall).await.map(|mode| *mode) else {
            return;
        };
        if let Mode::Delay(time) = now {
            tokio::time::sleep(time).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
