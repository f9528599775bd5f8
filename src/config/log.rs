//! What is logged, and in which format.
//!
//! It must never set up logging: that is telemetry's task.

use tracing_subscriber::EnvFilter;

use super::Environment;
use super::setting::{Form, Preset, Setting};
use super::source::Source;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "LOG_FORMAT",
        Form::Word(&["json", "text"]),
        Preset::Told("`text` in development, else `json`"),
        "What a log line looks like.",
    ),
    Setting::new(
        "LOG_LEVEL",
        Form::Other("filter", "`off`, `error`, `warn`, `info`, `debug`, `trace`, or a filter"),
        Preset::Value("info"),
        "What is logged: a level, or a filter such as `info,auth_service=debug`.",
    ),
    Setting::new(
        "RUST_LOG",
        Form::Other("filter", "a filter"),
        Preset::Unset,
        "Read where `LOG_LEVEL` is not set.",
    )
    .stands_for("LOG_LEVEL"),
];

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The format of a line.
    pub format: LogFormat,
    /// Which events are logged: a level, or a filter such as `info,auth_service=debug`.
    pub filter: String,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// Text for people.
    Text,
}

impl LogConfig {
    pub(super) fn parse(source: &mut Source<'_>, environment: Environment) -> Self {
        let default = match environment {
            Environment::Development => LogFormat::Text,
            Environment::Test | Environment::Staging | Environment::Production => LogFormat::Json,
        };
        LogConfig {
            format: source.choice_or(
                "LOG_FORMAT",
                default,
                &[("json", LogFormat::Json), ("text", LogFormat::Text)],
            ),
            filter: filter(source),
        }
    }
}

fn filter(source: &mut Source<'_>) -> String {
    const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
    const WANTS: &str = "off, error, warn, info, debug, trace, or a filter such as info,auth_service=debug";
    let (name, value) = match (source.text("LOG_LEVEL"), source.text("RUST_LOG")) {
        (Some(value), _) => ("LOG_LEVEL", value),
        (None, Some(value)) => ("RUST_LOG", value),
        (None, None) => ("LOG_LEVEL", "info"),
    };
    // A filter of one word names a crate; in a variable called LEVEL that is a mistyped level.
    let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(value));
    if (name == "LOG_LEVEL" && is_word && !is_level) || EnvFilter::try_new(value).is_err() {
        source.refuse(name, value, WANTS);
    }
    source.list_value(name, value);
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse, refused};
    use super::*;

    #[test]
    fn the_format_follows_the_environment() {
        assert_eq!(parse(&[("NODE_ENV", "test")]).log.format, LogFormat::Json);
        assert_eq!(parse(&[]).log.format, LogFormat::Text);
        assert_eq!(parse(&[("LOG_FORMAT", "JSON")]).log.format, LogFormat::Json);
    }

    #[test]
    fn the_level_counts_before_rust_log() {
        assert_eq!(parse(&[]).log.filter, "info");
        assert_eq!(parse(&[("RUST_LOG", "warn,sqlx=debug")]).log.filter, "warn,sqlx=debug");
        assert_eq!(parse(&[("LOG_LEVEL", "debug"), ("RUST_LOG", "warn")]).log.filter, "debug");
        assert_eq!(refused(&[("LOG_LEVEL", "verbose")]), ["LOG_LEVEL"]);
        assert_eq!(refused(&[("RUST_LOG", "auth_service=loud")]), ["RUST_LOG"]);
    }
}
