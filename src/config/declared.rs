//! All settings, by section: what may be looked up, and what the documents are generated from.
//!
//! Nothing else may be read from the environment: [`super::source::Source`] panics on a name that is not
//! declared.

use std::sync::LazyLock;

use super::setting::{Form, Preset, Setting};
use super::variables::{Section, Variables};
use super::{
    cookie, database, encryption, environment, events, http, limits, log, mail, password, rate_limits, redis,
    second_factors, sessions, shutdown, tokens, traces,
};

const SERVICE: &[Setting] = &[
    Setting::new(
        "APP_ENV",
        Form::Word(environment::NAMES),
        Preset::Value("development"),
        "The kind of place this is. It decides some defaults, and how strict the checks are.",
    ),
    Setting::new(
        "NODE_ENV",
        Form::Word(environment::NAMES),
        Preset::Unset,
        "Read where `APP_ENV` is not set.",
    )
    .stands_for("APP_ENV"),
    Setting::new(
        "SERVICE_NAME",
        Form::Text,
        Preset::Value("auth-service"),
        "Name of the service in events and health, and the tokens' issuer. The same on all nodes.",
    ),
    Setting::new(
        "DATA_DIR",
        Form::Other(
            "folder",
            "at most 255 bytes, no control characters; writable where something is kept in it",
        ),
        Preset::Value("./data"),
        "Folder of the SQLite file and of generated secrets.",
    ),
];

/// Every section, in the order of the documents.
pub const SECTIONS: &[Section] = &[
    Section { title: "Service", settings: SERVICE },
    Section { title: "HTTP", settings: http::SETTINGS },
    Section { title: "Database", settings: database::SETTINGS },
    Section { title: "Redis", settings: redis::SETTINGS },
    Section { title: "Tokens", settings: tokens::SETTINGS },
    Section { title: "Encryption", settings: encryption::SETTINGS },
    Section { title: "Mail", settings: mail::SETTINGS },
    Section { title: "Second factors", settings: second_factors::SETTINGS },
    Section { title: "Refresh cookie", settings: cookie::SETTINGS },
    Section { title: "Sessions", settings: sessions::SETTINGS },
    Section { title: "Passwords", settings: password::SETTINGS },
    Section { title: "Rate limits", settings: rate_limits::SETTINGS },
    Section { title: "Events", settings: events::SETTINGS },
    Section { title: "Memory", settings: limits::SETTINGS },
    Section { title: "Shutdown", settings: shutdown::SETTINGS },
    Section { title: "Log", settings: log::SETTINGS },
    Section { title: "Traces", settings: traces::SETTINGS },
];

/// The variables of all sections.
pub(super) static ALL: LazyLock<Variables> = LazyLock::new(|| Variables::of(SECTIONS));

/// The name of every variable this service reads: each setting's, those for each role, and that of its file.
pub static VARIABLES: LazyLock<Vec<&'static str>> = LazyLock::new(|| ALL.names().collect());
