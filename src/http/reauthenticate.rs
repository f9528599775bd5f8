//! `POST /reauthenticate`: the person authenticates once more; the session is fresh from then on.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::extract::session::Authenticated;
use super::login_continue::{check_unspent, invalid_ticket, missing, spend, verify};
use super::problem::{Code, Problem};
use super::proof::{show_code, show_passkey, show_recovery_code};
use super::refresh::{self, session_over};
use super::state::AppState;
use super::{completing, own_password};
use crate::domain::authentication::Methods;
use crate::domain::command::{Reauthenticate, ReauthenticateRefusal};
use crate::domain::sign_in::{Factor, Shown};
use crate::domain::time::Timestamp;
use crate::security::password::Password;
use crate::security::webauthn::CredentialJson;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    password: Option<String>,
    code: Option<String>,
    recovery_code: Option<String>,
    login_ticket: Option<String>,
    credential: Option<CredentialJson>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(completing("/reauthenticate", "POST").route(web::post().to(reauthenticate)));
}

async fn reauthenticate(
    caller: Authenticated,
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let mut body = body.0;
    state.shed_load()?;
    let known = state.store().lookup_user(caller.user()).await?;
    let known = known.ok_or_else(|| Problem::new(Code::SessionTerminated).with_challenge())?;
    let Some(password) = body.password.take() else {
        let factor = show_factor(&state, &http, &client, &caller, body).await?;
        let shown = caller.0.snapshot.authentication(caller.session());
        let before = shown.map_or(factor.methods(), |shown| shown.methods);
        let methods = before.with(factor.methods()).with(Methods::MULTIPLE_FACTORS);
        return answer(&state, &caller, methods, known.credentials_changed_at).await;
    };
    let mut fields = Fields::default();
    let password = fields.required("password", Some(password), Password::parse_attempt);
    let Some(password) = password else { return Err(fields.into_problem()) };
    let user = own_password::check(&state, &client, caller.user(), password).await?;
    let shows_more = body.code.is_some() || body.recovery_code.is_some() || body.credential.is_some();
    let shown = match shows_more {
        true => Shown::PASSWORD.and(show_factor(&state, &http, &client, &caller, body).await?),
        false => Shown::PASSWORD,
    };
    answer(&state, &caller, shown.methods(), user.credentials_changed_at).await
}

/// Checks a second factor, or a passkey with a challenge of `/passkeys/login/options`.
async fn show_factor(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
    caller: &Authenticated,
    body: Body,
) -> Result<Factor, Problem> {
    let user = caller.user();
    match (body.code, body.recovery_code, body.credential) {
        (Some(code), _, _) => show_code(state, client, user, &code).await,
        (None, Some(code), _) => show_recovery_code(state, client, user, &code).await,
        (None, None, Some(credential)) => {
            let ticket = body.login_ticket.ok_or_else(|| missing("loginTicket"))?;
            let claims = verify(state, &ticket)?;
            if claims.progress.user.is_some_and(|owner| owner != user) {
                return Err(invalid_ticket());
            }
            check_unspent(state, &claims).await?;
            let factor = show_passkey(state, http, client, user, &credential, claims.id).await?;
            spend(state, &claims).await?;
            Ok(factor)
        }
        (None, None, None) => Err(missing("password")),
    }
}

/// Records the proof in the session, and responds with new tokens. `shown` is when the presented credentials
/// were last changed.
pub(super) async fn answer(
    state: &web::Data<AppState>,
    caller: &Authenticated,
    methods: Methods,
    shown: Option<Timestamp>,
) -> Result<HttpResponse, Problem> {
    let (user, command) = (caller.user(), Reauthenticate { session: caller.session(), methods, shown });
    match state.registry.ask(user, command).await.map_err(Problem::for_token)? {
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
