//! From what another application wrote of a user to an account that may be stored, by the same rules as at
//! sign-up.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::clock::new_uuid;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::domain::user::{Email, FieldProblem, Role, User, parse_name};
use crate::security::password::PasswordHash;
use crate::storage::accounts::Account;

/// What each thing may be called; the first is the name it has here.
pub(super) const FIELDS: [(&str, &[&str]); 8] = [
    ("id", &["id"]),
    ("email", &["email"]),
    ("name", &["name"]),
    ("password", &["password", "passwordHash", "password_hash"]),
    ("role", &["role"]),
    ("createdAt", &["createdAt", "created_at"]),
    ("updatedAt", &["updatedAt", "updated_at"]),
    ("lastActivityAt", &["lastActivityAt", "last_activity_at"]),
];

/// Makes UUIDs of ids that are none (RFC 9562, section 5.5). It must never change: the same id gives the same
/// UUID.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_5c0a_9f5b_4d86_9d0e_0c7d_52a1_3be7);

/// What was written of a user, under the names it has here; an empty text counts as nothing.
pub(super) type Fields = BTreeMap<&'static str, String>;

/// Why a user is not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The thing that is at fault.
    pub(super) field: &'static str,
    /// In words.
    pub(super) why: String,
}

/// An account to be added.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) account: Account,
    /// The id it has in the other application, where it has one.
    pub(super) old_id: Option<String>,
}

/// Other names of roles.
pub(super) type RoleMap = [(String, Role)];

/// How to read candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub(super) roles: &'a RoleMap,
    /// The other application has verified the addresses.
    pub(super) verified: bool,
    /// Those without a bcrypt hash come in too, and set a password by mail.
    pub(super) without_hash: bool,
}

impl Candidate {
    /// Reads what is written of a user.
    pub(super) fn read(fields: &Fields, how: Reading<'_>, now: Timestamp) -> Result<Self, Refusal> {
        let given = |name: &str| fields.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let time = |name: &'static str| match given(name) {
            None => Ok(None),
            Some(text) => {
                Timestamp::parse(text).map(Some).ok_or_else(|| refusal(name, "is not a valid time"))
            }
        };
        let email = Email::parse(required(given, "email")?).map_err(|unfit| {
            refusal(
                "email",
                if unfit == FieldProblem::TooLong { "is too long" } else { "is not a valid email address" },
            )
        })?;
        let name = parse_name(required(given, "name")?).map_err(|unfit| match unfit {
            FieldProblem::TooLong => refusal("name", "is longer than 100 characters"),
            FieldProblem::Required | FieldProblem::TooShort => refusal("name", "is missing"),
            FieldProblem::Invalid => {
                refusal("name", "contains a control character, or nothing that can be seen")
            }
        })?;
        let password_hash = match given("password") {
            // A bcrypt hash that is damaged or too expensive is refused all the same.
            text if how.without_hash && text.is_none_or(|text| !text.starts_with("$2")) => {
                PasswordHash::none()
            }
            _ => PasswordHash::parse(required(given, "password")?).map_err(|_| {
                refusal("password", "is not a bcrypt hash ($2a$, $2b$ or $2y$) of a cost from 4 to 16")
            })?,
        };
        let created_at = time("createdAt")?.unwrap_or(now);
        let old_id = given("id").map(str::to_owned);
        let id = UserId::new(old_id.as_deref().map_or_else(new_uuid, id_of));
        let role = given("role").map_or(Ok(Role::default()), |text| role(text, how.roles))?;
        let user = User {
            last_activity_at: time("lastActivityAt")?.unwrap_or(created_at),
            updated_at: time("updatedAt")?.unwrap_or(created_at),
            email_verified_at: how.verified.then_some(now),
            ..User::new(id, name, email, role, created_at)
        };
        Ok(Self { account: Account { user, password_hash }, old_id })
    }
}

fn required<'a>(given: impl Fn(&str) -> Option<&'a str>, field: &'static str) -> Result<&'a str, Refusal> {
    given(field).ok_or_else(|| refusal(field, "is missing"))
}

fn refusal(field: &'static str, why: &str) -> Refusal {
    Refusal { field, why: why.to_owned() }
}

/// A UUID stays what it is; any other id gives always the same one.
fn id_of(old: &str) -> Uuid {
    Uuid::try_parse(old).unwrap_or_else(|_| Uuid::new_v5(&NAMESPACE, old.as_bytes()))
}

fn role(text: &str, roles: &RoleMap) -> Result<Role, Refusal> {
    let mapped = roles.iter().find(|(old, _)| old == text).map(|(_, role)| *role);
    mapped.or_else(|| Role::parse(&text.to_uppercase())).ok_or_else(|| Refusal {
        field: "role",
        why: format!("{text:?} is not a known role; use --map-role {text}=STARTER"),
    })
}

#[cfg(test)]
mod tests;
