//! Files do not import each other in a circle, so that each can be read after those it stands on. What a file
//! has from the files below it (`src/a.rs` from `src/a/b.rs`) is its own business and does not count.

use std::collections::{BTreeMap, BTreeSet};

use super::layers::{is_of_tests, module_of, test_modules};
use super::sources::{Source, Token, product, sources};

type Module = Vec<String>;
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Circles that are what they look like. The registry activates actors, and an actor gives up its own entry.
/// A span is opened by the task that serves a request, and that task carries the span.
const HONEST: [[&str; 2]; 2] =
    [["actors::registry", "actors::user_session"], ["telemetry::serving", "telemetry::traces"]];

/// Which file imports from which, in product code.
fn imports(files: &[Source]) -> Imports {
    let products: Vec<_> = files.iter().map(|file| (&file.path, product(&file.text))).collect();
    let tests = test_modules(&products);
    let products: Vec<_> = products.into_iter().filter(|(path, _)| !is_of_tests(path, &tests)).collect();
    let known: BTreeSet<_> = products.iter().map(|(path, _)| module_of(path)).collect();
    let of = |module: &Module, tokens: &[Token]| -> BTreeSet<Module> {
        let paths = paths_of_uses(module, tokens).into_iter();
        let files = paths.filter_map(|path| file_of(path, &known));
        files.filter(|file| !file.starts_with(module)).collect()
    };
    let imports = products.iter().map(|(path, product)| {
        let module = module_of(path);
        let imported = of(&module, &product.tokens);
        (module, imported)
    });
    imports.collect()
}

/// Every path that a file imports, from the root of the crate.
fn paths_of_uses(module: &Module, tokens: &[Token]) -> Vec<Module> {
    let uses = tokens.split(|token| token == "use").skip(1);
    uses.flat_map(|rest| {
        let tree: Vec<_> = rest.iter().take_while(|token| *token != ";").map(String::as_str).collect();
        let mut paths = Vec::new();
        expand(&mut tree.as_slice(), &mut Vec::new(), &mut paths);
        paths.into_iter().filter_map(|path| absolute(module, &path)).collect::<Vec<_>>()
    })
    .collect()
}

/// Takes one tree of paths apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(rest: &mut &[&str], before: &mut Vec<String>, paths: &mut Vec<Module>) {
    let depth = before.len();
    while let Some((token, after)) = rest.split_first() {
        match *token {
            "{" => {
                *rest = after;
                while !matches!(rest.first(), Some(&"}") | None) {
                    expand(rest, before, paths);
                    if rest.first() == Some(&",") {
                        *rest = &rest[1..];
                    }
                }
                *rest = rest.get(1..).unwrap_or_default();
                before.truncate(depth);
                return;
            }
            "," | "}" => break,
            ":" => {}
            // `a as b`: the new name leads nowhere else.
            "as" => *rest = &rest[1..],
            name => before.push(name.to_owned()),
        }
        *rest = rest.get(1..).unwrap_or_default();
    }
    paths.push(before.clone());
    before.truncate(depth);
}

fn absolute(module: &Module, path: &Module) -> Option<Module> {
    let first = path.first()?;
    if first == "crate" {
        return Some(path[1..].to_vec());
    }
    let ups = path.iter().take_while(|name| *name == "super").count();
    let rest = path[ups..].iter().filter(|name| *name != "self").cloned();
    let outer = &module[..module.len().checked_sub(ups)?];
    (ups > 0 || first == "self").then(|| outer.iter().cloned().chain(rest).collect())
}

/// The file in which that path is declared.
fn file_of(mut path: Module, known: &BTreeSet<Module>) -> Option<Module> {
    while !path.is_empty() && !known.contains(&path) {
        path.pop();
    }
    (!path.is_empty()).then_some(path)
}

/// Whether one leads to the other, over as many files as it takes.
fn leads(imports: &Imports, from: &Module, to: &Module) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        for imported in imports.get(module).into_iter().flatten() {
            if imported == to {
                return true;
            }
            if seen.insert(imported) {
                next.push(imported);
            }
        }
    }
    false
}

/// Every import that is part of a circle.
fn circles(files: &[Source]) -> BTreeSet<(String, String)> {
    let imports = imports(files);
    let pairs = imports.iter().flat_map(|(from, all)| all.iter().map(move |to| (from, to)));
    let circular = pairs.filter(|(from, to)| leads(&imports, to, from));
    circular.map(|(from, to)| (from.join("::"), to.join("::"))).collect()
}

#[test]
fn no_file_imports_what_imports_it() {
    let mut found = circles(&sources(&["src"]));
    for [one, other] in HONEST {
        for (from, to) in [(one, other), (other, one)] {
            assert!(
                found.remove(&(from.to_owned(), to.to_owned())),
                "{from} and {to} are no circle any more"
            );
        }
    }
    assert!(found.is_empty(), "imports in a circle: {found:#?}");
}

/// A check that finds nothing may have looked at nothing.
#[test]
fn a_circle_is_found_however_it_is_imported() {
    let found = |files: &[(&str, &str)]| {
        let source = |(path, text): &(&str, &str)| Source { path: path.into(), text: (*text).to_owned() };
        circles(&files.iter().map(source).collect::<Vec<_>>()).len()
    };
    let (b, c) = (("src/b.rs", "use crate::a::A;"), ("src/c.rs", "use super::a::{self, A as B};"));
    assert_eq!(found(&[("src/a.rs", "use crate::b::B;"), b]), 2);
    assert_eq!(found(&[("src/a.rs", "use super::{b::{B, self}, x::Y};"), b]), 2);
    assert_eq!(found(&[("src/a.rs", "pub use crate::{d::D, c::{C}};"), c]), 2);
    assert_eq!(found(&[("src/a.rs", "use super::d::D;"), b, ("src/d.rs", "use crate::b::B;")]), 3);
    assert_eq!(found(&[("src/a.rs", "#[cfg(test)] mod tests { use crate::b::B; }"), b]), 0);
    assert_eq!(found(&[("src/a.rs", "use b::B;"), ("src/a/b.rs", "use super::A;")]), 0);
}
