//! The end, in order: say so, let the gateway notice, let devices go, finish requests, write activity,
//! publish events, finish mails, send the last traces, close.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::App;
use super::background::Background;
use crate::actors::activity_flusher::FlushActivity;
use crate::actors::mailer::FinishMails;
use crate::actors::publisher::DrainOutbox;

/// What is left of the time for requests is kept for writing what they left behind.
const SHARE_FOR_REQUESTS: f64 = 0.6;
/// A collector that is away may cost so much of it, after all that matters is stored.
const SHARE_FOR_TRACES: f64 = 0.2;

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Serves until a signal comes. A second one ends the process at once.
pub(super) async fn run(app: App) -> io::Result<()> {
    let mut signals = Signals::new()?;
    let App { server, addresses: _, state, background } = app;
    let Background { flusher, publisher, mailer } = background;
    let handle = server.handle();
    let mut serving = actix::spawn(server);
    let signal = tokio::select! {
        ended = &mut serving => return ended.map_err(io::Error::other)?,
        signal = signals.next() => signal,
    };
    let settings = &state.config.shutdown;
    tracing::info!(signal, drain_seconds = settings.drain.as_secs_f64(), "shutdown.started");
    state.shutting_down.store(true, Ordering::Relaxed);
    let orderly = async {
        tokio::time::sleep(settings.drain).await;
        state.closing.send_replace(true);
        let time = settings.timeout.saturating_sub(settings.drain);
        stop_serving(&handle, time.mul_f64(SHARE_FOR_REQUESTS)).await;
        // Neither can fail but by its actor being down; then what it holds is lost or published later, as in
        // a crash.
        let _ = flusher.address().send(FlushActivity).await;
        state.registry.flush_sightings().await;
        if let Some(publisher) = publisher {
            let _ = publisher.address().send(DrainOutbox).await;
        }
        if let Some(mailer) = mailer {
            let _ = mailer.address().send(FinishMails).await;
        }
        // Before the pool is closed: meanwhile the workers go on asking the database.
        if let Some(traces) = &state.traces {
            traces.finish(time.mul_f64(SHARE_FOR_TRACES)).await;
        }
        state.registry.store().close().await;
    };
    tokio::select! {
        done = tokio::time::timeout(settings.timeout, orderly) => match done {
            Ok(()) => tracing::info!("shutdown.finished"),
            Err(_) => tracing::warn!("shutdown.timed_out"),
        },
        signal = signals.next() => {
            tracing::warn!(signal, "shutdown.forced");
            return Err(io::Error::other("a second signal ended the shutdown"));
        }
    }
    Ok(())
}

/// No new connection; requests that run are given some time, idle connections none.
async fn stop_serving(handle: &ServerHandle, patience: Duration) {
    if tokio::time::timeout(patience, handle.stop(true)).await.is_err() {
        handle.stop(false).await;
    }
}
