//! `GET /metrics`: Prometheus text.

use actix_web::{HttpRequest, HttpResponse, web};

use super::open_resource;
use super::state::AppState;
use super::static_file::compressed_answer;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(open_resource("/metrics", "GET").route(web::get().to(metrics)));
}

async fn metrics(request: HttpRequest, state: web::Data<AppState>) -> HttpResponse {
    let (open, idle) = state.store().connections();
    let idle = i64::try_from(idle).unwrap_or(i64::MAX);
    let pool = &state.metrics().database_pool;
    pool.with_label_values(&["idle"]).set(idle);
    pool.with_label_values(&["in_use"]).set(i64::from(open).saturating_sub(idle));
    state
        .metrics()
        .revocation_followers
        .set(i64::try_from(state.revocations.followers()).unwrap_or(i64::MAX));
    let mut answer = HttpResponse::Ok();
    answer.content_type("text/plain; version=0.0.4; charset=utf-8");
    compressed_answer(&request, answer, state.metrics().render())
}
