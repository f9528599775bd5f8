//! `GET /revocations`: the sessions that end, as Server-Sent Events, for services that verify tokens by
//! themselves and cannot reach Redis. Needs an API key with the scope `tokens:introspect`, and ends when the
//! key does.
//!
//! ```text
//! event: reset                 not continued from a cursor: some endings before `since` are missing
//! data: {"since":"2026-11-27T20:00:00.000Z"}
//!
//! data: {"sessionId":"…","userId":"…","reason":"logout","tokensExpireAt":"…"}
//!
//! event: heartbeat             all that was stored `elapsedMs` after the request began has been sent
//! id: the cursor
//! data: {"elapsedMs":1204}
//! ```
//!
//! So a follower knows by its own clock how fresh its knowledge is, whatever was delayed on the way.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::header::HeaderName;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::Stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::connection::{ConnectionState, Serving};
use super::extract::form::Parameters;
use super::extract::operator::{Operator, Principal, TokensIntrospect};
use super::problem::Problem;
use super::state::AppState;
use super::{admin, resource};
use crate::actors::revocations::{FollowError, Follower, Told};
use crate::clock::Moment;
use crate::domain::reason::EndReason;
use crate::storage::revocations::{Ended, Place};

/// The route's pattern.
pub(super) const PATH: &str = "/revocations";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How often the key is checked again; something is sent at least as often.
const CHECK: Duration = Duration::from_millis(500);
/// How long a stream lasts: in this time clocks that run at different rates diverge by a few milliseconds.
const LASTS: Duration = Duration::from_secs(300);
/// How far back a follower without a cursor gets endings, at most.
const HISTORY: Duration = Duration::from_secs(900);
/// Endings per chunk.
const CHUNK: usize = 500;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource(PATH, "GET").route(web::get().to(revocations)));
}

async fn revocations(
    caller: Operator<TokensIntrospect>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let began = Moment::now();
    let place = cursor(&request)?;
    let permit = state.connections.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let follower = state.revocations.follow(&state.registry).await.map_err(|error| match error {
        FollowError::TooMany => Problem::overloaded(),
        FollowError::Unavailable => Problem::unavailable(error),
    })?;
    // Read after subscribing, so that no message is missed in between.
    let window = HISTORY.min(state.config.sessions.retention);
    let first = state.store().endings_after(place, state.now(), window).await?;
    let mut ticks = interval_at(Instant::now() + CHECK, CHECK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut following = Following {
        principal: caller.principal,
        follower,
        closing: state.closing.subscribe(),
        state,
        ticks,
        began,
        waiting: VecDeque::new(),
        is_quiet: true,
        _serving: request.conn_data::<Rc<ConnectionState>>().map(ConnectionState::begin),
        _permit: permit,
    };
    if let Some(since) = first.since {
        following.waiting.push_back(format!("event: reset\ndata: {}\n\n", json!({"since": since})).into());
    }
    following.tell(&first.ended, &first.place, first.asked);
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies that buffer would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream(following)))
}

/// Where to resume. A browser's or library's `EventSource` repeats the URL it began with, and adds the id of
/// the last event it received.
fn cursor(request: &HttpRequest) -> Result<Option<Place>, Problem> {
    let invalid = || admin::invalid("cursor");
    let query = Parameters::parse(request.query_string())?;
    let text = match request.headers().get(LAST_EVENT_ID) {
        Some(value) if !value.is_empty() => Some(value.to_str().map_err(|_| invalid())?),
        _ => query.one("cursor")?,
    };
    text.map(|text| Place::parse(text).ok_or_else(invalid)).transpose()
}

/// The stream to one follower.
struct Following {
    state: web::Data<AppState>,
    principal: Principal,
    follower: Follower,
    closing: watch::Receiver<bool>,
    ticks: Interval,
    /// When its request arrived.
    began: Moment,
    waiting: VecDeque<Bytes>,
    /// Whether nothing was sent since the last tick.
    is_quiet: bool,
    _serving: Option<Serving>,
    _permit: OwnedSemaphorePermit,
}

fn stream(following: Following) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(following, |mut following| async move {
        let chunk = following.next().await?;
        Some((Ok(chunk), following))
    })
}

impl Following {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                self.is_quiet = false;
                return Some(chunk);
            }
            tokio::select! {
                biased;
                () = closed(&mut self.closing) => return None,
                _ = self.ticks.tick() => {
                    let is_over = Moment::now().since(self.began) > LASTS;
                    if is_over || !self.principal.still_may(&self.state).await {
                        return None;
                    }
                    if std::mem::replace(&mut self.is_quiet, true) {
                        // The database is unavailable: there is no news, but the connection is kept alive.
                        return Some(Bytes::from_static(b":\n\n"));
                    }
                }
                told = self.follower.told.recv() => {
                    let Ok(Told::Endings(reached)) = told else {
                        // The follower reconnects with the cursor it has.
                        self.state.metrics().revocation_followers_dropped.inc();
                        return None;
                    };
                    self.tell(&reached.ended, &reached.place, reached.asked);
                }
            }
        }
    }

    fn tell(&mut self, ended: &[Ended], place: &Place, asked: Moment) {
        self.state.metrics().revocations_told.inc_by(ended.len() as u64);
        for some in ended.chunks(CHUNK) {
            self.waiting.push_back(some.iter().map(ending).collect::<String>().into());
        }
        let elapsed = u64::try_from(asked.since(self.began).as_millis()).unwrap_or(u64::MAX);
        let (id, elapsed) = (place.to_text(), json!({"elapsedMs": elapsed}));
        self.waiting.push_back(format!("event: heartbeat\nid: {id}\ndata: {elapsed}\n\n").into());
    }
}

/// Waits until the node begins to shut down.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the application has ended, too.
    drop(closing.wait_for(|closing| *closing).await);
}

fn ending(ended: &Ended) -> String {
    let reason = ended.reason.unwrap_or(EndReason::Terminated);
    let told = json!({
        "sessionId": ended.session,
        "userId": ended.user,
        "reason": reason.as_str(),
        "tokensExpireAt": ended.tokens_expire_at,
    });
    format!("data: {told}\n\n")
}
