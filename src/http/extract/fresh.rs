//! The proof that a person authenticated a short while ago, with a second factor if they have one. A handler
//! that takes a [`Fresh`] cannot be reached without it. The stored session decides, not the token's claims.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use super::session::Authenticated;
use crate::actors::session_status::ActiveSession;
use crate::domain::command::{Proof, ReadProof};
use crate::domain::ids::{SessionId, UserId};
use crate::domain::time::Timestamp;
use crate::http::problem::Problem;
use crate::http::refresh::session_over;
use crate::http::state::AppState;

/// A live session whose person authenticated a short while ago.
#[derive(Debug)]
pub struct Fresh(pub ActiveSession);

impl Fresh {
    /// The user the session belongs to.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.0.session.user
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.session.id()
    }
}

impl FromRequest for Fresh {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let Authenticated(found) = Authenticated::by_token(&request).await?;
            let state = request.app_data::<web::Data<AppState>>();
            let state = state.ok_or_else(|| Problem::unavailable(crate::http::state::NoState))?;
            let max_age = state.config.sessions.fresh_auth;
            if shown(&found).is_some_and(|proof| refusal(proof, found.now, max_age).is_none()) {
                return Ok(Self(found));
            }
            // The person may have proved it on another node a moment ago.
            let (user, session) = (found.session.user, found.session.id());
            match state.registry.ask(user, ReadProof { session }).await.map_err(Problem::for_token)? {
                Ok(proof) => match refusal(proof, found.now, max_age) {
                    None => Ok(Self(found)),
                    Some(problem) => Err(problem),
                },
                Err(over) => Err(session_over(state, user, over).await?.with_challenge()),
            }
        })
    }
}

/// The proof according to the snapshot.
fn shown(found: &ActiveSession) -> Option<Proof> {
    let authentication = found.snapshot.authentication(found.session.id())?;
    Some(Proof { authentication, factors: found.snapshot.account.factors })
}

/// The challenge for a proof that does not suffice.
fn refusal(proof: Proof, now: Timestamp, max_age: Duration) -> Option<Problem> {
    let needs_second_factor = proof.lacks_second_factor();
    let is_fresh = proof.authentication.at.until(now) <= max_age && !needs_second_factor;
    (!is_fresh).then(|| Problem::fresh_authentication_required(max_age, needs_second_factor))
}
