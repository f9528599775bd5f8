//! The OpenAPI document keeps to what generators of clients understand.

use serde_json::{Map, Value};

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
