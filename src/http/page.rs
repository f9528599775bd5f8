//! `/`, `/reset-password` and `/assets/…`: the devices page; `/admin` and `/admin/assets/…`: the operators'
//! page. Both are embedded in the binary, and use the API like any other client. Links in mails lead to
//! `/reset-password` if `APP_URL` is the service itself.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::cookie::RefreshCookies;
use super::open_resource;
use super::problem::Problem;
use super::state::AppState;
use super::static_file::{StaticFile, StaticFiles};

#[derive(RustEmbed)]
#[folder = "web/"]
struct Files;

static FILES: LazyLock<StaticFiles> = LazyLock::new(StaticFiles::default);

/// Nothing inline, nothing from other origins; no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(open_resource("/", "GET").route(web::get().to(page)))
        .service(open_resource("/reset-password", "GET").route(web::get().to(page)))
        .service(open_resource("/assets/{file:.*}", "GET").route(web::get().to(asset)))
        .service(open_resource("/admin", "GET").route(web::get().to(operators_page)))
        .service(open_resource("/admin/assets/{file:.*}", "GET").route(web::get().to(operators_asset)));
}

const PAGE: &str = "index.html";
/// The page's hint about the browser's session, with and without a refresh cookie: without one the page need
/// not ask the service.
const SESSION_HINT: [&str; 2] =
    [r#"<meta name="auth-session" content="unknown">"#, r#"<meta name="auth-session" content="none">"#];

async fn page(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let shown = RefreshCookies::of(request.headers(), &state.config.cookie);
    let page = if shown.were_sent() {
        embedded(PAGE)
    } else {
        FILES.get("index.html without a session", || {
            let file = Files::get(PAGE)?;
            let text = String::from_utf8_lossy(&file.data).replace(SESSION_HINT[0], SESSION_HINT[1]);
            Some(StaticFile::new(content_type(&file), text.into_bytes()))
        })
    };
    answer(&request, page)
}

async fn asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    answer(&request, embedded(&format!("assets/{name}")))
}

fn embedded(name: &str) -> Option<Arc<StaticFile>> {
    FILES.get(name, || {
        let file = Files::get(name)?;
        Some(StaticFile::new(content_type(&file), file.data.into_owned()))
    })
}

async fn operators_page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    answer(&request, embedded("admin/index.html"))
}

async fn operators_asset(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    answer(&request, embedded(&format!("admin/assets/{name}")))
}

/// File names carry no version, so browsers revalidate each time and get 304 if nothing changed.
fn answer(request: &HttpRequest, file: Option<Arc<StaticFile>>) -> Result<HttpResponse, Problem> {
    let file = file.ok_or_else(Problem::not_found)?;
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CACHE_CONTROL, "no-cache"))
        .append_header((VARY, "Cookie"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY));
    Ok(file.answer(request, answer))
}

fn content_type(file: &EmbeddedFile) -> String {
    match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    }
}
