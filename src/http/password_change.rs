//! `POST /password/change`: a new password; the session in which it is set continues, with new tokens.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use uuid::Uuid;

use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::extract::session::Authenticated;
use super::notice::notice;
use super::problem::{Code, Problem};
use super::refresh::{self, session_over};
use super::state::AppState;
use super::{completing, new_password, own_password};
use crate::actors::messages::ActorError;
use crate::domain::command::{ChangePassword, ChangeRefusal, PasswordChanged};
use crate::domain::ids::{SessionToken, UserId};
use crate::domain::mail::MailKind;
use crate::security::password::Password;
use crate::telemetry::audit::AuditEvent;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    current_password: Option<String>,
    new_password: Option<String>,
    end_other_sessions: Option<bool>,
}

struct Request {
    current: Password,
    new: Password,
    end_others: bool,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    scope.service(completing("/password/change", "POST").route(web::post().to(change)));
}

async fn change(
    caller: Authenticated,
    state: web::Data<AppState>,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let request = Request::try_from(body.0)?;
    state.shed_load()?;
    let user = own_password::check(&state, &client, caller.user(), request.current).await?;
    let person = [user.name.as_str(), user.email.as_str()];
    new_password::check(&state, "newPassword", &request.new, &person).await?;
    let command = ChangePassword {
        session: caller.session(),
        token: SessionToken::new(Uuid::new_v4()),
        password: state.passwords.hash(request.new).await?,
        shown: user.credentials_changed_at,
        end_others: request.end_others,
        mails: notice(&state, &client, MailKind::PasswordChanged, user.id).into_iter().collect(),
    };
    match ask(&state, user.id, command).await.map_err(Problem::for_token)? {
        Ok(PasswordChanged { refreshed, terminated }) => {
            let delivery = refreshed.session.profile.delivery;
            refresh::answer(&state, user.id, &refreshed, delivery, Some(terminated))
        }
        Err(ChangeRefusal::Outdated) => Err(Problem::new(Code::WrongPassword)),
        Err(ChangeRefusal::Over(over)) => Err(session_over(&state, user.id, over).await?.with_challenge()),
    }
}

async fn ask(
    state: &AppState,
    user: UserId,
    command: ChangePassword,
) -> Result<Result<PasswordChanged, ChangeRefusal>, ActorError> {
    let changed = state.registry.ask(user, command).await;
    if let Ok(Ok(_)) = &changed {
        AuditEvent::PasswordChanged(user).record(state.metrics());
    }
    changed
}

impl TryFrom<Body> for Request {
    type Error = Problem;

    fn try_from(body: Body) -> Result<Self, Problem> {
        let mut fields = Fields::default();
        let current = fields.required("currentPassword", body.current_password, Password::parse_attempt);
        let new = fields.required("newPassword", body.new_password, Password::parse_new);
        match (current, new) {
            (Some(current), Some(new)) => {
                Ok(Self { current, new, end_others: body.end_other_sessions.unwrap_or(true) })
            }
            _ => Err(fields.into_problem()),
        }
    }
}
