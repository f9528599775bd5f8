//! `GET /openapi.json` and `/docs`: the interface described, and a page to read it on that needs no network.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::{Config, SwaggerFile};

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
        .service(resource("/docs", "GET").route(web::get().to(docs)))
        .service(resource("/docs/{file:.*}", "GET").route(web::get().to(page_file)));
}

async fn openapi() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type("application/json")
        .body(OPENAPI)
}

/// The page. Its links are relative to `docs/`, which a client that asked without the slash would not know.
async fn docs(config: web::Data<Config<'static>>) -> Result<HttpResponse, Problem> {
    let page = file("", config)?;
    let text = String::from_utf8_lossy(&page.bytes).replacen("<head>", "<head><base href=\"docs/\">", 1);
    Ok(answer(page.content_type, text.into_bytes()))
}

async fn page_file(
    path: web::Path<String>,
    config: web::Data<Config<'static>>,
) -> Result<HttpResponse, Problem> {
    let file = file(&path, config)?;
    Ok(answer(file.content_type, file.bytes.into_owned()))
}

fn file(path: &str, config: web::Data<Config<'static>>) -> Result<SwaggerFile<'static>, Problem> {
    utoipa_swagger_ui::serve(path, config.into_inner()).ok().flatten().ok_or_else(Problem::not_found)
}

fn answer(content_type: String, content: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .content_type(content_type)
        .body(content)
}
