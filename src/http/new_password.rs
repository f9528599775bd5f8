//! A new password is held against the rules before anything else is done with it.

use super::problem::{FieldError, Problem};
use super::state::AppState;
use crate::security::password::Password;

/// Lets a new password pass; `person` is what is known of its person.
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
    checked.map_err(|weak| {
        Problem::validation(vec![FieldError { field, code: weak.as_str(), message: weak.message() }])
    })
}
