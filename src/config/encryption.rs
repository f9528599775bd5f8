//! The secret from which keys are derived for sealed data and for mailed codes; and its predecessors.
//!
//! It must never show a secret, and never share one with the tokens: a key that opens sealed rows must not be
//! able to sign.

use std::path::Path;

use super::setting::{Preset, Setting};
use super::source::Source;
use super::{Environment, Secret, generated, token_secrets};

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        CURRENT,
        token_secrets::FORM,
        Preset::Told("none; made at random outside production where `SMTP_URL` is set"),
        "Keys are derived from it: for what is stored sealed, and for the codes of mails.",
    )
    .note("none of the secrets of tokens; needed in production where `SMTP_URL` is set")
    .secret(),
    Setting::new(PREVIOUS, token_secrets::LIST, Preset::Unset, "Secrets that open what was sealed before.")
        .note("none of the secrets of tokens")
        .secret(),
];

const CURRENT: &str = "ENCRYPTION_SECRET";
const PREVIOUS: &str = "PREVIOUS_ENCRYPTION_SECRETS";
/// The variables of the token secrets.
const OTHERS: [&str; 2] = ["JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET"];
const OTHER_LISTS: [&str; 2] = ["JWT_PREVIOUS_ACCESS_SECRETS", "JWT_PREVIOUS_REFRESH_SECRETS"];

/// The secrets that keys are derived from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncryptionConfig {
    /// Used to seal and to derive; `None` if nothing needs it.
    pub secret: Option<Secret>,
    /// Only open what was sealed with them, and check codes that were made with them.
    pub previous: Vec<Secret>,
}

impl EncryptionConfig {
    /// Writes nothing: [`EncryptionConfig::make_if_missing`] does, after everything is read.
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let secret = source.secret(CURRENT);
        let previous: Vec<_> = source.list(PREVIOUS).into_iter().map(Secret::new).collect();
        let others: Vec<_> = OTHERS.into_iter().filter_map(|name| source.secret(name)).collect();
        let listed = OTHER_LISTS.into_iter().flat_map(|name| source.list(name)).map(Secret::new);
        let others: Vec<_> = others.into_iter().chain(listed).collect();
        let named = secret.iter().map(|secret| (CURRENT, secret));
        for (name, secret) in named.chain(previous.iter().map(|secret| (PREVIOUS, secret))) {
            let wants = match secret.weakness() {
                Some(weakness) => weakness,
                None if others.contains(secret) => "another one than the secrets of the tokens",
                None => continue,
            };
            let length = secret.expose().len();
            if environment.is_production() {
                source.refuse_secret(name, length, wants);
            } else {
                source.warn(format!("{name}: got a secret of {length} bytes, production wants {wants}"));
            }
        }
        EncryptionConfig { secret, previous }
    }

    /// Loads the secret stored in the data folder, or generates it, if one is needed, none is given, and
    /// there are no errors so far. In production a missing secret is an error instead.
    pub(super) fn make_if_missing(
        &mut self,
        source: &mut Source<'_>,
        environment: Environment,
        needed_for: &str,
        data_dir: &Path,
    ) {
        if self.secret.is_some() {
            return;
        }
        if environment.is_production() {
            let wants =
                format!("at least 32 random bytes (openssl rand -hex 32), because {needed_for} is set");
            source.refuse_missing(CURRENT, wants);
        } else if source.is_sound() {
            match generated::load_or_make_encryption(data_dir) {
                Ok(secret) => {
                    let file = data_dir.join(generated::ENCRYPTION_FILE);
                    source.warn(format!(
                        "{CURRENT} not set: a random one is kept in {}; production and several nodes need their own",
                        file.display()
                    ));
                    self.secret = Some(secret);
                }
                Err(error) => {
                    let wants =
                        format!("a folder to keep a generated secret in ({error}), or {CURRENT} to be set");
                    source.refuse("DATA_DIR", &data_dir.display().to_string(), wants);
                }
            }
        }
    }

    pub(super) fn list(&self, source: &mut Source<'_>) {
        source.list_secret(CURRENT, self.secret.as_ref());
        source.list_secrets(PREVIOUS, &self.previous);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ACCESS_SECRET, REFRESH_SECRET, errors, parse, production, refused};
    use super::*;

    const STRONG: &str = "1b7f4cc2a0de49f58e6d3b9271f0a8c4";
    const OLD: &str = "6b1f0c93d7e24a85b03f9c61e8d47a52";

    #[test]
    fn production_refuses_what_is_short_known_or_shared() {
        let known = "your-secret-key-your-secret-key-1234";
        for (value, wants) in [
            ("hunter2", "at least 32"),
            (known, "well-known"),
            (ACCESS_SECRET, "another one"),
            (REFRESH_SECRET, "another one"),
        ] {
            for name in [CURRENT, PREVIOUS] {
                let told = errors(&production(&[(name, value)])).to_string();
                assert!(
                    told.starts_with(&format!("{name}: got a secret of {} bytes", value.len())),
                    "{told}"
                );
                assert!(told.contains(wants) && !told.contains(value), "{told}");
            }
        }
        let previous = [("JWT_PREVIOUS_REFRESH_SECRETS", OLD), (CURRENT, OLD)];
        assert_eq!(refused(&production(&previous)), [CURRENT]);
        let encryption = parse(&production(&[(CURRENT, STRONG), (PREVIOUS, OLD)])).encryption;
        assert_eq!(encryption.previous, [Secret::new(OLD)]);
    }

    #[test]
    fn elsewhere_it_only_warns() {
        let config = parse(&[("APP_ENV", "staging"), (CURRENT, "hunter2")]);
        assert_eq!(config.encryption.secret, Some(Secret::new("hunter2")));
        assert!(config.warnings.iter().any(|warning| warning.starts_with("ENCRYPTION_SECRET: got a secret")));
    }

    #[test]
    fn none_is_made_where_nothing_needs_one() {
        assert_eq!(parse(&[]).encryption, EncryptionConfig::default());
        assert_eq!(parse(&production(&[])).encryption, EncryptionConfig::default());
    }

    #[test]
    fn with_a_mail_server_one_is_made_kept_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let vars = [("DATA_DIR", folder.path().to_str().unwrap()), ("SMTP_URL", "smtp://localhost:1025")];
        let (first, second) = (parse(&vars), parse(&vars));
        assert_eq!(first, second);
        let made = first.encryption.secret.unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_ne!(made, first.tokens.refresh_secret);
        let warning = first.warnings.join("\n");
        assert!(
            warning.contains("ENCRYPTION_SECRET not set") && !warning.contains(made.expose()),
            "{warning}"
        );
    }
}
