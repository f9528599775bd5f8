//! `/` and `/assets/…`: the devices page; `/admin` and `/admin/assets/…`: that of operators. Both come out of the binary, and
//! speak to the service like any other client.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;
use super::resource;
use super::static_file::{StaticFile, StaticFiles};

#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

static FILES: LazyLock<StaticFiles> = LazyLock::new(StaticFiles::default);

/// Nothing inline, nothing from elsewhere; not to be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(resource("/", "GET").route(web::get().to(page)))
        .service(resource("/assets/{file:.*}", "GET").route(web::get().to(asset)))
        .service(resource("/admin", "GET").route(web::get().to(operators_page)))
        .service(resource("/admin/assets/{file:.*}", "GET").route(web::get().to(operators_asset)));
}

async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "index.html")
}

async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    file(&request, &format!("assets/{name}"))
}

async fn operators_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "admin/index.html")
}

async fn operators_asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    file(&request, &format!("admin/assets/{name}"))
}

/// Names carry no version, so browsers ask each time, and are told when nothing changed.
fn file(request: &HttpRequest, name: &str) -> Result<HttpResponse, Problem> {
    let file = FILES.get(name, || {
        let file = Files::get(name)?;
        Some(StaticFile::new(content_type(&file), file.data.into_owned()))
    });
    let file = file.ok_or_else(Problem::not_found)?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, "no-cache")).insert_header((CONTENT_SECURITY_POLICY, POLICY));
    Ok(file.answer(request, answer))
}

fn content_type(file: &EmbeddedFile) -> String {
    match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}
