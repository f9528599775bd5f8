//! Imports point one way only: down the list of levels. Code of tests may do as it likes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::sources::{Product, Source, Token, product, sources};

/// From the outside to the inside. Modules of the same level do not know each other, but for those of level
/// 1.
const LEVELS: [(u8, &[&str]); 7] = [
    (6, &["main", "cli", "app"]),
    (5, &["http"]),
    (4, &["actors"]),
    (3, &["storage", "bus", "mail"]),
    (2, &["security", "events"]),
    (1, &["domain", "config", "clock", "io", "telemetry"]),
    (0, &["entity", "migration"]),
];

/// The level whose modules serve each other as well as all above.
const SHARED: u8 = 1;

/// The crate under its own name, as the binary sees it.
const LIBRARY: &str = "auth_service";

fn level(module: &str) -> Option<u8> {
    LEVELS.iter().find(|(_, modules)| modules.contains(&module)).map(|(level, _)| *level)
}

fn may_import(from: &str, to: &str) -> bool {
    match (level(from), level(to)) {
        _ if from == to => true,
        (Some(from), Some(to)) => from > to || (from == to && (from == SHARED || from == 6)),
        _ => false,
    }
}

/// The path of the module in a file: `src/http/login.rs` is `["http", "login"]`, `src/lib.rs` the root.
pub(super) fn module_of(path: &Path) -> Vec<String> {
    let inner = path.strip_prefix("src").unwrap().with_extension("");
    let names: Vec<_> = inner.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if names == ["lib"] { Vec::new() } else { names }
}

/// The top modules that this code names, in imports and in the midst of it.
fn imported(module: &[String], tokens: &[Token]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for at in 0..tokens.len() {
        let is_path = tokens[at + 1..].starts_with(&[":".to_owned(), ":".to_owned()]);
        let begins = at == 0 || tokens[at - 1] != ":";
        if !is_path || !begins {
            continue;
        }
        match tokens[at].as_str() {
            "crate" | LIBRARY => found.extend(heads(&tokens[at + 3..])),
            "super" | "self" => found.extend(relative(module, &tokens[at..])),
            name if ["entity", "migration"].contains(&name) => {
                found.insert(name.to_owned());
            }
            _ => {}
        }
    }
    found
}

/// The first names of what follows `crate::`: one, or those of a group.
fn heads(tokens: &[Token]) -> Vec<String> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().cloned().into_iter().collect();
    }
    let (mut depth, mut heads) = (0, Vec::new());
    for pair in tokens.windows(2) {
        match pair[0].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && (pair[0] == "{" || pair[0] == ",") && pair[1] != "}" {
            heads.push(pair[1].clone());
        }
    }
    heads
}

/// What a path of `super` and `self` leads to, if that is outside its top module.
fn relative(module: &[String], tokens: &[Token]) -> Vec<String> {
    let (mut left, mut at) = (module.len(), 0);
    while tokens[at..].len() > 3 && (tokens[at] == "super" || tokens[at] == "self") {
        if tokens[at] == "super" {
            // An inner module of a file counts as the file: one level too few is taken for staying inside.
            let Some(outer) = left.checked_sub(1) else { return Vec::new() };
            left = outer;
        }
        at += 3;
    }
    if left == 0 { heads(&tokens[at..]) } else { Vec::new() }
}

/// Whether the file belongs to a module that is declared under `#[cfg(test)]`.
pub(super) fn is_of_tests(path: &Path, test_modules: &[PathBuf]) -> bool {
    test_modules.iter().any(|module| path.starts_with(module) || path == module.with_extension("rs"))
}

/// The folders of the modules that are declared under `#[cfg(test)]`.
pub(super) fn test_modules(products: &[(&PathBuf, Product)]) -> Vec<PathBuf> {
    let of = |(path, product): &(&PathBuf, Product)| {
        product.test_modules.iter().map(|module| folder(path, module)).collect::<Vec<_>>()
    };
    products.iter().flat_map(of).collect()
}

/// The folder that a module declared in a file would have.
fn folder(declaring: &Path, module: &str) -> PathBuf {
    let is_root = ["lib.rs", "main.rs"].iter().any(|name| declaring.ends_with(name));
    if is_root { declaring.with_file_name(module) } else { declaring.with_extension("").join(module) }
}

fn violations(files: &[Source]) -> Vec<String> {
    let products: Vec<_> = files.iter().map(|file| (&file.path, product(&file.text))).collect();
    let test_modules = test_modules(&products);
    let mut violations = Vec::new();
    for (path, product) in products.iter().filter(|(path, _)| !is_of_tests(path, &test_modules)) {
        let module = module_of(path);
        let Some(from) = module.first() else { continue };
        for to in imported(&module, &product.tokens).iter().filter(|to| !may_import(from, to)) {
            violations.push(format!("{}: {from} may not know {to}", path.display()));
        }
    }
    violations
}

#[test]
fn imports_point_down() {
    let violations = violations(&sources(&["src"]));
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn every_module_has_a_level() {
    let unknown: Vec<_> = sources(&["src"])
        .iter()
        .filter_map(|file| module_of(&file.path).into_iter().next())
        .filter(|module| level(module).is_none())
        .collect();
    assert!(unknown.is_empty(), "no level: {unknown:?}");
}

#[test]
fn entities_and_migrations_know_nothing_of_the_service() {
    for file in sources(&["entity", "migration"]) {
        let tokens = product(&file.text).tokens;
        assert!(!tokens.iter().any(|token| token == LIBRARY), "{}", file.path.display());
    }
}

/// A check that finds nothing may have looked at nothing.
#[test]
fn each_way_of_pointing_up_is_found() {
    let found = |path: &str, text: &str| {
        violations(&[Source { path: path.into(), text: text.to_owned() }]).join("; ")
    };
    for (path, text, to) in [
        ("src/domain/user.rs", "use crate::storage::Store;", "storage"),
        ("src/domain/user.rs", "use crate::{clock::Clock, http::{state, view}};", "http"),
        ("src/storage/rows.rs", "fn f() { let x = crate::bus::Bus::in_process(); }", "bus"),
        ("src/events.rs", "use super::security::keys;", "security"),
        ("src/storage/open.rs", "use super::super::actors::registry;", "actors"),
        ("src/actors/registry/resident.rs", "pub(in crate::http) fn f() {}", "http"),
        ("src/http.rs", "use auth_service::app::App;", "app"),
        ("src/telemetry/metrics.rs", "#[cfg(unix)] use crate::events::Message;", "events"),
    ] {
        let from = module_of(Path::new(path)).remove(0);
        assert_eq!(found(path, text), format!("{path}: {from} may not know {to}"), "{text}");
    }
    for (path, text) in [
        ("src/domain/user.rs", "use crate::config::Secret; // not crate::http::x\n use super::time::T;"),
        ("src/domain/user.rs", "#[cfg(test)] mod tests { use crate::storage::Store; }"),
        ("src/storage/rows.rs", "use entity::user; const A: &str = \"crate::http::x\";"),
        ("src/main.rs", "use auth_service::app::App;"),
    ] {
        assert_eq!(found(path, text), "", "{text}");
    }
}
