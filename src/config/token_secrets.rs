//! The two secrets that sign tokens, and their predecessors: given, refused, or generated.
//!
//! It must never let production start with a secret somebody else may know, nor show a secret.

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

/// The access and the refresh secret; the first may be empty if `algorithm` does not use it.
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

/// The access and the refresh secrets that only verify. Each could be used to forge tokens, so it must be as
/// strong as those that sign, and none may be used for both kinds.
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

/// Adds an error in production, elsewhere a warning.
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

/// The generated secrets of the data folder, if some are needed and there are no errors so far.
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
mod tests;
