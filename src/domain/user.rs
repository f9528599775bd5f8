//! A person with an account, and the rules for what may be stored about one.

pub use super::email::Email;
pub use super::field_problem::FieldProblem;
use super::ids::UserId;
use super::policy::OwnPolicy;
pub use super::role::Role;
use super::text::is_presentable;
use super::time::Timestamp;

/// Fewest characters of a password.
pub const PASSWORD_MIN_CHARS: usize = 8;
/// Most bytes of a password: bcrypt reads no more, and a longer one is refused, never cut.
pub const PASSWORD_MAX_BYTES: usize = 72;
/// Most characters of a name.
pub const NAME_MAX_CHARS: usize = 100;
/// A user as the service knows one; the password hash is kept separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Identifier.
    pub id: UserId,
    /// Display name.
    pub name: String,
    /// Address to log in with.
    pub email: Email,
    /// Role, copied into access tokens.
    pub role: Role,
    /// Latest activity of any session that reached the database.
    pub last_activity_at: Timestamp,
    /// When the person signed up.
    pub created_at: Timestamp,
    /// When the account itself last changed.
    pub updated_at: Timestamp,
    /// Since when it may not sign in; `None` if it may.
    pub disabled_at: Option<Timestamp>,
    /// When the person last proved that the address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// Language for mails; `None` for the service's default.
    pub locale: Option<String>,
    /// When the credentials (password or second factors) last changed; `None` if they never have.
    pub credentials_changed_at: Option<Timestamp>,
    /// How many second factors the person has.
    pub factors: u32,
    /// Whether the next login must set a new password.
    pub password_change_required: bool,
    /// The user's own session policy, which takes precedence over the role's.
    pub policy: Option<OwnPolicy>,
    /// When the account will be deleted, because the person asked for it.
    pub delete_at: Option<Timestamp>,
}

impl User {
    /// A new account.
    #[must_use]
    pub fn new(id: UserId, name: String, email: Email, role: Role, now: Timestamp) -> Self {
        Self {
            id,
            name,
            email,
            role,
            last_activity_at: now,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            email_verified_at: None,
            locale: None,
            credentials_changed_at: None,
            factors: 0,
            password_change_required: false,
            policy: None,
            delete_at: None,
        }
    }
}

/// A trimmed name of 1 to 100 characters without control characters, at least one of them visible.
///
/// # Errors
/// [`FieldProblem`]: why it is not a name.
pub fn parse_name(text: &str) -> Result<String, FieldProblem> {
    let name = text.trim();
    match name {
        "" => Err(FieldProblem::TooShort),
        name if name.chars().any(char::is_control) || !is_presentable(name) => Err(FieldProblem::Invalid),
        name if name.chars().count() > NAME_MAX_CHARS => Err(FieldProblem::TooLong),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_counts_characters_not_bytes() {
        assert!(parse_name(&"ä".repeat(100)).is_ok());
        assert_eq!(parse_name(&"ä".repeat(101)), Err(FieldProblem::TooLong));
        for unseen in ["a\u{7}b", "\u{200b}", "\u{2800}", "\u{3164}", "\u{202e}", "Ada\u{202e}"] {
            assert_eq!(parse_name(unseen), Err(FieldProblem::Invalid), "{unseen:?}");
        }
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_string(&role).unwrap_or_default(), format!("\"{}\"", role.as_str()));
        }
    }
}
