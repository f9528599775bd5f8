//! `/admin/stats` and `/admin/live`: the service's numbers, once, or each second with the events in between.
//! The stream contains nobody's address, and ends when the key or session that opened it does.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use futures_util::Stream;
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::events::Message;
use crate::http::extract::operator::{Operator, Principal, SessionsRead};
use crate::http::problem::Problem;
use crate::http::resource;
use crate::http::state::AppState;

/// How often the numbers are sent.
const PERIOD: Duration = Duration::from_secs(1);
/// Most events between two readings of the numbers.
const EVENTS: u32 = 50;
/// Members of an event that are sent; what is not listed may be an address or a token.
const SHOWN: [&str; 11] = [
    "userId",
    "sessionId",
    "eventId",
    "timestamp",
    "reason",
    "count",
    "deviceInfo",
    "amr",
    "changed",
    "by",
    "terminatedBySessionId",
];

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(resource("/admin/stats", "GET").route(web::get().to(stats)))
        .service(resource("/admin/live", "GET").route(web::get().to(live)));
}

async fn stats(_: Operator<SessionsRead>, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(state.stats.read(&state.registry).await?))
}

async fn live(caller: Operator<SessionsRead>, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let permit = state.connections.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let mut ticks = interval_at(Instant::now(), PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let connection = Watching {
        principal: caller.principal,
        messages: state.bus().watch(),
        closing: state.closing.subscribe(),
        state,
        ticks,
        shown: 0,
        skipped: 0,
        _permit: permit,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies that buffer would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream(connection)))
}

/// The stream to one operator.
struct Watching {
    state: web::Data<AppState>,
    principal: Principal,
    messages: mpsc::Receiver<Message>,
    closing: watch::Receiver<bool>,
    ticks: Interval,
    /// Events sent since the last numbers.
    shown: u32,
    skipped: u32,
    _permit: OwnedSemaphorePermit,
}

fn stream(watching: Watching) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(watching, |mut watching| async move {
        let chunk = watching.next().await?;
        Some((Ok(chunk), watching))
    })
}

impl Watching {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                biased;
                () = closed(&mut self.closing) => return None,
                _ = self.ticks.tick() => return self.numbers().await,
                Some(message) = self.messages.recv() => {
                    if self.shown >= EVENTS {
                        self.skipped += 1;
                    } else if let Some(event) = event(&message) {
                        self.shown += 1;
                        return Some(line(&event));
                    }
                }
            }
        }
    }

    /// The numbers, while the caller is still authorized.
    async fn numbers(&mut self) -> Option<Bytes> {
        if !self.principal.still_may(&self.state).await {
            return None;
        }
        let skipped = std::mem::take(&mut self.skipped);
        self.shown = 0;
        let Ok(numbers) = self.state.stats.read(&self.state.registry).await else {
            // Numbers follow when the database is back; the connection is kept alive.
            return Some(Bytes::from_static(b":\n\n"));
        };
        let mut told = json!(numbers);
        told["type"] = "stats".into();
        told["skipped"] = skipped.into();
        Some(line(&told))
    }
}

/// Waits until the node begins to shut down.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the application has ended, too.
    drop(closing.wait_for(|closing| *closing).await);
}

/// A message of a public channel, reduced to the members in [`SHOWN`].
fn event(message: &Message) -> Option<Value> {
    let mut told: Map<String, Value> = serde_json::from_str(&message.payload).ok()?;
    let name = told.remove("event")?;
    let mut event: Map<_, _> =
        SHOWN.into_iter().filter_map(|member| Some((member.to_owned(), told.remove(member)?))).collect();
    event.insert("type".to_owned(), name);
    Some(Value::Object(event))
}

/// One event of the stream; JSON has no line breaks.
fn line(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}
