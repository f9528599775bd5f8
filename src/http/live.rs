//! Live connections: what happens to a user's sessions is pushed to the user's devices.
//!
//! In reading order: [`tickets`] (for browsers, which cannot set headers), then this file (who may connect),
//! [`sse`] and [`websocket`] (the two transports).

mod sse;
mod tickets;
mod websocket;

use actix_web::{HttpRequest, web};
use tokio::sync::OwnedSemaphorePermit;

use super::extract::client::Client;
use super::extract::session::Authenticated;
use super::problem::{Code, Problem};
use super::state::AppState;
use crate::actors::devices::Deliveries;
use crate::actors::messages::ConnectRefusal;
use crate::actors::registry::Registry;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::domain::ids::UserId;

pub(super) use tickets::PresentedTicket;

/// How often a keep-alive is sent on a quiet connection.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(25);

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.configure(tickets::configure).configure(sse::configure).configure(websocket::configure);
}

/// An open connection: its queue, and its slot in the node's limit and the metrics, given back on drop. The
/// queue is dropped first, so that the user's actor notices before the slot is free.
struct Open {
    deliveries: Deliveries,
    _place: Place,
}

struct Place {
    transport: &'static str,
    user: UserId,
    registry: Registry,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.metrics().connected_devices.with_label_values(&[self.transport]).dec();
        self.registry.disconnected(self.user);
    }
}

/// Authenticates the caller by ticket or by access token; the page must be of an allowed origin.
async fn caller(request: &HttpRequest, state: &AppState, client: &Client) -> Result<ActiveSession, Problem> {
    if !client.origin_allowed {
        return Err(Problem::new(Code::OriginNotAllowed));
    }
    let Some(ticket) = PresentedTicket::of(request) else {
        return Authenticated::by_token(request).await.map(|caller| caller.0);
    };
    let ticket = ticket.redeem(state).await?.ok_or_else(|| Problem::new(Code::TokenInvalid))?;
    match state.registry.status(ticket.user, ticket.session, None).await.map_err(Problem::from)? {
        SessionStatus::Active(present) => Ok(present),
        SessionStatus::Over(reason) => Err(Problem::session_over(reason)),
        SessionStatus::TokenMismatch => Err(Problem::new(Code::TokenInvalid)),
    }
}

/// Connects the caller's device, within the limits of its session and this node.
async fn open(state: &AppState, present: &ActiveSession, transport: &'static str) -> Result<Open, Problem> {
    let permit = state.connections.clone().try_acquire_owned().map_err(|_| Problem::overloaded())?;
    let (user, session) = (present.session.user, present.session.id());
    let most = usize::try_from(state.config.limits.max_connections_per_session).unwrap_or(usize::MAX);
    let deliveries = state.registry.connect(user, session, most).await.map_err(|refusal| match refusal {
        ConnectRefusal::Over(reason) => Problem::session_over(reason),
        ConnectRefusal::TooMany => {
            state.metrics().rate_limited.with_label_values(&["connections"]).inc();
            // A connection whose peer is gone is noticed by then.
            Problem::too_many(HEARTBEAT)
        }
        ConnectRefusal::Actor(error) => Problem::from(error),
    })?;
    state.metrics().connected_devices.with_label_values(&[transport]).inc();
    let registry = state.registry.clone();
    Ok(Open { deliveries, _place: Place { transport, user, registry, _permit: permit } })
}
