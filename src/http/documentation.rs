//! `GET /openapi.json` and `/docs`: the interface described, and a page to read it on that needs no network.

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::problem::Problem;
use super::resource;

/// The interface, described (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("openapi.json");

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    // Relative to the page, so that it works behind the gateway's prefix too.
    let page = std::sync::Arc::new(Config::from("../openapi.json"));
    scope
        .app_data(web::Data::from(page))
        .service(resource("/openapi.json", "GET").route(web::get().to(openapi)))
        .service(resource("/docs", "GET").route(web::get().to(to_page)))
        .service(resource("/docs/{file:.*}", "GET").route(web::get().to(page_file)));
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(OPENAPI)
}

/// The page's own links are relative, so its address must end in a slash.
async fn to_page() -> HttpResponse {
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, "docs/")).finish()
}

async fn page_file(
    file: web::Path<String>,
    config: web::Data<Config<'static>>,
) -> Result<HttpResponse, Problem> {
    match utoipa_swagger_ui::serve(&file, config.into_inner()) {
        Ok(Some(file)) => Ok(HttpResponse::Ok()
            .insert_header((CACHE_CONTROL, "public, max-age=300"))
            .content_type(file.content_type)
            .body(file.bytes.into_owned())),
        Ok(None) | Err(_) => Err(Problem::not_found()),
    }
}
