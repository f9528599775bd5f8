//! Account recovery: a password reset by mail, and the removal of second factors. An operator neither sees
//! nor chooses a password.

use actix_web::{HttpResponse, web};

use super::{operators, user_id};
use crate::config::Feature;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::user::User;
use crate::http::codes::{self, Asking};
use crate::http::extract::client::Client;
use crate::http::extract::operator::{Operator, UsersWrite};
use crate::http::problem::Problem;
use crate::http::state::AppState;
use crate::http::{completing, needs};
use crate::telemetry::audit::AuditEvent;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let reset = completing("/admin/users/{id}/password-reset", "POST").guard(needs(Feature::Mail));
    scope.service(reset.route(web::post().to(mail_reset)));
    scope.service(completing("/admin/users/{id}/factors", "DELETE").route(web::delete().to(remove_factors)));
}

async fn mail_reset(
    caller: Operator<UsersWrite>,
    client: Client,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = operators(&state, &caller).find(user_id(&path)?).await?;
    let asking = password_code_of(&user, CodePurpose::PasswordReset, MailKind::PasswordReset);
    let asked = codes::ask(&state, &client, asking).await?;
    let act = AuditEvent::CodeMailed(user.id, MailKind::PasswordReset.as_str());
    act.log_by(&caller.principal.to_string());
    Ok(asked.answer())
}

/// The code with which a person sets a password.
pub(super) fn password_code_of(user: &User, purpose: CodePurpose, kind: MailKind) -> Asking {
    Asking {
        purpose,
        kind,
        address: user.email.as_str().to_owned(),
        user: Some(user.id),
        locale: user.locale.clone(),
        payload: None,
        notices: Vec::new(),
    }
}

async fn remove_factors(
    caller: Operator<UsersWrite>,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (id, operators) = (user_id(&path)?, operators(&state, &caller));
    operators.find(id).await?;
    operators.remove_factors(id).await?;
    Ok(HttpResponse::NoContent().finish())
}
