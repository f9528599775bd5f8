//! How the refresh cookie is marked.
//!
//! It must never end up with marks that browsers refuse.

use super::Environment;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "COOKIE_SAMESITE",
        Form::Word(&["Lax", "Strict", "None"]),
        Preset::Value("Lax"),
        "The refresh cookie's `SameSite`.",
    )
    .note("`None` needs `COOKIE_SECURE=true`"),
    Setting::new(
        "COOKIE_SECURE",
        Form::Boolean,
        Preset::Told("`true` in production and staging, else `false`"),
        "Whether the refresh cookie travels over TLS only.",
    )
    .note("`false` in production is warned about"),
];

/// The refresh cookie's marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CookieConfig {
    /// Whether it travels with requests from other sites.
    pub same_site: SameSite,
    /// Whether it travels over TLS only.
    pub secure: bool,
}

/// The cookie's `SameSite` mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With links followed from other sites, not with their forms and scripts.
    Lax,
    /// From this site only.
    Strict,
    /// From everywhere; needs `Secure`.
    None,
}

impl CookieConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let choices = [("Lax", SameSite::Lax), ("Strict", SameSite::Strict), ("None", SameSite::None)];
        let same_site = source.choice("COOKIE_SAMESITE", &choices);
        let served_over_tls = matches!(environment, Environment::Production | Environment::Staging);
        let secure = source.boolean_or("COOKIE_SECURE", served_over_tls);
        if same_site == SameSite::None && !secure {
            source.refuse(
                "COOKIE_SAMESITE",
                "None",
                "Lax or Strict, or COOKIE_SECURE=true with it: browsers drop it else",
            );
        }
        if environment.is_production() && !secure {
            source.warn("COOKIE_SECURE is false in production: the refresh token travels without TLS too");
        }
        CookieConfig { same_site, secure }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};
    use super::*;

    #[test]
    fn secure_by_environment() {
        for (environment, secure) in [("development", false), ("test", false), ("staging", true)] {
            assert_eq!(parse(&[("APP_ENV", environment)]).cookie.secure, secure, "{environment}");
        }
    }

    #[test]
    fn none_needs_secure() {
        let cookie = parse(&[("COOKIE_SAMESITE", "none"), ("COOKIE_SECURE", "true")]).cookie;
        assert_eq!(cookie.same_site, SameSite::None);
        assert_eq!(refused(&[("COOKIE_SAMESITE", "None")]), ["COOKIE_SAMESITE"]);
        assert_eq!(refused(&[("COOKIE_SAMESITE", "loose")]), ["COOKIE_SAMESITE"]);
    }
}
