//! `/admin/users`: finds, creates, shows, changes and deletes accounts.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::precondition::Precondition;
use super::recovery::password_code_of;
use super::view::{UserView, user_answer};
use super::{cursor, invalid, limit, operators, user_id};
use crate::actors::operators::{Edit, entity_tag};
use crate::clock::new_uuid;
use crate::config::Feature;
use crate::domain::ids::UserId;
use crate::domain::mail::{CodePurpose, MailKind};
use crate::domain::password_hash::PasswordHash;
use crate::domain::policy::OwnPolicy;
use crate::domain::user::{Email, FieldProblem, Role, User, parse_name};
use crate::http::codes;
use crate::http::completing;
use crate::http::extract::client::Client;
use crate::http::extract::form::Parameters;
use crate::http::extract::json::{Fields, JsonObject};
use crate::http::extract::operator::{Operator, UsersDelete, UsersRead, UsersWrite};
use crate::http::problem::{Code, Problem};
use crate::http::state::AppState;
use crate::storage::accounts::Account;
use crate::storage::pages::{EmailFilter, UserPage, UserRows, UserStatus};
use crate::telemetry::audit::AuditEvent;

const LIST: &str = "users";
/// Highest cost of an imported hash: checking a costlier one would delay everybody's logins.
const COST_MAX: u32 = 14;

type Members = JsonObject<Map<String, Value>>;

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let users = completing("/admin/users", "GET, POST");
    scope.service(users.route(web::get().to(list)).route(web::post().to(create)));
    let user = completing("/admin/users/{id}", "GET, PATCH, DELETE");
    let user = user.route(web::get().to(show)).route(web::patch().to(change));
    scope.service(user.route(web::delete().to(delete)));
}

async fn list(
    _: Operator<UsersRead>,
    request: HttpRequest,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let query = Parameters::parse(request.query_string())?;
    let limit = limit(&query)?;
    let role = query.one("role")?.map(|role| Role::parse(role).ok_or_else(|| invalid("role"))).transpose()?;
    let after = cursor::read(LIST, &query)?.map(|(time, id)| (time, UserId::new(id)));
    let (email, status) = (query.one("email")?.map(email_filter), status(&query)?);
    let page = UserPage { email, role, status, after, limit };
    let UserRows { users, next } = state.store().page_users(page).await?;
    let next = next.map(|(created_at, id)| cursor::write(LIST, created_at, id.uuid()));
    let users = state.store().with_latest_activity(users).await?;
    let users: Vec<_> = users.iter().map(UserView::new).collect();
    Ok(HttpResponse::Ok().json(json!({"users": users, "nextCursor": next})))
}

fn email_filter(text: &str) -> EmailFilter {
    match text.strip_suffix('*') {
        Some(prefix) => EmailFilter::Prefix(Email::lookup_key(prefix)),
        None => EmailFilter::Exact(Email::lookup_key(text)),
    }
}

fn status(query: &Parameters) -> Result<Option<UserStatus>, Problem> {
    Ok(match query.one("status")? {
        None => None,
        Some("active") => Some(UserStatus::Active),
        Some("disabled") => Some(UserStatus::Disabled),
        Some("unverified") => Some(UserStatus::Unverified),
        Some(_) => return Err(invalid("status")),
    })
}

async fn show(
    caller: Operator<UsersRead>,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = operators(&state, &caller).find(user_id(&path)?).await?;
    shown(&state, user).await
}

/// The account with the latest activity of any of its sessions, which its row gets with the next change.
async fn shown(state: &AppState, user: User) -> Result<HttpResponse, Problem> {
    let users = state.store().with_latest_activity(vec![user]).await?;
    let user = users.first().ok_or_else(Problem::unavailable_for_now)?;
    Ok(user_answer(StatusCode::OK, user))
}

async fn change(
    caller: Operator<UsersWrite>,
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: Members,
) -> Result<HttpResponse, Problem> {
    let id = user_id(&path)?;
    let precondition = Precondition::of(&request);
    if precondition == Precondition::None {
        return Err(Problem::new(Code::PreconditionRequired));
    }
    let edit = edit_of(body.0)?;
    let operators = operators(&state, &caller);
    let present = entity_tag(&operators.find(id).await?);
    let edited = operators.edit(id, &edit, precondition.expected(&present).as_deref()).await?;
    shown(&state, edited.user).await
}

async fn delete(
    caller: Operator<UsersDelete>,
    request: HttpRequest,
    state: web::Data<AppState>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let (id, operators) = (user_id(&path)?, operators(&state, &caller));
    let present = entity_tag(&operators.find(id).await?);
    operators.delete(id, Precondition::of(&request).expected(&present).as_deref()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A member that may be absent or null, and must otherwise be of that type.
fn member<T>(
    members: &mut Map<String, Value>,
    name: &str,
    read: fn(&Value) -> Option<T>,
) -> Result<Option<Option<T>>, Problem> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(value) => {
            read(&value).map(|value| Some(Some(value))).ok_or_else(|| Problem::new(Code::InvalidJson))
        }
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn edit_of(mut members: Map<String, Value>) -> Result<Edit, Problem> {
    let mut fields = Fields::default();
    let name = member(&mut members, "name", text)?;
    let name = name.and_then(|name| fields.required("name", name, |name| parse_name(&name)));
    let role = member(&mut members, "role", text)?;
    let role = role.and_then(|role| fields.required("role", role, |role| parse_role(&role)));
    let disabled = member(&mut members, "disabled", Value::as_bool)?;
    let disabled = disabled.and_then(|disabled| fields.required("disabled", disabled, Ok));
    let required = member(&mut members, "passwordChangeRequired", Value::as_bool)?;
    let password_change_required =
        required.and_then(|required| fields.required("passwordChangeRequired", required, Ok));
    let policy = member(&mut members, "policy", |value| value.is_object().then(|| value.clone()))?;
    let policy = match policy {
        Some(Some(policy)) => fields.required("policy", Some(policy), parse_policy).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    match fields.are_fit() {
        true => Ok(Edit { name, role, disabled, password_change_required, policy }),
        false => Err(fields.into_problem()),
    }
}

fn parse_role(text: &str) -> Result<Role, FieldProblem> {
    Role::parse(text).ok_or(FieldProblem::Invalid)
}

fn parse_policy(value: Value) -> Result<OwnPolicy, FieldProblem> {
    serde_json::from_value(value).map_err(|_| FieldProblem::Invalid)
}

async fn create(
    caller: Operator<UsersWrite>,
    client: Client,
    state: web::Data<AppState>,
    body: Members,
) -> Result<HttpResponse, Problem> {
    let (account, invite) = account_of(&state, body.0)?;
    let user = account.user.clone();
    let code = match invite {
        true => {
            let asking = password_code_of(&user, CodePurpose::Invitation, MailKind::Invitation);
            Some(codes::prepare(&state, &client, asking).await.code)
        }
        false => None,
    };
    if !state.registry.add_account(account, code).await? {
        let is_address = state.store().lookup_account(user.email.as_str().to_owned()).await?.is_some();
        return Err(Problem::new(if is_address { Code::EmailTaken } else { Code::IdTaken }));
    }
    AuditEvent::SignedUp(user.id).log_by(&caller.principal.to_string());
    if invite {
        codes::stored(&state, CodePurpose::Invitation);
    }
    let mut answer = user_answer(StatusCode::CREATED, &user);
    if let Ok(location) = format!("/admin/users/{}", user.id).parse() {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// Parses an account. A plain password is not accepted: an operator neither sees nor chooses one.
fn account_of(state: &AppState, mut members: Map<String, Value>) -> Result<(Account, bool), Problem> {
    let mut fields = Fields::default();
    let id = member(&mut members, "id", text)?.flatten();
    let id = fields.optional("id", id, |id| Uuid::parse_str(&id).map_err(|_| FieldProblem::Invalid));
    let name = member(&mut members, "name", text)?.flatten();
    let name = fields.required("name", name, |name| parse_name(&name));
    let email = member(&mut members, "email", text)?.flatten();
    let email = fields.required("email", email, |email| Email::parse(&email));
    let role = member(&mut members, "role", text)?.flatten();
    let role = fields.optional("role", role, |role| parse_role(&role)).unwrap_or_default();
    let verified = member(&mut members, "emailVerified", Value::as_bool)?.flatten().unwrap_or(false);
    let hash = member(&mut members, "passwordHash", text)?.flatten();
    let most = COST_MAX.max(state.config.password.bcrypt_cost);
    let hash = fields.optional("passwordHash", hash, |hash| PasswordHash::parse_up_to(&hash, most));
    let locale = member(&mut members, "locale", text)?.flatten();
    let locale = fields.optional("locale", locale, |locale| parse_locale(&locale));
    let invite = member(&mut members, "invite", Value::as_bool)?.flatten().unwrap_or(false);
    let mails = state.config.features().contains(&Feature::Mail);
    fields.optional("invite", Some(invite), |invite| {
        if invite && !mails { Err(FieldProblem::Invalid) } else { Ok(()) }
    });
    let (Some(name), Some(email), true) = (name, email, fields.are_fit()) else {
        return Err(fields.into_problem());
    };
    let now = state.now();
    let mut user = User::new(UserId::new(id.unwrap_or_else(new_uuid)), name, email, role, now);
    user.email_verified_at = verified.then_some(now);
    user.locale = locale;
    Ok((Account { user, password_hash: hash.unwrap_or_else(PasswordHash::none) }, invite))
}

/// A language, and perhaps a region: `de`, `en-GB` (RFC 5646).
fn parse_locale(text: &str) -> Result<String, FieldProblem> {
    let is_one = text
        .split('-')
        .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if is_one && text.len() <= 35 { Ok(text.to_owned()) } else { Err(FieldProblem::Invalid) }
}
