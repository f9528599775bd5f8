//! Names in the environment that are nearly one of ours: a mistyped setting would otherwise be ignored
//! silently.
//!
//! It must never show a value, and never refuse: other programs' variables may look similar.

use super::variables::Variables;

/// Shorter names are too similar to those of other programs.
const SHORTEST: usize = 6;

/// From this length on, two slips are allowed; below it, one.
const LONG: usize = 10;

/// Suffixes of names that denote a unit, singular and plural, in any order.
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

/// A warning for each name that was probably meant to be another.
pub(super) fn warnings<'a>(declared: &Variables, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let unknown = names.filter(|name| !declared.has(name));
    let mut warnings: Vec<_> = unknown
        .filter_map(|name| Some((name, nearest(declared, name)?)))
        .map(|(name, meant)| {
            format!("{name} is set, but it is not a setting of this service; did you mean {meant}?")
        })
        .collect();
    warnings.sort();
    warnings
}

/// The name in the environment that was probably meant to be this one.
pub(super) fn meant_for<'a>(
    declared: &Variables,
    mut names: impl Iterator<Item = &'a String>,
    known: &str,
) -> Option<&'a String> {
    names.find(|name| !declared.has(name) && nearest(declared, name) == Some(known))
}

fn nearest(declared: &Variables, name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // OpenTelemetry's own libraries have many similar names.
    if upper.len() < SHORTEST || !upper.is_ascii() || upper.starts_with("OTEL_") {
        return None;
    }
    let allowed = if upper.len() < LONG { 1 } else { 2 };
    let mistyped = declared
        .names()
        .filter(|known| known.len() >= SHORTEST && known.len().abs_diff(upper.len()) <= allowed)
        .map(|known| (slips(&upper, known), known))
        .filter(|(slips, _)| *slips <= allowed)
        .min_by_key(|(slips, _)| *slips);
    mistyped.map(|(_, known)| known).or_else(|| of_another_unit(declared, &upper))
}

/// `RATE_LIMIT_SIGNUP_PER_MINUTE`, `SESSION_TIMEOUT` or `SESSION_TIMEOUT_SECONDS`: correct but for the unit.
fn of_another_unit(declared: &Variables, name: &str) -> Option<&'static str> {
    let stem = without_unit(name);
    let known = declared.names().filter(|known| without_unit(known) != *known);
    let mut alike = known.filter(|known| without_unit(known) == stem && stem.contains('_'));
    alike.next()
}

fn without_unit(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((stem, unit)) if UNITS.contains(&unit) => stem.strip_suffix("_PER").unwrap_or(stem),
        _ => name,
    }
}

/// The smallest number of letters to add, omit, change, or swap with their neighbours.
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
mod tests;
