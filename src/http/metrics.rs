//! `GET /metrics`: Prometheus text.

use actix_web::{HttpResponse, web};

use super::resource;
use super::state::AppState;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/metrics", "GET").route(web::get().to(metrics)));
}

async fn metrics(state: web::Data<AppState>) -> HttpResponse {
    let (open, idle) = state.registry.store().connections();
    let idle = i64::try_from(idle).unwrap_or(i64::MAX);
    let pool = &state.metrics().database_pool;
    pool.with_label_values(&["idle"]).set(idle);
    pool.with_label_values(&["in_use"]).set(i64::from(open).saturating_sub(idle));
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(state.metrics().render())
}
