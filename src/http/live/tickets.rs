//! `POST /events/ticket`: a ticket to connect with, single use and short-lived, because a URL ends up in logs.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::bus::tickets::GOOD_FOR;
use crate::domain::ids::{SessionId, UserId};
use crate::http::extract::session::Authenticated;
use crate::http::problem::Problem;
use crate::http::resource;
use crate::http::state::AppState;

/// What a ticket stands for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) user: UserId,
    pub(super) session: SessionId,
}

/// A ticket as it was shown. Never printed.
pub(in crate::http) struct Ticket(String);

impl Ticket {
    /// The ticket in the query of a request.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        #[derive(Deserialize)]
        struct Query {
            ticket: Option<String>,
        }
        web::Query::<Query>::from_query(request.query_string()).ok()?.into_inner().ticket.map(Self)
    }

    /// Whose it is. It is worth nothing after this.
    pub(super) async fn redeem(&self, state: &AppState) -> Result<Option<Holder>, Problem> {
        // Nothing that was not made here goes into a key.
        if Uuid::parse_str(&self.0).is_err() {
            return Ok(None);
        }
        let holder = state.registry.tools().bus.take_ticket(&self.0).await.map_err(Problem::unavailable)?;
        Ok(holder.and_then(|holder| serde_json::from_str(&holder).ok()))
    }
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/events/ticket", "POST").route(web::post().to(give)));
}

async fn give(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    // 122 random bits.
    let ticket = Uuid::new_v4().simple().to_string();
    let holder = Holder { user: caller.user(), session: caller.session() };
    let holder = serde_json::to_string(&holder).map_err(Problem::unavailable)?;
    state.registry.tools().bus.keep_ticket(&ticket, holder).await.map_err(Problem::unavailable)?;
    let body = json!({"ticket": ticket, "expiresIn": GOOD_FOR.as_secs()});
    Ok(HttpResponse::build(StatusCode::CREATED).json(body))
}
