//! `GET /ws`: the same as `GET /events`, over WebSocket (RFC 6455); the device may report activity on it.
//!
//! Close codes: 1008 to a client that sends more than 20 messages a second beyond a burst of 60, 4401 with
//! the reason when the session ended, 1012 at shutdown, 1013 to a device that does not read.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_web::error::PayloadError;
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev, web};
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError, Session,
};
use futures_util::StreamExt;
use serde::Deserialize;

use super::{HEARTBEAT, Open, caller, open};
use crate::actors::devices::Delivery;
use crate::actors::session_status::SessionStatus;
use crate::domain::ids::{SessionId, UserId};
use crate::http::connection::ConnectionState;
use crate::http::extract::client::Client;
use crate::http::problem::{Code, Problem};
use crate::http::resource;
use crate::http::state::AppState;

/// Close code: the session is over.
const SESSION_OVER: u16 = 4401;
/// Largest message of a client, in bytes.
const MESSAGE_MAX: usize = 4 * 1024;
/// Most bytes a client may send without completing a message: a message, and what one read may bring beyond
/// it.
const UNFINISHED_MAX: usize = 256 * 1024;
/// Messages a client may send at once, and how many more it may send each second.
const MESSAGES_BURST: f64 = 60.0;
const MESSAGES_PER_SECOND: f64 = 20.0;
/// A device that has sent nothing for this long, not even a pong, counts as gone.
const SILENCE: Duration = Duration::from_secs(55);
/// How long a device may take to read a message before its connection is closed.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/ws", "GET").route(web::get().to(connect)));
}

async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    client: Client,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let present = caller(&request, &state, &client).await?;
    let open = open(&state, &present, "websocket").await?;
    let no_handshake = |_| Problem::new(Code::UpgradeRequired);
    let unfinished = Rc::new(Cell::new(0));
    let payload = web::Payload::from_request(&request, &mut bounded(payload, unfinished.clone()));
    let payload = payload.await.map_err(no_handshake)?;
    let (answer, session, messages) = actix_ws::handle(&request, payload).map_err(no_handshake)?;
    if let Some(connection) = request.conn_data::<Rc<ConnectionState>>() {
        connection.upgrade();
    }
    let connection = Connection {
        user: present.session.user,
        session_id: present.session.id(),
        heard: Instant::now(),
        budget: MESSAGES_BURST,
        unfinished,
        state,
        open,
        session,
        messages: messages
            .max_frame_size(MESSAGE_MAX)
            .aggregate_continuations()
            .max_continuation_size(MESSAGE_MAX),
    };
    actix_web::rt::spawn(connection.run());
    Ok(answer)
}

struct Connection {
    user: UserId,
    session_id: SessionId,
    state: web::Data<AppState>,
    open: Open,
    session: Session,
    messages: AggregatedMessageStream,
    heard: Instant,
    /// Messages that the client could still send at that time.
    budget: f64,
    /// Bytes that arrived since the last complete message.
    unfinished: Rc<Cell<usize>>,
}

/// The client's bytes, ended when too many arrive without completing a message: the library buffers an
/// unfinished frame of any size.
fn bounded(payload: web::Payload, unfinished: Rc<Cell<usize>>) -> dev::Payload {
    let counted = payload.into_inner().map(move |chunk| {
        let chunk = chunk?;
        unfinished.set(unfinished.get() + chunk.len());
        if unfinished.get() > UNFINISHED_MAX { Err(PayloadError::Overflow) } else { Ok(chunk) }
    });
    dev::Payload::Stream { payload: Box::pin(counted) }
}

/// How a connection ends: with a close frame, or without one if nobody is left to read it.
type Ended = Option<CloseReason>;

impl Connection {
    async fn run(mut self) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        let mut closing = self.state.closing.subscribe();
        let closing = closing.wait_for(|closing| *closing);
        tokio::pin!(closing);
        let ended = loop {
            let step = tokio::select! {
                biased;
                delivery = self.open.deliveries.next() => self.deliver(delivery).await,
                message = self.messages.recv() => self.hear(message).await,
                _ = &mut closing => Err(close(CloseCode::Restart, "restarting")),
                _ = heartbeat.tick() => self.beat().await,
            };
            if let Err(ended) = step {
                break ended;
            }
        };
        if let Some(reason) = ended {
            // The peer may be gone already.
            let _ = tokio::time::timeout(TIMEOUT, self.session.close(Some(reason))).await;
        }
    }

    async fn deliver(&mut self, delivery: Option<Delivery>) -> Result<(), Ended> {
        match delivery {
            Some(Delivery::Message(message)) => self.send(message).await,
            Some(Delivery::Last(message, reason)) => {
                self.send(message).await?;
                Err(close(CloseCode::Other(SESSION_OVER), reason.as_str()))
            }
            // The actor has dropped a device that does not read, or is itself gone.
            None => Err(close(CloseCode::Again, "connect again")),
        }
    }

    async fn send(&mut self, message: String) -> Result<(), Ended> {
        in_time(self.session.text(message)).await
    }

    async fn beat(&mut self) -> Result<(), Ended> {
        if self.heard.elapsed() > SILENCE {
            return Err(None);
        }
        in_time(self.session.ping(b"")).await
    }

    async fn hear(&mut self, message: Option<Result<AggregatedMessage, ProtocolError>>) -> Result<(), Ended> {
        let came = self.unfinished.replace(0);
        if !self.may_send() {
            let now = self.state.now();
            self.state.limits.too_many_messages(self.session_id, now);
            return Err(close(CloseCode::Policy, "too many messages"));
        }
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => {
                self.understand(&text).await;
                Ok(())
            }
            Some(Ok(AggregatedMessage::Ping(bytes))) => in_time(self.session.pong(&bytes)).await,
            Some(Ok(AggregatedMessage::Pong(_) | AggregatedMessage::Binary(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(reason))) => Err(reason.or(Some(CloseCode::Normal.into()))),
            Some(Err(_)) if came > MESSAGE_MAX => Err(close(CloseCode::Size, "too long")),
            Some(Err(_)) => Err(close(CloseCode::Protocol, "not understood")),
            None => Err(None),
        }
    }

    /// Whether a message that has just arrived is within the client's limit.
    fn may_send(&mut self) -> bool {
        let earned = self.heard.elapsed().as_secs_f64() * MESSAGES_PER_SECOND;
        self.heard = Instant::now();
        self.budget = (self.budget + earned).min(MESSAGES_BURST) - 1.0;
        self.budget >= 0.0
    }

    /// Handles `activity`, the only message a client may send; anything else is ignored, so that clients can
    /// be newer than the service.
    async fn understand(&self, text: &str) {
        #[derive(Deserialize)]
        struct Said {
            r#type: String,
        }
        if serde_json::from_str::<Said>(text).is_ok_and(|said| said.r#type == "activity") {
            let registry = &self.state.registry;
            // If the limit is reached, or the status is unknown for the moment, the next report counts.
            if let Ok(SessionStatus::Active(present)) =
                registry.status(self.user, self.session_id, None).await
                && self.state.limits.api(self.user, &present.slot, present.now, || ()).is_ok()
            {
                let _ = registry.note_activity(&present.session, present.now);
            }
        }
    }
}

/// Limits the time of sending, so that a client that does not read is not waited for.
async fn in_time(sent: impl Future<Output = Result<(), Closed>>) -> Result<(), Ended> {
    match tokio::time::timeout(TIMEOUT, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(None),
    }
}

fn close(code: CloseCode, description: &str) -> Ended {
    Some(CloseReason { code, description: Some(description.to_owned()) })
}
