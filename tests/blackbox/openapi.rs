//! GET `/openapi.json` and `/docs`: what is written there is what is served.

use serde_json::Value;

use crate::support::TestApp;

const OPERATIONS: &[(&str, &str)] = &[
    ("get", "/config"),
    ("post", "/signup"),
    ("post", "/login"),
    ("post", "/login/continue"),
    ("get", "/factors"),
    ("post", "/factors/totp"),
    ("delete", "/factors/totp"),
    ("post", "/factors/totp/confirm"),
    ("post", "/factors/recovery-codes"),
    ("post", "/passkeys/login/options"),
    ("post", "/passkeys/options"),
    ("post", "/passkeys"),
    ("patch", "/passkeys/{id}"),
    ("delete", "/passkeys/{id}"),
    ("post", "/refresh"),
    ("delete", "/me"),
    ("get", "/me/export"),
    ("get", "/me"),
    ("get", "/session"),
    ("get", "/sessions"),
    ("post", "/reauthenticate"),
    ("post", "/password/change"),
    ("post", "/logout"),
    ("post", "/activity"),
    ("delete", "/sessions/{id}"),
    ("delete", "/sessions/all"),
    ("post", "/password/reset"),
    ("post", "/password/reset/confirm"),
    ("post", "/email/verification"),
    ("post", "/email/verification/confirm"),
    ("post", "/email/change"),
    ("post", "/email/change/confirm"),
    ("post", "/signup/confirm"),
    ("patch", "/me"),
    ("get", "/health"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/metrics"),
    ("get", "/.well-known/jwks.json"),
    ("get", "/.well-known/oauth-authorization-server"),
    ("get", "/.well-known/openid-configuration"),
    ("get", "/verify"),
    ("post", "/revoke"),
    ("post", "/introspect"),
    ("get", "/admin/users"),
    ("post", "/admin/users"),
    ("get", "/admin/users/{id}"),
    ("patch", "/admin/users/{id}"),
    ("delete", "/admin/users/{id}"),
    ("delete", "/admin/users/{id}/factors"),
    ("post", "/admin/users/{id}/password-reset"),
    ("get", "/admin/users/{id}/sessions"),
    ("delete", "/admin/users/{id}/sessions"),
    ("delete", "/admin/users/{id}/sessions/{session}"),
    ("get", "/admin/sessions"),
    ("get", "/admin/stats"),
    ("get", "/admin/live"),
    ("get", "/revocations"),
];

#[tokio::test]
async fn every_operation_is_described() {
    let app = TestApp::start().await;
    let document = app.client().get("/openapi.json").await.expect(200).json;

    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for &(method, path) in OPERATIONS {
        let operation = &document["paths"][path][method];
        assert!(operation["responses"].is_object(), "{method} {path} is not described");
    }
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
