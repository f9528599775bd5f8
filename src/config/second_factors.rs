//! Who must have a second factor, and which site passkeys belong to.
//!
//! It must never let a passkey be used on an origin that its site does not cover: browsers would refuse it,
//! and people would be locked out.

use std::net::IpAddr;

use super::setting::{Form, Preset, Setting};
use super::source::Source;
use super::{HttpConfig, MailConfig, origin};
use crate::domain::user::Role;

const RP_ID: &str = "WEBAUTHN_RP_ID";
const ORIGINS: &str = "WEBAUTHN_ORIGINS";
const ROLES: &str = "SECOND_FACTOR_ROLES";
const COUNTER: &str = "PASSKEY_COUNTER";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        ROLES,
        Form::Other("list", "of `STARTER`, `PRO`, `ENTERPRISE`, `ADMIN`"),
        Preset::Unset,
        "Roles that must have a second factor. Who has none sets one up on the way in.",
    )
    .note("needs `ENCRYPTION_SECRET`"),
    Setting::new(
        RP_ID,
        Form::Other("host", "a domain name, and a suffix of every origin's host"),
        Preset::Told("the host of `APP_URL`"),
        "The site that passkeys belong to. Never change it: passkeys of another site cannot be used.",
    ),
    Setting::new(
        ORIGINS,
        Form::Other("list", "origins"),
        Preset::Told("`CORS_ORIGIN`, `APP_URL` and the service's own"),
        "Origins whose pages may use passkeys.",
    ),
    Setting::new(
        COUNTER,
        Form::Word(&["accept", "reject"]),
        Preset::Value("accept"),
        "What becomes of a login with a device-bound passkey whose signature counter went back, which may be a copy: \
         accepted, logged and mailed, or refused.",
    ),
];

/// Second factors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecondFactorConfig {
    /// Whether codes of authenticator apps are on, that is, whether there is a secret to seal with.
    pub totp: bool,
    /// Roles that must have a second factor.
    pub roles: Vec<Role>,
    /// Passkeys, if they are on.
    pub passkeys: Option<PasskeyConfig>,
}

/// Passkeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyConfig {
    /// The site they belong to: a domain name in lower case.
    pub rp_id: String,
    /// Origins whose pages may use them, in addition to the service's own.
    pub origins: Vec<String>,
    /// Whether a login is refused if the counter went back.
    pub reject_regressed_counter: bool,
}

impl SecondFactorConfig {
    /// `has_secret`: whether `ENCRYPTION_SECRET` is set, or will be generated.
    pub(super) fn parse(
        source: &mut Source<'_>,
        has_secret: bool,
        http: &HttpConfig,
        mail: &MailConfig,
    ) -> Self {
        let roles = roles(source);
        if !roles.is_empty() && !has_secret {
            source.refuse(ROLES, "roles", "ENCRYPTION_SECRET with it: secrets of apps are stored sealed");
        }
        let counter = [("accept", false), ("reject", true)];
        let reject_regressed_counter = source.choice(COUNTER, &counter);
        let site = Site::parse(source, http, mail).filter(|_| has_secret);
        source.list_value(RP_ID, site.as_ref().map(|site| site.rp_id.clone()).unwrap_or_default());
        source.list_value(ORIGINS, site.as_ref().map(|site| site.origins.join(",")).unwrap_or_default());
        let passkeys =
            site.map(|Site { rp_id, origins }| PasskeyConfig { rp_id, origins, reject_regressed_counter });
        Self { totp: has_secret, roles, passkeys }
    }

    /// Whether users of that role must have a second factor.
    #[must_use]
    pub fn is_required_of(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

fn roles(source: &mut Source<'_>) -> Vec<Role> {
    let mut roles = Vec::new();
    for name in source.list(ROLES) {
        match Role::parse(&name.to_ascii_uppercase()) {
            Some(role) if !roles.contains(&role) => roles.push(role),
            Some(_) => {}
            None => {
                source.refuse(ROLES, name, "roles of STARTER, PRO, ENTERPRISE and ADMIN, comma-separated")
            }
        }
    }
    let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    source.list_value(ROLES, names.join(","));
    roles
}

struct Site {
    rp_id: String,
    origins: Vec<String>,
}

impl Site {
    /// `None` if no site is named. What merely follows from other settings is never refused, but left out.
    fn parse(source: &mut Source<'_>, http: &HttpConfig, mail: &MailConfig) -> Option<Self> {
        let app = mail.app_url.as_deref().and_then(origin_of);
        let given = source.text(RP_ID).map(str::to_ascii_lowercase);
        let explicit = given.is_some() || source.text(ORIGINS).is_some();
        let rp_id = match given {
            Some(rp_id) => rp_id,
            None => host_of(app.as_deref()?)?.to_owned(),
        };
        if !is_domain(&rp_id) {
            if explicit {
                source.refuse(RP_ID, &rp_id, "a domain name such as example.com, without scheme or port");
            } else {
                source.warn("APP_URL names no domain, so passkeys are off; WEBAUTHN_RP_ID can name one");
            }
            return None;
        }
        let listed = origins(source);
        let mut origins = match listed.is_empty() {
            true => http.cors_origins.clone(),
            false => listed,
        };
        origins.extend(app.filter(|app| !origins.contains(app)));
        let (fit, unfit): (Vec<_>, Vec<_>) = origins.into_iter().partition(|origin| covers(&rp_id, origin));
        if !unfit.is_empty() && explicit {
            let wants = format!("the host of every origin, or a suffix of it; {} is not covered", unfit[0]);
            source.refuse(RP_ID, &rp_id, wants);
        } else if !unfit.is_empty() {
            let unfit = unfit.join(", ");
            source.warn(format!("passkeys of {rp_id} cannot be used on {unfit}; see WEBAUTHN_RP_ID"));
        }
        Some(Self { rp_id, origins: fit })
    }
}

fn origins(source: &mut Source<'_>) -> Vec<String> {
    let mut origins = Vec::new();
    for text in source.list(ORIGINS) {
        match origin::normalise(text) {
            Some(origin) if !origins.contains(&origin) => origins.push(origin),
            Some(_) => {}
            None => source.refuse(ORIGINS, text, "scheme://host[:port] without a path, comma-separated"),
        }
    }
    origins
}

fn origin_of(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    origin::normalise(&format!("{scheme}://{}", rest.split('/').next()?))
}

fn host_of(origin: &str) -> Option<&str> {
    let (_, authority) = origin.split_once("://")?;
    origin::split_port(authority).map(|(host, _)| host)
}

fn is_domain(host: &str) -> bool {
    origin::is_host_name(host) && host.parse::<IpAddr>().is_err()
}

/// Whether pages of that origin may use passkeys of that site: its host is the site or a subdomain of it.
fn covers(rp_id: &str, origin: &str) -> bool {
    host_of(origin)
        .is_some_and(|host| host == rp_id || host.strip_suffix(rp_id).is_some_and(|rest| rest.ends_with('.')))
}

#[cfg(test)]
mod tests;
