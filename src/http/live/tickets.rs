//! `POST /events/ticket`: a ticket to connect with, single use and short-lived, because a URL ends up in
//! logs.
//!
//! Issuing one waits for nothing. Using one waits for Redis or, if that was unavailable when the ticket was
//! issued, for the database.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::http::extract::session::Authenticated;
use crate::http::problem::Problem;
use crate::http::resource;
use crate::http::state::AppState;
use crate::security::ticket::{GOOD_FOR, RECORDED_AFTER_EXPIRY, SpentIn, TicketClaims};

/// A ticket as it was presented. Never printed.
pub(in crate::http) struct PresentedTicket(String);

impl PresentedTicket {
    /// The ticket in the query of a request.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        #[derive(Deserialize)]
        struct Query {
            ticket: Option<String>,
        }
        web::Query::<Query>::from_query(request.query_string()).ok()?.into_inner().ticket.map(Self)
    }

    /// Spends the ticket and returns its claims; `None` for a used, expired or unknown one.
    pub(super) async fn redeem(&self, state: &AppState) -> Result<Option<TicketClaims>, Problem> {
        let Ok(ticket) = state.tickets.verify(&self.0, state.now()) else { return Ok(None) };
        let is_first = match ticket.spent_in {
            SpentIn::Redis => {
                let known_for = state.now().until(ticket.valid_until()) + RECORDED_AFTER_EXPIRY;
                let bus = state.bus();
                bus.spend_ticket(ticket.id, known_for).await.map_err(Problem::unavailable)?
            }
            SpentIn::Database => {
                state.shed_load()?;
                state.store().spend_ticket(ticket.user, ticket.id, ticket.valid_until()).await?
            }
        };
        state.tickets.remember_used(&ticket);
        // A node that stalled in between may get here after the ticket's use has been forgotten.
        let in_time = ticket.valid_until() > state.now();
        Ok((is_first && in_time).then_some(ticket))
    }
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/events/ticket", "POST").route(web::post().to(give)));
}

async fn give(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let spent_in = if state.bus().keeps_keys() { SpentIn::Redis } else { SpentIn::Database };
    let ticket = state.tickets.sign(caller.user(), caller.session(), spent_in, state.now());
    let ticket = ticket.map_err(Problem::unavailable)?;
    let body = json!({"ticket": ticket, "expiresIn": GOOD_FOR.as_secs()});
    Ok(HttpResponse::build(StatusCode::CREATED).json(body))
}
