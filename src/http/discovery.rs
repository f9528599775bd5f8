//! Where standard clients find the service's endpoints: RFC 8414, and OpenID Connect Discovery for those that
//! know nothing else. Only if the tokens' issuer is a URL; nobody could look up a plain name.

use actix_web::http::Uri;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::open_resource;
use super::problem::Problem;
use super::state::AppState;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(
            open_resource("/.well-known/oauth-authorization-server", "GET").route(web::get().to(metadata)),
        )
        .service(open_resource("/.well-known/openid-configuration", "GET").route(web::get().to(metadata)));
    // RFC 8414, section 3.1: the issuer's path comes after the well-known one.
    let places =
        ["/.well-known/oauth-authorization-server/{path:.*}", "/.well-known/openid-configuration/{path:.*}"];
    for place in places {
        scope.service(open_resource(place, "GET").route(web::get().to(metadata_of_path)));
    }
}

/// OpenID Connect Discovery, section 4: the issuer's path comes before the well-known one. Registered last,
/// because such a path may be anything.
pub(super) fn configure_under_issuer(app: &mut web::ServiceConfig) {
    let places =
        ["/{path:.*}/.well-known/openid-configuration", "/{path:.*}/.well-known/oauth-authorization-server"];
    for place in places {
        app.service(open_resource(place, "GET").route(web::get().to(metadata_of_path)));
    }
}

async fn metadata(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let issuer = Issuer::of(&state).ok_or_else(Problem::not_found)?;
    Ok(issuer.answer(&state))
}

async fn metadata_of_path(
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let issuer = Issuer::of(&state).filter(|issuer| issuer.path == *path).ok_or_else(Problem::not_found)?;
    Ok(issuer.answer(&state))
}

/// An issuer that is a URL.
struct Issuer<'a> {
    /// The issuer as it stands in tokens.
    text: &'a str,
    /// Its path, without the leading and the trailing slash.
    path: String,
}

impl<'a> Issuer<'a> {
    fn of(state: &'a AppState) -> Option<Self> {
        let text = state.config.tokens.issuer.as_str();
        let address: Uri = text.parse().ok()?;
        let is_web = matches!(address.scheme_str(), Some("http" | "https"));
        let is_plain = address.query().is_none() && !text.contains('#');
        (is_web && is_plain && address.authority().is_some())
            .then(|| Self { text, path: address.path().trim_matches('/').to_owned() })
    }

    fn answer(&self, state: &AppState) -> HttpResponse {
        let at = |path: &str| format!("{}{path}", self.text.trim_end_matches('/'));
        let algorithm = format!("{:?}", state.config.tokens.algorithm);
        HttpResponse::Ok().json(json!({
            "issuer": self.text,
            "jwks_uri": at("/.well-known/jwks.json"),
            "introspection_endpoint": at("/introspect"),
            "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
            "revocation_endpoint": at("/revoke"),
            "revocation_endpoint_auth_methods_supported": ["none"],
            "response_types_supported": [],
            "grant_types_supported": [],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [algorithm],
            "claims_supported": [
                "iss", "aud", "sub", "sid", "role", "client_id", "iat", "exp", "jti", "auth_time", "acr", "amr"
            ],
            "acr_values_supported": ["aal1", "aal2"],
            "service_documentation": at("/docs"),
        }))
    }
}
