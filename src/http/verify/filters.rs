//! What a gateway asks for beyond a live session: `?roles=ADMIN,PRO`, `?acr=aal2`.

use actix_web::HttpRequest;

use super::PATH;
use crate::actors::session_status::ActiveSession;
use crate::domain::user::Role;
use crate::http::PREFIX;
use crate::http::extract::form::Parameters;
use crate::http::problem::{Code, Problem};

/// How sure it is who a person is, from less to more (NIST SP 800-63B).
const LEVELS: [&str; 2] = ["aal1", "aal2"];

/// The filters of one request.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// One of them; any where there are none.
    roles: Option<Vec<Role>>,
    /// Place in [`LEVELS`].
    level: Option<usize>,
}

impl Filters {
    /// Reads them. A name that is not known would filter nothing, and so would an empty value, as of a variable that a
    /// gateway's configuration left unset: both are refused. Behind `/verify/` the query may be that of the protected
    /// request, so names that are not known, and any `redirect`, pass there.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let query = request.query_string();
        if query.is_empty() {
            return Ok(Self::default());
        }
        let parameters = Parameters::parse(query)?;
        let unknown = || Problem::new(Code::InvalidRequest);
        let path = request.path();
        if path.strip_prefix(PREFIX).unwrap_or(path) == PATH {
            let is_known = |name: &str| ["roles", "acr", "redirect"].contains(&name);
            let redirect = parameters.as_sent("redirect")?;
            if !parameters.names().all(is_known) || redirect.is_some_and(|value| !["0", "1"].contains(&value))
            {
                return Err(unknown());
            }
        }
        let parse_roles =
            |list: &str| list.split(',').map(|name| Role::parse(name.trim()).ok_or_else(unknown)).collect();
        let parse_level = |acr: &str| LEVELS.iter().position(|level| *level == acr).ok_or_else(unknown);
        Ok(Self {
            roles: parameters.as_sent("roles")?.map(parse_roles).transpose()?,
            level: parameters.as_sent("acr")?.map(parse_level).transpose()?,
        })
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

/// The level of a session; nothing where it is not known.
pub(super) fn acr_of(found: &ActiveSession) -> &'static str {
    let authentication = found.snapshot.authentication(found.session.id());
    authentication.map_or("", |authentication| authentication.methods.level().as_str())
}
