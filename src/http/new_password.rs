//! Checks a new password against the rules before anything else is done with it.

use super::problem::{FieldError, Problem};
use super::state::AppState;
use crate::security::password::Password;
use crate::security::password_rules::WeakPassword;

/// Checks the rules that need no other service: all but the breach list.
///
/// # Errors
/// 422, under the name of that member.
pub(super) fn check_here(
    state: &AppState,
    field: &'static str,
    password: &Password,
    person: &[&str],
) -> Result<(), Problem> {
    state.password_rules.check_here(password, person).map_err(|weak| refused(field, weak))
}

fn refused(field: &'static str, weak: WeakPassword) -> Problem {
    Problem::validation(vec![FieldError { field, code: weak.as_str(), message: weak.message() }])
}

/// Checks all rules; `person` is what is known about its owner.
///
/// # Errors
/// 422, under the name of that member.
pub(super) async fn check(
    state: &AppState,
    field: &'static str,
    password: &Password,
    person: &[&str],
) -> Result<(), Problem> {
    let checked = state.password_rules.check(password, person).await;
    checked.map_err(|weak| refused(field, weak))
}
