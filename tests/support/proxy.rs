//! A TCP proxy between the service and what it depends on, for taking that away in the ways networks do.

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
    /// Closes what is open and everything new at once: the server is gone.
    Cut,
    /// Accepts, keeps everything open and passes on nothing, either way: the half-open connection.
    Stall,
    /// Passes everything on, this much later.
    Delay(Duration),
}

pub(crate) struct Proxy {
    address: SocketAddr,
    /// Where new connections lead.
    target: watch::Sender<String>,
    mode: watch::Sender<Mode>,
    /// Goes up when the open connections are to go silent for ever.
    generation: watch::Sender<u64>,
    /// Goes up when the open connections are to be closed.
    cuts: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and passes on to `target`, a `host:port`.
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

    /// Passes new connections on to another `host:port`; those that are open stay as they are.
    pub(crate) fn lead_to(&self, target: &str) {
        self.target.send_replace(target.to_owned());
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Closes what is open; new connections are not concerned.
    pub(crate) fn cut_open(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// What is open stays open and says nothing any more, ever; new connections are not concerned. So does a
    /// firewall that has forgotten them.
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

/// What a connection goes by.
#[derive(Clone)]
struct Line {
    target: watch::Receiver<String>,
    mode: watch::Receiver<Mode>,
    generation: watch::Receiver<u64>,
    cuts: watch::Receiver<u64>,
}

async fn accept(listener: TcpListener, line: Line) {
    while let Ok((near, _)) = listener.accept().await {
        // For the request-and-answer protocols behind it, as their clients do it too.
        let _ = near.set_nodelay(true);
        tokio::spawn(join(near, line.clone()));
    }
}

/// Carries one connection until either side ends it or the line is cut; dropping the sockets closes them.
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
        // Both sockets are held here meanwhile: neither side hears of anything before the line is cut.
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

/// Copies one direction, asking before each write what the line does just then.
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
