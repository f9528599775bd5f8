//! Values of the usual forms, with the declared range and default; each is listed as it is read.

use std::path::PathBuf;
use std::time::Duration;

use super::Source;
use crate::config::setting::{Form, Preset};

impl Source<'_> {
    pub(in crate::config) fn text_or(&mut self, name: &'static str, default: &str) -> String {
        let value = self.text(name).unwrap_or(default).to_owned();
        if value.chars().any(char::is_control) || value.len() > 255 {
            self.refuse(name, &value, "at most 255 bytes without control characters");
        }
        self.list_value(name, value.clone());
        value
    }

    /// Short text, if any.
    pub(in crate::config) fn optional_text(&mut self, name: &'static str) -> Option<String> {
        Some(self.text_or(name, "")).filter(|text| !text.is_empty())
    }

    /// A file or folder, if any; its user checks whether it is usable.
    pub(in crate::config) fn path(&mut self, name: &'static str) -> Option<PathBuf> {
        let text = self.text(name);
        self.list_value(name, text.unwrap_or_default());
        text.map(PathBuf::from)
    }

    /// Short text, or the declared default.
    pub(in crate::config) fn short_text(&mut self, name: &'static str) -> String {
        self.text_or(name, self.preset(name).unwrap_or_default())
    }

    pub(in crate::config) fn integer<T: TryFrom<u64> + Copy + ToString>(&mut self, name: &'static str) -> T {
        self.whole(name, None)
    }

    /// The same, with a computed default.
    pub(in crate::config) fn integer_or<T: TryFrom<u64> + Copy + ToString>(
        &mut self,
        name: &'static str,
        default: T,
    ) -> T {
        self.whole(name, Some(default))
    }

    fn whole<T: TryFrom<u64> + Copy + ToString>(&mut self, name: &'static str, default: Option<T>) -> T {
        let Form::Number(low, high) = self.declared.setting(name).form else {
            unreachable!("{name} is declared as a number");
        };
        let parse = |text: &str| {
            let number = text.parse::<u64>().ok().filter(|number| (low..=high).contains(number))?;
            T::try_from(number).ok()
        };
        let wants = || format!("a whole number from {low} to {high}");
        self.read(name, default, parse, wants, |number| number.to_string())
    }

    /// A decimal number in the declared unit, as a duration in whole milliseconds.
    pub(in crate::config) fn decimal(&mut self, name: &'static str) -> Duration {
        self.in_unit(name, None)
    }

    /// The same, with a computed default.
    pub(in crate::config) fn decimal_or(&mut self, name: &'static str, default: Duration) -> Duration {
        self.in_unit(name, Some(default))
    }

    /// The same, if it is set.
    pub(in crate::config) fn optional_decimal(&mut self, name: &'static str) -> Option<Duration> {
        if self.text(name).is_none() {
            self.list_value(name, "");
            return None;
        }
        Some(self.in_unit(name, Some(Duration::ZERO)))
    }

    fn in_unit(&mut self, name: &'static str, default: Option<Duration>) -> Duration {
        let Form::Decimal(unit, low, high) = self.declared.setting(name).form else {
            unreachable!("{name} is declared as a number with decimals");
        };
        let parse = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            let number = text.parse::<f64>().ok().filter(|number| plain && (low..=high).contains(number))?;
            Some(unit.duration(number))
        };
        let wants = || format!("{} from {low} to {high}, decimals allowed", unit.name());
        self.read(name, default, parse, wants, |duration| unit.show(duration))
    }

    /// Whole seconds, with the unit in the value, since the claims of a token cannot express fractions.
    pub(in crate::config) fn duration(&mut self, name: &'static str) -> Duration {
        let Form::Duration(low, high) = self.declared.setting(name).form else {
            unreachable!("{name} is declared as a duration");
        };
        let bound =
            |text| humantime::parse_duration(text).unwrap_or_else(|_| unreachable!("a declared bound"));
        let range = bound(low)..=bound(high);
        let parse = |text: &str| {
            let duration = humantime::parse_duration(text).ok()?;
            (range.contains(&duration) && duration.subsec_nanos() == 0).then_some(duration)
        };
        let wants =
            || format!("whole seconds with a unit, such as 90s, 15m, 12h or 7d, from {low} to {high}");
        self.read(name, None, parse, wants, |duration| humantime::format_duration(duration).to_string())
    }

    pub(in crate::config) fn boolean(&mut self, name: &'static str) -> bool {
        self.yes_or_no(name, None)
    }

    /// The same, with a computed default.
    pub(in crate::config) fn boolean_or(&mut self, name: &'static str, default: bool) -> bool {
        self.yes_or_no(name, Some(default))
    }

    fn yes_or_no(&mut self, name: &'static str, default: Option<bool>) -> bool {
        let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        self.read(name, default, parse, || "true or false".to_owned(), |value| value.to_string())
    }

    /// One of the declared words, in any case.
    pub(in crate::config) fn choice<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        choices: &[(&str, T)],
    ) -> T {
        self.word(name, None, choices)
    }

    /// The same, with a computed default.
    pub(in crate::config) fn choice_or<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        self.word(name, Some(default), choices)
    }

    fn word<T: Copy + PartialEq>(
        &mut self,
        name: &'static str,
        default: Option<T>,
        choices: &[(&str, T)],
    ) -> T {
        let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>();
        debug_assert!(
            matches!(self.declared.setting(name).form, Form::Word(declared) if declared == words),
            "{name} is declared with other words"
        );
        let parse = |text: &str| {
            let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|(_, choice)| *choice)
        };
        let show = |value| {
            let found = choices.iter().find(|(_, choice)| *choice == value);
            found.map(|(word, _)| (*word).to_owned()).unwrap_or_default()
        };
        self.read(name, default, parse, || format!("one of {}", words.join(", ")), show)
    }

    /// The given value if it can be parsed, else the default: the computed one, or the declared one.
    fn read<T: Copy>(
        &mut self,
        name: &'static str,
        default: Option<T>,
        parse: impl Fn(&str) -> Option<T>,
        wants: impl Fn() -> String,
        show: impl Fn(T) -> String,
    ) -> T {
        let given = self.text(name);
        let value = given.and_then(&parse).or(default).or_else(|| self.preset(name).and_then(&parse));
        if let Some(refused) = given.filter(|text| parse(text).is_none()) {
            self.refuse(name, refused, wants());
        }
        let value = value.unwrap_or_else(|| unreachable!("{name}: its default is declared and can be read"));
        self.note(name, show(value));
        value
    }

    /// The declared default; an alias has the default of its setting.
    fn preset(&self, name: &'static str) -> Option<&'static str> {
        let setting = self.declared.setting(name);
        let setting = setting.stands_for.map_or(setting, |name| self.declared.setting(name));
        match setting.preset {
            Preset::Value(text) => Some(text),
            Preset::Told(_) | Preset::Unset => None,
        }
    }
}
