//! `POST /password/reset`: the same answer, in the same time, for an address with an account and for one without. Who has one is
//! looked up when the mail is sent.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::codes::{self, Asking, parse_locale};
use super::extract::client::Client;
use super::extract::json::{Fields, JsonObject};
use super::limits::note_usage;
use super::problem::Problem;
use super::state::AppState;
use super::{needs, resource};
use crate::config::Feature;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::user::Email;

#[derive(Deserialize)]
struct Body {
    email: Option<String>,
    locale: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let ask = resource("/password/reset", "POST").guard(needs(Feature::Mail));
    scope.service(ask.route(web::post().to(ask_for_reset)));
}

async fn ask_for_reset(
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<Body>,
) -> Result<HttpResponse, Problem> {
    let (email, locale) = parse(body.0)?;
    state.shed_load()?;
    note_usage(&http, state.limits.mail_request(client.address, state.now()).await?);
    let asking = Asking {
        purpose: CodePurpose::PasswordReset,
        kind: MailKind::PasswordReset,
        address: email.as_str().to_owned(),
        user: None,
        locale,
        payload: None,
        notices: Vec::new(),
    };
    Ok(codes::ask(&state, &client, asking).await?.answer())
}

fn parse(body: Body) -> Result<(Email, Option<String>), Problem> {
    let mut fields = Fields::default();
    let email = fields.required("email", body.email, |text| Email::parse(&text));
    let locale = fields.optional("locale", body.locale, parse_locale);
    match email {
        Some(email) if fields.are_fit() => Ok((email, locale)),
        _ => Err(fields.into_problem()),
    }
}
