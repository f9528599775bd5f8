//! `/admin`: what operators and other services read and change, with an API key or as an `ADMIN`. The
//! gateway does not expose it.
//!
//! In reading order: `cursor` (pages), `precondition`, `view`, [`users`], [`recovery`], [`sessions`],
//! [`live`].

mod cursor;
mod live;
mod precondition;
mod recovery;
mod sessions;
mod users;
mod view;

use actix_web::web;
use uuid::Uuid;

use super::extract::form::Parameters;
use super::extract::operator::{Needs, Operator};
use super::problem::{Code, FieldError, Problem};
use super::state::AppState;
use crate::actors::operators::{OperatorError, Operators};
use crate::domain::ids::UserId;
use crate::domain::user::FieldProblem;

/// Rows per page: the default, and the maximum.
const PAGE: u64 = 50;
const PAGE_MAX: u64 = 200;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .configure(users::configure)
        .configure(recovery::configure)
        .configure(sessions::configure)
        .configure(live::configure);
}

fn operators<S: Needs>(state: &AppState, caller: &Operator<S>) -> Operators {
    Operators::in_service(&state.registry, caller.principal.to_string())
}

/// The user id in a path. Anything that is not a UUID gets the same answer as an unknown id.
fn user_id(path: &str) -> Result<UserId, Problem> {
    Uuid::parse_str(path).map(UserId::new).map_err(|_| Problem::new(Code::UserNotFound))
}

pub(super) fn invalid(field: &'static str) -> Problem {
    Problem::validation(vec![FieldError::new(field, FieldProblem::Invalid)])
}

fn limit(query: &Parameters) -> Result<u64, Problem> {
    let Some(text) = query.one("limit")? else { return Ok(PAGE) };
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
    limit.ok_or_else(|| invalid("limit"))
}

impl From<OperatorError> for Problem {
    fn from(error: OperatorError) -> Self {
        match error {
            OperatorError::NoSuchUser => Self::new(Code::UserNotFound),
            OperatorError::NoSuchSession(_) => Self::new(Code::SessionNotFound),
            OperatorError::LastAdmin => Self::new(Code::LastAdmin),
            OperatorError::ChangedMeanwhile => Self::new(Code::ChangedMeanwhile),
            OperatorError::Storage(error) => Self::from(error),
            OperatorError::Contended => Self::unavailable(error),
        }
    }
}
