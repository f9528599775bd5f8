//! `GET /me`: the user.

use actix_web::{HttpResponse, web};
use serde_json::json;

use super::extract::session::Authenticated;
use super::problem::{Code, Problem};
use super::resource;
use super::state::AppState;
use super::view::UserView;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/me", "GET").route(web::get().to(me)));
}

async fn me(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.shed_load()?;
    let user = state.registry.store().lookup_user(caller.user()).await?;
    let user = user.ok_or_else(|| Problem::new(Code::SessionTerminated))?;
    let last_activity_at = caller.0.snapshot.last_activity_at();
    Ok(HttpResponse::Ok().json(json!({"user": UserView::new(&user, last_activity_at)})))
}
