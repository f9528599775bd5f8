//! The two secrets that sign tokens, and those before them: given, refused, or made.
//!
//! It must never let production start with a secret somebody else may know, nor say what a secret is.

use std::path::Path;

use super::setting::Form;
use super::source::Source;
use super::{Environment, JwtAlgorithm, Secret, generated};

pub(super) const ACCESS: &str = "JWT_ACCESS_SECRET";
pub(super) const REFRESH: &str = "JWT_REFRESH_SECRET";
pub(super) const PREVIOUS_ACCESS: &str = "JWT_PREVIOUS_ACCESS_SECRETS";
pub(super) const PREVIOUS_REFRESH: &str = "JWT_PREVIOUS_REFRESH_SECRETS";

pub(super) const FORM: Form = Form::Other(
    "secret",
    "in production at least 32 bytes, not well known, no pattern; elsewhere a weak one is warned about",
);
pub(super) const LIST: Form =
    Form::Other("list, secret", "each as `JWT_ACCESS_SECRET`; blanks around each are not part of it");

/// The access and the refresh secret; the first may be empty where `algorithm` has no use for it.
pub(super) fn resolve(
    source: &mut Source<'_>,
    environment: Environment,
    algorithm: JwtAlgorithm,
    data_dir: &Path,
) -> (Secret, Secret) {
    let (access, refresh) = (source.secret(ACCESS), source.secret(REFRESH));
    let access_needed = !algorithm.is_asymmetric();
    let mut missing = Vec::new();
    if access_needed {
        check(source, environment, ACCESS, access.as_ref(), &mut missing);
    }
    check(source, environment, REFRESH, refresh.as_ref(), &mut missing);
    if access_needed && access.is_some() && access == refresh {
        let length = refresh.as_ref().map_or(0, |secret| secret.expose().len());
        complain(source, environment, REFRESH, length, "another one than JWT_ACCESS_SECRET");
    }
    let made = made(source, environment, &missing, data_dir);
    let (made_access, made_refresh) = made.unwrap_or_else(|| (Secret::new(""), Secret::new("")));
    let access = access.unwrap_or(if access_needed { made_access } else { Secret::new("") });
    let refresh = refresh.unwrap_or(made_refresh);
    source.list_secret(ACCESS, Some(&access));
    source.list_secret(REFRESH, Some(&refresh));
    (access, refresh)
}

/// The access and the refresh secrets that only verify. Each can be used to make tokens, so it must be as
/// strong as those that sign, and none may be for both kinds.
pub(super) fn previous(
    source: &mut Source<'_>,
    environment: Environment,
    algorithm: JwtAlgorithm,
) -> (Vec<Secret>, Vec<Secret>) {
    let mut access = Vec::new();
    let mut current_access = None;
    if !algorithm.is_asymmetric() {
        current_access = source.secret(ACCESS);
        let refresh: Vec<_> = source.secret(REFRESH).into_iter().collect();
        access = listed(source, environment, PREVIOUS_ACCESS, &refresh);
    } else if source.text(PREVIOUS_ACCESS).is_some() {
        source.warn(format!("{PREVIOUS_ACCESS} is set, but used with JWT_ALGORITHM=HS256 alone"));
    }
    let others: Vec<_> = current_access.into_iter().chain(access.iter().cloned()).collect();
    let refresh = listed(source, environment, PREVIOUS_REFRESH, &others);
    source.list_secrets(PREVIOUS_ACCESS, &access);
    source.list_secrets(PREVIOUS_REFRESH, &refresh);
    (access, refresh)
}

fn listed(
    source: &mut Source<'_>,
    environment: Environment,
    name: &'static str,
    others: &[Secret],
) -> Vec<Secret> {
    let secrets: Vec<_> = source.list(name).into_iter().map(Secret::new).collect();
    for secret in &secrets {
        check_strength(source, environment, name, secret);
        if others.contains(secret) {
            let length = secret.expose().len();
            complain(source, environment, name, length, "none that is for the other kind of token too");
        }
    }
    secrets
}

fn check_strength(source: &mut Source<'_>, environment: Environment, name: &'static str, secret: &Secret) {
    if let Some(wants) = secret.weakness() {
        complain(source, environment, name, secret.expose().len(), wants);
    }
}

fn check(
    source: &mut Source<'_>,
    environment: Environment,
    name: &'static str,
    secret: Option<&Secret>,
    missing: &mut Vec<&'static str>,
) {
    match secret {
        Some(secret) => check_strength(source, environment, name, secret),
        None if environment.is_production() => {
            source.refuse_missing(name, "at least 32 random bytes (openssl rand -hex 32)");
        }
        None => missing.push(name),
    }
}

/// An error in production, elsewhere a warning.
fn complain(
    source: &mut Source<'_>,
    environment: Environment,
    name: &'static str,
    length: usize,
    wants: &str,
) {
    if environment.is_production() {
        source.refuse_secret(name, length, wants);
    } else {
        source.warn(format!("{name}: got a secret of {length} bytes, production wants {wants}"));
    }
}

/// The secrets of the data folder, if some are needed and nothing is wrong so far.
fn made(
    source: &mut Source<'_>,
    environment: Environment,
    missing: &[&'static str],
    data_dir: &Path,
) -> Option<(Secret, Secret)> {
    if missing.is_empty() || environment.is_production() || !source.is_sound() {
        return None;
    }
    let names = missing.join(" and ");
    match generated::load_or_make(data_dir) {
        Ok(secrets) => {
            let file = data_dir.join(generated::FILE);
            source.warn(format!(
                "{names} not set: random ones are kept in {}; production and several nodes need their own",
                file.display()
            ));
            Some(secrets)
        }
        Err(error) => {
            let wants = format!("a folder to keep generated secrets in ({error}), or {names} to be set");
            source.refuse("DATA_DIR", &data_dir.display().to_string(), wants);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ACCESS_SECRET, REFRESH_SECRET, errors, parse, production, refused};
    use super::*;

    #[test]
    fn production_refuses_what_is_missing_short_equal_or_known() {
        let bare = [("APP_ENV", "production"), ("DATABASE_URL", "sqlite:auth.db")];
        assert_eq!(refused(&bare), [ACCESS, REFRESH]);
        let known = "your-secret-key-your-secret-key-1234";
        for (value, wants) in
            [("hunter2-hunter2", "at least 32"), (known, "well-known"), (ACCESS_SECRET, "another one")]
        {
            let told = errors(&production(&[(REFRESH, value)])).to_string();
            assert!(told.starts_with(&format!("{REFRESH}: got a secret of {} bytes", value.len())), "{told}");
            assert!(told.contains(wants) && !told.contains(value), "{told}");
        }
    }

    #[test]
    fn staging_only_warns() {
        let config = parse(&[("APP_ENV", "staging"), (ACCESS, "short"), (REFRESH, "short")]);
        assert_eq!(config.tokens.access_secret.expose(), "short");
        assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
        assert!(config.warnings.iter().all(|warning| warning.contains("5 bytes")));
    }

    #[test]
    fn previous_ones_are_listed_and_checked_like_those_that_sign() {
        const OLD: &str = "6b1f0c93d7e24a85b03f9c61e8d47a52";
        const OLDER: &str = "c2Vzc2lvbi1rZXktb2YtdGhlLXRlc3RzIQ+/xQ==";
        let tokens = parse(&production(&[(PREVIOUS_REFRESH, &format!("{OLD}, {OLDER}"))])).tokens;
        assert_eq!(tokens.previous_refresh_secrets, [OLD, OLDER].map(Secret::new));
        let told = errors(&production(&[(PREVIOUS_ACCESS, &format!("{OLD},hunter2"))])).to_string();
        assert!(told.starts_with(&format!("{PREVIOUS_ACCESS}: got a secret of 7 bytes")), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        for both in [
            [(PREVIOUS_ACCESS, REFRESH_SECRET), (PREVIOUS_REFRESH, OLD)],
            [(PREVIOUS_ACCESS, OLD), (PREVIOUS_REFRESH, ACCESS_SECRET)],
            [(PREVIOUS_ACCESS, OLD), (PREVIOUS_REFRESH, OLD)],
        ] {
            assert_eq!(errors(&production(&both)).0.len(), 1, "{both:?}");
        }
    }

    #[test]
    fn blanks_and_line_ends_at_the_ends_are_part_of_a_secret_and_warned_about() {
        let with_line_end = format!("{ACCESS_SECRET}\n");
        let config = parse(&production(&[(ACCESS, &with_line_end)]));
        assert_eq!(config.tokens.access_secret.expose(), with_line_end);
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
        assert!(config.warnings[0].starts_with(&format!(
            "{ACCESS} begins or ends with blanks or a line end: of its 33 bytes 1 are those"
        )));
        assert!(!config.warnings[0].contains(ACCESS_SECRET));
    }

    #[test]
    fn missing_ones_are_made_kept_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        let vars = [("DATA_DIR", data_dir.to_str().unwrap())];
        let (first, second) = (parse(&vars), parse(&vars));
        assert_eq!(first, second);
        assert_ne!(first.tokens.access_secret, first.tokens.refresh_secret);
        assert_eq!(first.tokens.access_secret.expose().len(), 64);
        let warning = first.warnings.join("\n");
        assert!(warning.contains("JWT_ACCESS_SECRET and JWT_REFRESH_SECRET not set"), "{warning}");
        assert!(!warning.contains(first.tokens.access_secret.expose()));
    }

    #[test]
    fn nothing_is_written_when_something_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("data");
        assert_eq!(refused(&[("DATA_DIR", data_dir.to_str().unwrap()), ("PORT", "x")]), ["PORT"]);
        assert!(!data_dir.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inside = file.path().join("data");
        assert_eq!(refused(&[("DATA_DIR", inside.to_str().unwrap())]), ["DATA_DIR"]);
    }

    #[test]
    fn asymmetric_signing_needs_no_access_secret() {
        let vars = production(&[(ACCESS, ""), ("JWT_ALGORITHM", "EdDSA"), ("JWT_PRIVATE_KEY_FILE", "k.pem")]);
        assert!(parse(&vars).warnings.is_empty());
    }
}
