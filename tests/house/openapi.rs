//! The OpenAPI document describes every route there is, and keeps to what generators of clients understand.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::sources::sources;

fn document() -> Value {
    serde_json::from_str(auth_service::http::OPENAPI).unwrap()
}

/// Calls with each object of the document and the way to it.
fn objects(value: &Value, path: &str, visit: &mut impl FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(path, object);
            for (name, inner) in object {
                objects(inner, &format!("{path}/{name}"), visit);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                objects(inner, &format!("{path}/{index}"), visit);
            }
        }
        _ => {}
    }
}

fn found(mut is_wrong: impl FnMut(&str, &Map<String, Value>) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    objects(&document(), "", &mut |path, object| {
        if is_wrong(path, object) {
            wrong.push(path.to_owned());
        }
    });
    wrong
}

/// openapi-generator's Python client does not import with one.
#[test]
fn no_pattern_stands_beside_a_date() {
    let dates = found(|_, object| {
        object.get("format").is_some_and(|format| format == "date-time") && object.contains_key("pattern")
    });
    assert!(dates.is_empty(), "{dates:?}");
}

/// openapi-python-client drops answers that are more than a reference.
#[test]
fn a_problem_is_a_plain_reference() {
    let mixed =
        found(|_, object| object.get("allOf").is_some_and(|all| all.to_string().contains("/Problem\"")));
    assert!(mixed.is_empty(), "{mixed:?}");
}

/// oapi-codegen makes an optional pointer of a required member that is `writeOnly`.
#[test]
fn nothing_is_write_only() {
    let only = found(|_, object| object.get("writeOnly") == Some(&Value::Bool(true)));
    assert!(only.is_empty(), "{only:?}");
}

/// openapi-typescript makes a member with a default a required one.
#[test]
fn no_member_of_a_request_has_a_default() {
    let defaults = found(|path, object| {
        path.contains("Request/properties") && object.contains_key("default") && object.contains_key("type")
    });
    assert!(defaults.is_empty(), "{defaults:?}");
}

/// A closed list of values in an answer breaks generated clients when a value is added.
#[test]
fn lists_of_values_in_answers_are_open() {
    let closed = found(|path, object| {
        let of_answers = path.starts_with("/components/schemas") && !path.contains("Request");
        of_answers && object.get("enum").is_some_and(|values| values.to_string().contains('"'))
    });
    assert!(closed.is_empty(), "say the values in the description, and that more may be added: {closed:?}");
}

/// Routes that only browsers ask for: pages and their files.
const PAGES: [&str; 8] = [
    "/",
    "/reset-password",
    "/assets/{file:.*}",
    "/admin",
    "/admin/assets/{file:.*}",
    "/openapi.json",
    "/docs",
    "/docs/{file:.*}",
];

/// The first two arguments of a call, where they are literals.
fn literals(arguments: &str) -> Option<(String, String)> {
    let mut pieces = arguments.split('"');
    let is_blank = |piece: &str| piece.trim().is_empty();
    let path = pieces.next().filter(|piece| is_blank(piece)).and_then(|_| pieces.next())?;
    let allow = pieces.next().filter(|piece| piece.trim() == ",").and_then(|_| pieces.next())?;
    Some((path.to_owned(), allow.to_owned()))
}

/// Method and path of each route of `src/http`, as its `resource`, `open_resource` or `completing` names
/// them.
fn routes() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for file in sources(&["src/http"]) {
        let constant =
            file.text.split("const PATH: &str = \"").nth(1).and_then(|rest| rest.split('"').next());
        for call in ["resource(", "open_resource(", "completing("] {
            for (at, _) in file.text.match_indices(call) {
                let before = file.text[..at].chars().next_back();
                if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let arguments = &file.text[at + call.len()..];
                let arguments = match (arguments.strip_prefix("PATH"), constant) {
                    (Some(rest), Some(path)) => format!("\"{path}\"{rest}"),
                    _ => arguments.to_owned(),
                };
                let Some((path, allow)) = literals(&arguments) else { continue };
                found.extend(allow.split(", ").map(|method| (method.to_lowercase(), path.clone())));
            }
        }
    }
    found
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let routes: BTreeSet<_> =
        routes().into_iter().filter(|(_, path)| !PAGES.contains(&path.as_str())).collect();
    assert!(routes.len() > 50, "routes were not found: {routes:?}");
    let document = document();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        // Of `/verify`, which answers to any method, GET stands for all.
        if path.starts_with("/verify") || PAGES.contains(&path.as_str()) {
            continue;
        }
        let methods = ["get", "post", "put", "patch", "delete"].into_iter();
        let methods = methods.filter(|method| item[*method]["responses"].is_object());
        described.extend(methods.map(|method| (method.to_owned(), path.clone())));
    }
    let undescribed: Vec<_> = routes.difference(&described).collect();
    let unknown: Vec<_> = described.difference(&routes).collect();
    assert!(undescribed.is_empty(), "not in openapi.json: {undescribed:?}");
    assert!(unknown.is_empty(), "in openapi.json, but no route: {unknown:?}");
    assert!(document["paths"]["/verify"]["get"]["responses"].is_object());
}
