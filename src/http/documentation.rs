//! `GET /openapi.json` and `/docs`: the description of the API, and a page to read it that needs no network.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::open_resource;
use super::problem::Problem;
use super::static_file::{StaticFile, StaticFiles};

/// The description of the API (OpenAPI 3.1).
pub const OPENAPI: &str = include_str!("openapi.json");

static DOCUMENT: LazyLock<StaticFile> =
    LazyLock::new(|| StaticFile::new("application/json".to_owned(), OPENAPI.as_bytes().to_vec()));

/// The files of the documentation page.
static FILES: LazyLock<StaticFiles> = LazyLock::new(StaticFiles::default);
/// Key of the page as served without the trailing slash: its relative links need a `<base>` there.
const WITHOUT_SLASH: &str = "../docs";

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope
        .service(open_resource("/openapi.json", "GET").route(web::get().to(openapi)))
        .service(open_resource("/docs", "GET").route(web::get().to(docs)))
        .service(open_resource("/docs/{file:.*}", "GET").route(web::get().to(page_file)));
}

async fn openapi(request: HttpRequest) -> HttpResponse {
    answer(&request, &DOCUMENT)
}

async fn docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let file = FILES.get(WITHOUT_SLASH, || {
        let (content_type, bytes) = read("")?;
        let text = String::from_utf8_lossy(&bytes).replacen("<head>", "<head><base href=\"docs/\">", 1);
        Some(StaticFile::new(content_type, text.into_bytes()))
    });
    Ok(answer(&request, &*file.ok_or_else(Problem::not_found)?))
}

async fn page_file(request: HttpRequest, path: web::Path<String>) -> Result<HttpResponse, Problem> {
    let file = FILES.get(&path, || read(&path).map(|(kind, bytes)| StaticFile::new(kind, bytes)));
    Ok(answer(&request, &*file.ok_or_else(Problem::not_found)?))
}

/// Type and content of a file of the page.
fn read(path: &str) -> Option<(String, Vec<u8>)> {
    // Relative to the page, so that it works behind the gateway's prefix too.
    let config = Arc::new(Config::from("../openapi.json"));
    let file = utoipa_swagger_ui::serve(path, config).ok().flatten()?;
    Some((file.content_type, file.bytes.into_owned()))
}

fn answer(request: &HttpRequest, file: &StaticFile) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, "public, max-age=300"));
    file.answer(request, answer)
}
