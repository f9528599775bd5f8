//! `/me`: the caller's account; changing its name and language.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::codes::parse_locale;
use super::completing;
use super::extract::json::{Fields, JsonObject};
use super::extract::session::Authenticated;
use super::personal_data;
use super::problem::{Code, Problem};
use super::state::AppState;
use super::view::UserView;
use crate::domain::account_change::AccountChange;
use crate::domain::command::ChangeAccount;
use crate::domain::user::{User, parse_name};

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    locale: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let me = completing("/me", "GET, PATCH, DELETE");
    let me = me.route(web::get().to(show)).route(web::patch().to(change));
    scope.service(me.route(personal_data::deletion()));
}

async fn show(caller: Authenticated, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    state.shed_load()?;
    answer(&caller, &state).await
}

async fn change(
    caller: Authenticated,
    state: web::Data<AppState>,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let name = fields.optional("name", body.0.name, |text| parse_name(&text));
    let locale = fields.optional("locale", body.0.locale, parse_locale);
    if !fields.are_fit() {
        return Err(fields.into_problem());
    }
    state.shed_load()?;
    // What is the same already is no change.
    let user = account(&caller, &state).await?;
    let name = name.filter(|name| *name != user.name);
    let locale = locale.filter(|locale| user.locale.as_ref() != Some(locale));
    if name.is_some() || locale.is_some() {
        let change = AccountChange { name, locale: locale.map(Some), ..AccountChange::default() };
        let command = ChangeAccount::by_user(change);
        state.registry.ask(caller.user(), command).await.map_err(Problem::for_token)?;
    }
    answer(&caller, &state).await
}

async fn account(caller: &Authenticated, state: &AppState) -> Result<User, Problem> {
    let user = state.store().lookup_user(caller.user()).await?;
    user.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())
}

async fn answer(caller: &Authenticated, state: &AppState) -> Result<HttpResponse, Problem> {
    let user = account(caller, state).await?;
    let last_activity_at = caller.0.snapshot.last_activity_at();
    Ok(HttpResponse::Ok().json(json!({"user": UserView::new(&user, last_activity_at)})))
}
