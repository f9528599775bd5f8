//! `GET /.well-known/jwks.json`: the public keys (RFC 7517); an empty set with a symmetric algorithm.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};

use super::open_resource;
use super::state::AppState;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(open_resource("/.well-known/jwks.json", "GET").route(web::get().to(keys)));
}

async fn keys(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .json(state.access_tokens.keyring().jwks())
}
