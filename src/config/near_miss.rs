//! Names in the environment that are nearly one of ours: a mistyped setting would otherwise count for nothing
//! in silence.
//!
//! It must never show a value, and never refuse: other programs' variables may look alike.

use super::declared::VARIABLES;

/// Shorter names are too near to other programs' ones.
const SHORTEST: usize = 6;

/// From this length on two slips are allowed, else one.
const LONG: usize = 10;

/// Ends of names that tell a unit, singular and plural, in any order.
const UNITS: &[&str] = &[
    "MS",
    "MILLIS",
    "MILLISECOND",
    "MILLISECONDS",
    "SEC",
    "SECS",
    "SECOND",
    "SECONDS",
    "MIN",
    "MINS",
    "MINUTE",
    "MINUTES",
    "HOUR",
    "HOURS",
    "DAY",
    "DAYS",
];

/// A warning for each name that is probably meant to be another.
pub(super) fn warnings<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let unknown = names.filter(|name| !VARIABLES.contains(&name.as_str()));
    let mut warnings: Vec<_> = unknown
        .filter_map(|name| Some((name, nearest(name)?)))
        .map(|(name, meant)| {
            format!("{name} is set, but it is not a setting of this service; did you mean {meant}?")
        })
        .collect();
    warnings.sort();
    warnings
}

/// The name among those in the environment that is probably meant to be this one.
pub(super) fn meant_for<'a>(mut names: impl Iterator<Item = &'a String>, known: &str) -> Option<&'a String> {
    names.find(|name| !VARIABLES.contains(&name.as_str()) && nearest(name) == Some(known))
}

fn nearest(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // Those of OpenTelemetry's own libraries are many and alike.
    if upper.len() < SHORTEST || !upper.is_ascii() || upper.starts_with("OTEL_") {
        return None;
    }
    let allowed = if upper.len() < LONG { 1 } else { 2 };
    let mistyped = VARIABLES
        .iter()
        .filter(|known| known.len() >= SHORTEST && known.len().abs_diff(upper.len()) <= allowed)
        .map(|known| (slips(&upper, known), *known))
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips);
    mistyped.map(|(_, known)| known).or_else(|| of_another_unit(&upper))
}

/// `RATE_LIMIT_SIGNUP_PER_MINUTE`, `SESSION_TIMEOUT` or `SESSION_TIMEOUT_SECONDS`: right but for the unit.
fn of_another_unit(name: &str) -> Option<&'static str> {
    let stem = without_unit(name);
    let known = VARIABLES.iter().filter(|known| without_unit(known) != **known);
    let mut alike = known.filter(|known| without_unit(known) == stem && stem.contains('_'));
    alike.next().copied()
}

fn without_unit(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((stem, unit)) if UNITS.contains(&unit) => stem.strip_suffix("_PER").unwrap_or(stem),
        _ => name,
    }
}

/// The fewest letters to add, leave out, change, or swap with their neighbours.
fn slips(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(rows[i - 2][j - 2] + 1);
            }
            row.push(fewest);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::super::tests::parse;
    use super::*;

    #[test]
    fn a_mistyped_name_is_warned_about_with_the_right_one() {
        for (name, meant) in [
            ("DATABSE_URL", "DATABASE_URL"),
            ("DATABASE_URI", "DATABASE_URL"),
            ("database_url", "DATABASE_URL"),
            ("DATABASEURL", "DATABASE_URL"),
            ("JWT_ACESS_SECRET", "JWT_ACCESS_SECRET"),
            ("JWT_REFRESH_SECERT", "JWT_REFRESH_SECRET"),
            ("RATE_LIMIT_SIGNUP_PER_MINUTE", "RATE_LIMIT_SIGNUP_PER_HOUR"),
            ("SESSION_TIMEOUT", "SESSION_TIMEOUT_MINUTES"),
            ("SESSION_TIMEOUT_SECONDS", "SESSION_TIMEOUT_MINUTES"),
            ("SESSION_LIFETIME_DAYS", "SESSION_LIFETIME_HOURS"),
            ("SESSION_TIMEOUT_MINUTES_ADMN", "SESSION_TIMEOUT_MINUTES_ADMIN"),
            ("CORS_ORIGINS", "CORS_ORIGIN"),
            ("REDIS_URL_FIEL", "REDIS_URL_FILE"),
        ] {
            assert_eq!(nearest(name), Some(meant), "{name}");
        }
        let warnings = parse(&[("DATABSE_URL", "postgres://u:hunter2@h/d")]).warnings.join("\n");
        assert!(warnings.contains("DATABSE_URL is set") && warnings.contains("did you mean DATABASE_URL?"));
        assert!(!warnings.contains("hunter2"), "{warnings}");
    }

    #[test]
    fn names_of_other_programs_are_left_alone() {
        for name in [
            "PATH",
            "HOME",
            "HOSTNAME",
            "HOSTS",
            "PORTS",
            "SHELL",
            "LANG",
            "USER",
            "TERM",
            "PWD",
            "NODE_OPTIONS",
            "NODE_PATH",
            "RUST_BACKTRACE",
            "CARGO_HOME",
            "POSTGRES_PASSWORD",
            "POSTGRES_URL",
            "LEGACY_DATABASE_URL",
            "LEGACY_UPSTREAMS",
            "AUTH_MOVE",
            "AUTH_PERCENT",
            "OTEL_TRACES_EXPORTER",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "LOGNAME",
            "TEST_REDIS_URL",
            "PGHOST",
            "PGPASSWORD",
            "REDIS_HOST",
            "SESSION_MANAGER",
            "DATABASE_HOST",
            "JWT_SECRET",
            "LC_ALL",
            "COMPOSE_FILE",
            "KUBERNETES_PORT",
            "XDG_SESSION_ID",
            "XDG_SESSION_TYPE",
            "SSH_CONNECTION",
            "http_proxy",
            "ÄÄÄÄÄÄÄ",
        ] {
            assert_eq!(nearest(name), None, "{name}");
        }
    }

    #[test]
    fn every_known_name_is_no_near_miss() {
        let known = VARIABLES.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(warnings(known.iter()), Vec::<String>::new());
    }
}
