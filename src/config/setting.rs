//! What a setting is. Each is declared once, in its section's `SETTINGS`; parsing, `config check`,
//! `.env.example`, the tables of docs/configuration.md and the compose file's list all follow from that.
//!
//! It must never contain a value: [`super::source`] reads those.

use std::time::Duration;

use Preset::{Told, Unset, Value};

/// One variable an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What applies if it is not set.
    pub preset: Preset,
    /// What it does, in a sentence or two; Markdown.
    pub help: &'static str,
    /// What else is refused or warned about, if anything; Markdown.
    pub note: &'static str,
    /// Whether its value must not be seen; such a setting may also come from the file that `NAME_FILE` names.
    pub secret: bool,
    /// Whether there is also a variable for each role, `NAME_ADMIN` for instance.
    pub by_role: bool,
    /// The setting that this is an alias of.
    pub stands_for: Option<&'static str>,
}

/// What a setting's value looks like. Ranges include both ends.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Yes or no.
    Boolean,
    /// A whole number.
    Number(u64, u64),
    /// A decimal number of that unit.
    Decimal(Unit, f64, f64),
    /// Whole seconds, with the unit in the value: `15m`.
    Duration(&'static str, &'static str),
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Short text.
    Text,
    /// Anything else, which its section parses: what the form is called, and what is accepted.
    Other(&'static str, &'static str),
}

/// What applies if a setting is not set.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// This value, parsed like one that was set.
    Value(&'static str),
    /// A value that the section computes; described in words.
    Told(&'static str),
    /// Nothing.
    Unset,
}

/// The unit in a variable's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 1 ms.
    Milliseconds,
    /// 1,000 ms.
    Seconds,
    /// 60 s.
    Minutes,
    /// 60 min.
    Hours,
    /// 24 h.
    Days,
}

impl Setting {
    pub(super) const fn new(name: &'static str, form: Form, preset: Preset, help: &'static str) -> Self {
        Setting { name, form, preset, help, note: "", secret: false, by_role: false, stands_for: None }
    }

    /// Adds what else is refused or warned about.
    pub(super) const fn note(self, note: &'static str) -> Self {
        Setting { note, ..self }
    }

    /// Its value is never shown, and may come from a file.
    pub(super) const fn secret(self) -> Self {
        Setting { secret: true, ..self }
    }

    /// It may be set for each role.
    pub(super) const fn by_role(self) -> Self {
        Setting { by_role: true, ..self }
    }

    /// An alias of `name`, read if that is not set.
    pub(super) const fn stands_for(self, name: &'static str) -> Self {
        Setting { stands_for: Some(name), ..self }
    }

    /// What is accepted, in Markdown.
    pub(super) fn accepts(&self) -> String {
        let form = match self.form {
            Form::Boolean => "`true` or `false`".to_owned(),
            Form::Number(low, high) => format!("{low} to {high}"),
            Form::Decimal(_, low, high) => format!("{low} to {high}"),
            Form::Duration(low, high) => format!("`{low}` to `{high}`, whole seconds"),
            Form::Word(words) => format!("one of `{}`", words.join("`, `")),
            Form::Text => "at most 255 bytes, no control characters".to_owned(),
            Form::Other(_, accepts) => accepts.to_owned(),
        };
        if self.note.is_empty() { form } else { format!("{form}; {}", self.note) }
    }

    /// The name of its form.
    pub(super) fn form_name(&self) -> &'static str {
        match self.form {
            Form::Boolean => "boolean",
            Form::Number(..) => "number",
            Form::Decimal(unit, ..) => unit.name(),
            Form::Duration(..) => "duration",
            Form::Word(_) => "word",
            Form::Text => "text",
            Form::Other(name, _) => name,
        }
    }

    /// The value to write into `.env.example`, which is empty for a computed default, and the description
    /// of such a default.
    pub(super) fn default_text(&self) -> (&'static str, Option<&'static str>) {
        match self.preset {
            Value(text) => (text, None),
            Told(words) => ("", Some(words)),
            Unset if self.stands_for.is_some() => ("", None),
            Unset => ("", Some("none")),
        }
    }
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
            Unit::Days => "days",
        }
    }

    fn milliseconds(self) -> f64 {
        match self {
            Unit::Milliseconds => 1.0,
            Unit::Seconds => 1_000.0,
            Unit::Minutes => 60_000.0,
            Unit::Hours => 3_600_000.0,
            Unit::Days => 86_400_000.0,
        }
    }

    /// This number of the unit, in whole milliseconds.
    pub(super) fn duration(self, number: f64) -> Duration {
        // In bounds: every declared range is positive and far below the maximum of u64 milliseconds.
        Duration::from_millis((number * self.milliseconds()).round() as u64)
    }

    /// The number that would be parsed as this duration.
    pub(super) fn show(self, duration: Duration) -> String {
        (duration.as_secs_f64() * 1_000.0 / self.milliseconds()).to_string()
    }
}
