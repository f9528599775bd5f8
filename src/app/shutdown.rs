//! Shutdown, in order: report not ready, let the gateway notice, disconnect devices, finish requests, write
//! activity, publish events, finish mails, send the last traces, close.

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

/// The share of the time that requests may take; the rest is for writing what they left behind.
const SHARE_FOR_REQUESTS: f64 = 0.6;
/// The share that an unavailable collector may cost, after everything that matters is stored.
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

/// Serves until a signal arrives. A second one ends the process at once.
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
        // These fail only if the actor is down; then what it holds is lost or published later, as after a
        // crash.
        let _ = flusher.address().send(FlushActivity).await;
        state.registry.flush_sightings().await;
        if let Some(publisher) = publisher {
            let _ = publisher.address().send(DrainOutbox).await;
        }
        if let Some(mailer) = mailer {
            let _ = mailer.address().send(FinishMails).await;
        }
        // Before the pool is closed: meanwhile the workers continue to query the database.
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

/// Accepts no new connection; running requests get some time, idle connections none.
async fn stop_serving(handle: &ServerHandle, patience: Duration) {
    if tokio::time::timeout(patience, handle.stop(true)).await.is_err() {
        handle.stop(false).await;
    }
}
