//! Where standard clients find the endpoints (RFC 8414, OpenID Connect Discovery).

use crate::support::{Database, Setup, TestApp};

async fn issued_by(issuer: &str) -> TestApp {
    Setup::on(Database::Sqlite).await.set("JWT_ISSUER", issuer).start().await
}

const PLACES: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

#[tokio::test]
async fn an_issuer_that_is_an_address_tells_its_endpoints() {
    let app = issued_by("https://auth.example.com").await;
    for place in PLACES {
        for prefix in ["", "/api/auth"] {
            let told = app.client().get(&format!("{prefix}{place}")).await.expect(200).json;
            assert_eq!(told["issuer"], "https://auth.example.com");
            assert_eq!(told["jwks_uri"], "https://auth.example.com/.well-known/jwks.json");
            assert_eq!(told["introspection_endpoint"], "https://auth.example.com/introspect");
            assert_eq!(told["revocation_endpoint"], "https://auth.example.com/revoke");
            assert_eq!(told["id_token_signing_alg_values_supported"], serde_json::json!(["HS256"]));
            assert_eq!(told["response_types_supported"], serde_json::json!([]));
        }
        app.client().get(&format!("{place}/elsewhere")).await.expect_problem(404, "not_found");
    }
}

/// RFC 8414 puts the issuer's path after the well-known one, OpenID Connect before it.
#[tokio::test]
async fn the_path_of_an_issuer_stands_where_each_standard_has_it() {
    for (issuer, path) in
        [("https://example.com/api/auth", "/api/auth"), ("https://example.com/t/a/", "/t/a")]
    {
        let app = issued_by(issuer).await;
        for place in PLACES {
            for address in [format!("{place}{path}"), format!("{path}{place}")] {
                let told = app.client().get(&address).await.expect(200).json;
                assert_eq!(told["issuer"], issuer, "{address}");
                assert_eq!(told["revocation_endpoint"], format!("https://example.com{path}/revoke"));
            }
            let foreign = format!("/elsewhere{place}");
            app.client().get(&foreign).await.expect_problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn a_name_is_found_nowhere() {
    for issuer in ["auth-service", "urn:example:auth", "https://a.example/?x=1", "https://a.example/#x"] {
        let app = issued_by(issuer).await;
        for place in PLACES {
            app.client().get(place).await.expect_problem(404, "not_found");
        }
    }
}
