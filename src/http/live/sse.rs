//! `GET /events`: Server-Sent Events. The stream ends with the session.

use std::convert::Infallible;
use std::rc::Rc;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::{HEARTBEAT, Open, caller, open};
use crate::actors::devices::Delivery;
use crate::http::connection::{ConnectionState, Serving};
use crate::http::extract::client::Client;
use crate::http::problem::Problem;
use crate::http::resource;
use crate::http::state::AppState;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/events", "GET").route(web::get().to(events)));
}

async fn events(
    request: HttpRequest,
    client: Client,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let present = caller(&request, &state, &client).await?;
    let connection = Connection {
        open: open(&state, &present, "sse").await?,
        closing: state.closing.subscribe(),
        heartbeat: heartbeat(),
        _serving: request.conn_data::<Rc<ConnectionState>>().map(ConnectionState::begin),
        ended: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        // Proxies that buffer would hold events back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream(connection)))
}

fn heartbeat() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

struct Connection {
    open: Open,
    closing: watch::Receiver<bool>,
    heartbeat: Interval,
    /// The request counts as being served for as long as this lives.
    _serving: Option<Serving>,
    ended: bool,
}

fn stream(connection: Connection) -> impl Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(connection, |mut connection| async move {
        let chunk = connection.next().await?;
        Some((Ok(chunk), connection))
    })
}

impl Connection {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        tokio::select! {
            biased;
            delivery = self.open.deliveries.next() => match delivery? {
                Delivery::Message(message) => Some(event(&message)),
                Delivery::Last(message, _) => {
                    self.ended = true;
                    Some(event(&message))
                }
            },
            _ = self.closing.wait_for(|closing| *closing) => None,
            _ = self.heartbeat.tick() => Some(Bytes::from_static(b":\n\n")),
        }
    }
}

/// One event; JSON has no line breaks.
fn event(message: &str) -> Bytes {
    Bytes::from(format!("data: {message}\n\n"))
}
