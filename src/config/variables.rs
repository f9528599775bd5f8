//! The variables that belong to settings, and how they are found by name.

use std::collections::HashMap;

use super::setting::Setting;
use crate::domain::role::Role;

/// Settings that belong together, declared in a file of their own.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading in docs/configuration.md and `.env.example`.
    pub title: &'static str,
    /// The settings declared there.
    pub settings: &'static [Setting],
}

/// A variable that may be set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    /// Its name.
    pub(super) name: &'static str,
    /// The setting it belongs to.
    pub(super) setting: &'static Setting,
    /// Whether it is the setting itself, its variant for a role, or names a file.
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Itself,
    OfRole(Role),
    File,
}

/// Every variable, in the order of the documents.
#[derive(Debug)]
pub(super) struct Variables {
    all: Vec<Variable>,
    by_name: HashMap<&'static str, usize>,
}

impl Variables {
    /// The variables of all settings of these sections.
    pub(super) fn of(sections: &'static [Section]) -> Self {
        let settings = sections.iter().flat_map(|section| section.settings);
        let all: Vec<_> = settings.flat_map(variables_of).collect();
        let by_name = all.iter().enumerate().map(|(index, variable)| (variable.name, index)).collect();
        Self { all, by_name }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Variable> {
        self.all.iter()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all.iter().map(|variable| variable.name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Its position in the documents' order.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The setting of that variable, which must be declared.
    pub(super) fn setting(&self, name: &str) -> &'static Setting {
        self.get(name).setting
    }

    pub(super) fn get(&self, name: &str) -> Variable {
        let position = self.position(name).unwrap_or_else(|| panic!("{name} is in no section's SETTINGS"));
        self.all[position]
    }

    /// The name of a setting for one role.
    pub(super) fn of_role(&self, name: &'static str, role: Role) -> &'static str {
        let setting = self.setting(name);
        let mut variables = self.iter().filter(|variable| variable.setting.name == setting.name);
        let found = variables.find(|variable| variable.kind == Kind::OfRole(role));
        found.map_or_else(|| panic!("{name} is not declared by role"), |variable| variable.name)
    }
}

/// The setting itself first, then the variables derived from its name.
pub(super) fn variables_of(setting: &'static Setting) -> Vec<Variable> {
    let mut variables = vec![Variable { name: setting.name, setting, kind: Kind::Itself }];
    let mut add = |suffix: &str, kind| {
        // Leaked once, for the lifetime of the process.
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
