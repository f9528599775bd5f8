//! Where sessions are stored: Postgres, or one SQLite file for a single node.
//!
//! It must never show the address of a Postgres: it contains a password.

use std::path::{Path, PathBuf};

use super::postgres_url::postgres_servers;
use super::setting::{Form, Preset, Setting};
use super::source::Source;
use super::{Environment, Secret};

const WANTS: &str = "postgres://USER:PASSWORD@HOST[:PORT][,HOST…]/DATABASE or sqlite:FILE (not :memory:, no options but mode=rwc)";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "DATABASE_URL",
        Form::Other(
            "URL, secret",
            "`postgres://USER:PASSWORD@HOST[:PORT][,HOST…]/DATABASE` with the parameters of libpq, or `sqlite:FILE`; no \
             `:memory:`, no options but `mode=rwc` for SQLite",
        ),
        Preset::Told("`sqlite:DATA_DIR/auth.db`, for one node only; in production it must be set"),
        "Where accounts and sessions are kept.",
    )
    .secret(),
    Setting::new(
        "DATABASE_MAX_CONNECTIONS",
        Form::Number(1, 1000),
        Preset::Value("16"),
        "Most PostgreSQL connections of this node, and one more for the feed of changes. SQLite always has 4.",
    ),
    Setting::new(
        "AUTO_MIGRATE",
        Form::Boolean,
        Preset::Value("true"),
        "Whether migrations run at start. If not, and some are missing, the service does not start (exit 1).",
    ),
];

/// The database.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseConfig {
    /// Where it is.
    pub location: DatabaseLocation,
    /// Most connections this node opens.
    pub max_connections: u32,
    /// Whether migrations run at start.
    pub auto_migrate: bool,
}

/// Which database to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseLocation {
    /// One file, used by one process.
    Sqlite {
        /// The file; its folder may not exist yet.
        path: PathBuf,
    },
    /// A Postgres server, used by any number of nodes.
    Postgres {
        /// The whole address, with user and password.
        url: Secret,
    },
}

impl DatabaseConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment, data_dir: &Path) -> Self {
        DatabaseConfig {
            location: location(source, environment, data_dir),
            max_connections: source.integer("DATABASE_MAX_CONNECTIONS"),
            auto_migrate: source.boolean("AUTO_MIGRATE"),
        }
    }
}

fn location(source: &mut Source<'_>, environment: Environment, data_dir: &Path) -> DatabaseLocation {
    let location = given_location(source, environment, data_dir);
    match &location {
        // It contains no password, and says where the file is.
        DatabaseLocation::Sqlite { path } => {
            source.list_address("DATABASE_URL", format!("sqlite:{}", path.display()))
        }
        DatabaseLocation::Postgres { url } => source.list_secret("DATABASE_URL", Some(url)),
    }
    location
}

fn given_location(source: &mut Source<'_>, environment: Environment, data_dir: &Path) -> DatabaseLocation {
    let default = DatabaseLocation::Sqlite { path: data_dir.join("auth.db") };
    let Some(url) = source.text("DATABASE_URL") else {
        if environment.is_production() {
            // A mistyped variable name must not give every node an empty database of its own.
            source.refuse_missing("DATABASE_URL", format!("{WANTS} in production"));
        }
        return default;
    };
    location_of(url).unwrap_or_else(|| {
        source.refuse_secret("DATABASE_URL", url.len(), WANTS);
        default
    })
}

fn location_of(url: &str) -> Option<DatabaseLocation> {
    let (scheme, rest) = url.split_once(':')?;
    match scheme.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" if rest.len() > "//".len() && rest.starts_with("//") => {
            postgres_servers(url)?;
            Some(DatabaseLocation::Postgres { url: Secret::new(url) })
        }
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            // The option that many write out of habit is the default anyway; any other would silently not
            // take effect.
            let path = path.strip_suffix("?mode=rwc").unwrap_or(path);
            let is_file =
                !path.is_empty() && path != ":memory:" && !path.contains('?') && !path.ends_with('/');
            is_file.then(|| DatabaseLocation::Sqlite { path: path.into() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
