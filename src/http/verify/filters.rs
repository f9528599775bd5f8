//! What a gateway requires beyond a live session: `?roles=ADMIN,PRO`, `?acr=aal2`.

use actix_web::HttpRequest;

use super::PATH;
use crate::actors::session_status::ActiveSession;
use crate::domain::user::Role;
use crate::http::PREFIX;
use crate::http::extract::form::Parameters;
use crate::http::problem::{Code, Problem};

/// Authenticator assurance levels, in ascending order (NIST SP 800-63B).
const LEVELS: [&str; 2] = ["aal1", "aal2"];

/// The filters of one request.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// The user must have one of these roles; any role if `None`.
    roles: Option<Vec<Role>>,
    /// Index of the required level in [`LEVELS`].
    level: Option<usize>,
}

impl Filters {
    /// Parses the filters. At `/verify` itself an unknown name or value is refused: it would filter nothing,
    /// as would the empty value of a variable that a gateway's configuration left unset. Below `/verify/`
    /// the query is that of the protected request, as Envoy sends it: there only what is a filter counts.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let query = request.query_string();
        if query.is_empty() {
            return Ok(Self::default());
        }
        let path = request.path();
        if path.strip_prefix(PREFIX).unwrap_or(path) != PATH {
            return Ok(Self::among(query));
        }
        let parameters = Parameters::parse(query)?;
        let is_known = |name: &str| ["roles", "acr", "redirect"].contains(&name);
        let redirect = parameters.as_sent("redirect")?;
        if !parameters.names().all(is_known) || redirect.is_some_and(|value| !["0", "1"].contains(&value)) {
            return Err(unknown());
        }
        let roles = parameters.as_sent("roles")?.map(|list| parse_roles(list).ok_or_else(unknown));
        let level = parameters.as_sent("acr")?.map(|acr| parse_level(acr).ok_or_else(unknown));
        Ok(Self { roles: roles.transpose()?, level: level.transpose()? })
    }

    fn among(query: &str) -> Self {
        let parameters = Parameters::parse(query).unwrap_or_default();
        let value = |name| parameters.as_sent(name).ok().flatten();
        Self { roles: value("roles").and_then(parse_roles), level: value("acr").and_then(parse_level) }
    }

    pub(super) fn check(&self, found: &ActiveSession) -> Result<(), Problem> {
        if self.roles.as_ref().is_some_and(|roles| !roles.contains(&found.snapshot.role)) {
            return Err(Problem::new(Code::InsufficientRole));
        }
        let level = LEVELS.iter().position(|level| *level == acr_of(found));
        if self.level.is_some_and(|wanted| level.is_none_or(|level| level < wanted)) {
            return Err(Problem::new(Code::InsufficientAcr));
        }
        Ok(())
    }
}

fn unknown() -> Problem {
    Problem::new(Code::InvalidRequest)
}

fn parse_roles(list: &str) -> Option<Vec<Role>> {
    list.split(',').map(|name| Role::parse(name.trim())).collect()
}

fn parse_level(acr: &str) -> Option<usize> {
    LEVELS.iter().position(|level| *level == acr)
}

/// The level of a session; empty if it is not known.
pub(super) fn acr_of(found: &ActiveSession) -> &'static str {
    let authentication = found.snapshot.authentication(found.session.id());
    authentication.map_or("", |authentication| authentication.methods.level().as_str())
}
