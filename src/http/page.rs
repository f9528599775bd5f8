//! `/` and `/assets/…`: the devices page, out of the binary. It speaks to the service like any other client.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;
use super::resource;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

/// Nothing inline, nothing from elsewhere; not to be framed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(resource("/", "GET").route(web::get().to(page)))
        .service(resource("/assets/{file:.*}", "GET").route(web::get().to(asset)));
}

async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    file(&request, "index.html")
}

async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    file(&request, &format!("assets/{name}"))
}

/// Names carry no version, so browsers ask each time, and are told when nothing changed.
fn file(request: &HttpRequest, name: &str) -> Result<HttpResponse, Problem> {
    let file = Files::get(name).ok_or_else(Problem::not_found)?;
    let tag = entity_tag(&file);
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((ETAG, tag))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY));
    if known {
        return Ok(answer.finish());
    }
    Ok(answer.content_type(content_type(&file)).body(file.data.into_owned()))
}

fn content_type(file: &EmbeddedFile) -> String {
    match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}

fn entity_tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}
