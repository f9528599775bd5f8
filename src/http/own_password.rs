//! A signed-in person presents the account's password once more. A wrong one counts as a failed login.

use super::extract::client::Client;
use super::problem::{Code, Problem};
use super::state::AppState;
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::security::password::{Password, Verdict};
use crate::telemetry::audit::AuditEvent;

/// The account, if the password is correct.
///
/// # Errors
/// 403 `wrong_password`, because a 401 would sign clients out; 429; 503.
pub(super) async fn check(
    state: &AppState,
    client: &Client,
    user: UserId,
    password: Password,
) -> Result<User, Problem> {
    let now = state.now();
    let found = state.store().lookup_account_of(user).await?;
    let found = found.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())?;
    let email = found.user.email.as_str();
    state.limits.check_login_failures(email, client.address, now).await?;
    match state.passwords.verify(password, Some(found.password_hash)).await? {
        Verdict::Right { .. } => {
            // Concurrent guesses may have used up the allowed failures meanwhile.
            state.limits.check_login_failures(email, client.address, now).await?;
            Ok(found.user)
        }
        Verdict::Wrong => {
            let account = state.limits.pseudonyms().account(email, now);
            AuditEvent::LoginFailed(account).record(state.metrics());
            state.limits.login_failed(email, client.address, now).await?;
            Err(Problem::new(Code::WrongPassword))
        }
    }
}
