//! `POST /reauthenticate`: the person proves once more who they are; the session is fresh from then on.

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::extract::session::Authenticated;
use super::problem::{Code, Problem};
use super::refresh::{self, session_over};
use super::state::AppState;
use super::{own_password, resource};
use crate::actors::messages::ActorError;
use crate::domain::authentication::Methods;
use crate::domain::command::{Reauthenticate, ReauthenticateRefusal};
use crate::domain::time::Timestamp;
use crate::security::password::Password;
use crate::telemetry::serving::run_to_completion;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    password: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(resource("/reauthenticate", "POST").route(web::post().to(reauthenticate)));
}

async fn reauthenticate(
    caller: Authenticated,
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let password = fields.required("password", body.0.password, Password::parse_attempt);
    let Some(password) = password else { return Err(fields.into_problem()) };
    state.shed_load()?;
    let user = own_password::check(&state, &client, caller.user(), password).await?;
    answer(&state, &caller, Methods::PASSWORD, user.credentials_changed_at).await
}

/// Notes what was shown, and answers with new tokens. `shown` is when the credentials that were shown were last changed.
pub(super) async fn answer(
    state: &web::Data<AppState>,
    caller: &Authenticated,
    methods: Methods,
    shown: Option<Timestamp>,
) -> Result<HttpResponse, Problem> {
    let (user, command) = (caller.user(), Reauthenticate { session: caller.session(), methods, shown });
    let registry = state.registry.clone();
    let asking = run_to_completion(async move { registry.ask(user, command).await });
    match asking.await.unwrap_or(Err(ActorError::NoAnswer)).map_err(Problem::for_token)? {
        Ok(refreshed) => {
            let delivery = refreshed.session.profile.delivery;
            refresh::answer(state, user, &refreshed, delivery, None)
        }
        Err(ReauthenticateRefusal::Outdated) => Err(Problem::new(Code::WrongPassword)),
        Err(ReauthenticateRefusal::SecondFactorNeeded) => {
            Err(Problem::fresh_authentication_required(state.config.sessions.fresh_auth, true))
        }
        Err(ReauthenticateRefusal::Over(over)) => {
            Err(session_over(state, user, over).await?.with_challenge())
        }
    }
}
