//! All settings there are, by section: what may be looked up, and what the documents are made of.
//!
//! Nothing else may be read from the environment: [`super::source::Source`] panics over a name that is not
//! declared.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::setting::{Form, Preset, Setting};
use super::{
    cookie, database, encryption, environment, events, http, limits, log, mail, password, rate_limits, redis,
    second_factors, sessions, shutdown, tokens, traces,
};
use crate::domain::user::Role;

/// Settings that belong together, in a file of their own.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading in docs/configuration.md and `.env.example`.
    pub title: &'static str,
    /// What is declared there.
    pub settings: &'static [Setting],
}

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

/// A variable that may be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: &'static str,
    /// The setting it belongs to.
    pub(super) setting: &'static Setting,
    /// Whether it is the setting itself, or that of a role, or names a file.
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Itself,
    OfRole(Role),
    File,
}

/// Every variable, in the order of the documents.
static ALL: LazyLock<Vec<Variable>> = LazyLock::new(|| {
    let settings = SECTIONS.iter().flat_map(|section| section.settings);
    settings.flat_map(variables_of).collect()
});

static BY_NAME: LazyLock<HashMap<&'static str, usize>> =
    LazyLock::new(|| ALL.iter().enumerate().map(|(index, variable)| (variable.name, index)).collect());

/// The name of every variable this service reads: each setting's, that for each role, and that of its file.
pub static VARIABLES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| ALL.iter().map(|variable| variable.name).collect());

/// The setting itself first, then those made of its name.
pub(super) fn variables_of(setting: &'static Setting) -> Vec<Variable> {
    let mut variables = vec![Variable { name: setting.name, setting, kind: Kind::Itself }];
    let mut add = |suffix: &str, kind| {
        // Made once, for as long as the process lives.
        let name = String::leak(format!("{}_{suffix}", setting.name));
        variables.push(Variable { name, setting, kind });
    };
    if setting.by_role {
        Role::ALL.into_iter().for_each(|role| add(role.as_str(), Kind::OfRole(role)));
    }
    if setting.secret {
        add("FILE", Kind::File);
    }
    variables
}

pub(super) fn all() -> &'static [Variable] {
    &ALL
}

/// Where in the documents' order it is.
pub(super) fn position(name: &str) -> Option<usize> {
    BY_NAME.get(name).copied()
}

/// The variable of that name; one that is asked for by the program is always declared.
pub(super) fn variable(name: &str) -> Variable {
    let position = position(name).unwrap_or_else(|| panic!("{name} is in no section's SETTINGS"));
    ALL[position]
}
