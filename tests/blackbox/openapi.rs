//! GET `/openapi.json` and `/docs`: what is documented is what is served.

use serde_json::Value;

use crate::support::TestApp;

#[tokio::test]
async fn the_document_is_of_this_version() {
    let app = TestApp::start().await;
    let document = app.client().get("/openapi.json").await.expect(200).json;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// Every `$ref` within a value.
fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let app = TestApp::start().await;
    let document = app.client().get("/openapi.json").await.expect(200).json;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn errors_are_described_as_problems() {
    let app = TestApp::start().await;
    let document = app.client().get("/openapi.json").await.expect(200).json;
    let responses = &document["paths"]["/login"]["post"]["responses"];
    for status in ["200", "400", "401", "403", "409", "413", "415", "422", "429", "503"] {
        assert!(responses[status].is_object(), "login's {status} is not described");
    }
    let content = &document["components"]["responses"]["SignInRefused"]["content"];
    assert!(content["application/problem+json"].is_object(), "{content}");
}

#[tokio::test]
async fn there_is_a_page_to_read_it_on() {
    let app = TestApp::start().await;
    for path in ["/docs", "/docs/", "/api/auth/docs", "/api/auth/docs/"] {
        let answer = app.client().get(path).await.expect(200);
        assert!(answer.header("content-type").unwrap().starts_with("text/html"), "{answer}");
        let folder = if path.ends_with('/') { "" } else { "<base href=\"docs/\">" };
        let head = format!("<head>{folder}\n");
        assert!(
            answer.text.contains(&head) && answer.text.contains("\"./swagger-ui.css\""),
            "{}",
            answer.text
        );
    }
    app.client().get("/docs/swagger-ui.css").await.expect(200);
}
