//! `/passkeys`: options and result of a registration, names, removal; and the options of a sign-in.
//!
//! A request for options stores nothing and discloses nothing about who has an account.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::caller::FreshCaller;
use super::enrolment::{NewPasskey, add_passkey, missing};
use super::view::PasskeyView;
use super::{no_such_factor, removal, removed};
use crate::config::{Feature, PasskeyConfig};
use crate::domain::sign_in::{Factor, Shown, Step};
use crate::domain::user::{User, parse_name};
use crate::http::extract::client::Client;
use crate::http::extract::json::{Fields, JsonObject, OptionalJsonObject};
use crate::http::login_continue::{check_unspent, invalid_ticket, standing, verify};
use crate::http::problem::Problem;
use crate::http::proof::passkeys;
use crate::http::sign_in::LoginOptionsBody;
use crate::http::state::AppState;
use crate::http::{completing, needs, open_resource, resource};
use crate::security::challenge::{Purpose, VALID_FOR};
use crate::security::login_ticket::LoginProgress;
use crate::security::webauthn::{Algorithm, CredentialJson};
use crate::storage::passkeys::Passkey;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TicketBody {
    login_ticket: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LoginOptionsRequest {
    login_ticket: Option<String>,
    #[serde(flatten)]
    options: LoginOptionsBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddBody {
    request_id: Option<String>,
    credential: Option<CredentialJson>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct RenameBody {
    name: Option<String>,
}

pub(super) fn configure(scope: &mut web::ServiceConfig) {
    let on = || needs(Feature::Passkeys);
    let login = open_resource("/passkeys/login/options", "POST").guard(on());
    let creation = resource("/passkeys/options", "POST").guard(on());
    let passkeys = completing("/passkeys", "POST").guard(on());
    let passkey = completing("/passkeys/{id}", "PATCH, DELETE").guard(on());
    scope
        .service(login.route(web::post().to(login_options)))
        .service(creation.route(web::post().to(options)))
        .service(passkeys.route(web::post().to(add)))
        .service(passkey.route(web::patch().to(rename)).route(web::delete().to(remove)));
}

/// Who sets up a factor.
pub(super) enum Enroller {
    /// The user of a fresh session.
    Session(User),
    /// The user of a sign-in whose next step is the enrolment, and the id of its ticket.
    SignIn(User, Uuid),
}

impl Enroller {
    /// A login ticket in the body decides, if there is one; else the session must be fresh.
    pub(super) async fn of(
        state: &web::Data<AppState>,
        http: &HttpRequest,
        ticket: Option<String>,
    ) -> Result<Self, Problem> {
        let Some(ticket) = ticket else {
            let caller = FreshCaller::by_request(http).await?;
            return caller.account(state).await.map(Self::Session);
        };
        let claims = verify(state, &ticket)?;
        if claims.progress.asked != Some(Step::Enrolment) {
            return Err(invalid_ticket());
        }
        let user = standing(state, &claims).await?;
        Ok(Self::SignIn(user, claims.id))
    }

    pub(super) fn user(&self) -> &User {
        match self {
            Self::Session(user) | Self::SignIn(user, _) => user,
        }
    }

    /// What challenges are bound to.
    fn binding(&self) -> Uuid {
        match self {
            Self::Session(user) => user.id.uuid(),
            Self::SignIn(_, ticket) => *ticket,
        }
    }
}

async fn options(
    state: web::Data<AppState>,
    http: HttpRequest,
    body: OptionalJsonObject<TicketBody>,
) -> Result<HttpResponse, Problem> {
    let config = passkeys(&state)?;
    let enroller = Enroller::of(&state, &http, body.0.and_then(|body| body.login_ticket)).await?;
    let user = enroller.user();
    let known = state.store().list_factors(user.id).await?.passkeys;
    let challenge = state.challenges.make(Purpose::Register, enroller.binding(), state.now());
    let options = creation_options(&state.config.service_name, config, user, &known, &challenge);
    Ok(HttpResponse::Ok().json(json!({"requestId": challenge, "publicKey": options})))
}

/// `PublicKeyCredentialCreationOptionsJSON`.
fn creation_options(
    service: &str,
    config: &PasskeyConfig,
    user: &User,
    known: &[Passkey],
    challenge: &str,
) -> Value {
    let algorithms = Algorithm::ALL.map(|algorithm| json!({"type": "public-key", "alg": algorithm.cose()}));
    let known: Vec<_> = known
        .iter()
        .map(|passkey| {
            let id = URL_SAFE_NO_PAD.encode(&passkey.credential_id);
            json!({"type": "public-key", "id": id, "transports": passkey.transports})
        })
        .collect();
    json!({
        "rp": {"id": config.rp_id, "name": service},
        "user": {
            "id": URL_SAFE_NO_PAD.encode(user.id.uuid().as_bytes()),
            "name": user.email.as_str(),
            "displayName": user.name,
        },
        "challenge": challenge,
        "pubKeyCredParams": algorithms,
        "timeout": milliseconds(VALID_FOR),
        "excludeCredentials": known,
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": true,
            "userVerification": "required",
        },
        "attestation": "none",
        "extensions": {"credProps": true},
    })
}

async fn login_options(
    state: web::Data<AppState>,
    body: OptionalJsonObject<LoginOptionsRequest>,
) -> Result<HttpResponse, Problem> {
    let config = passkeys(&state)?;
    let LoginOptionsRequest { login_ticket, options } = body.0.unwrap_or_default();
    let now = state.now();
    let (ticket, id) = match login_ticket {
        Some(ticket) => {
            let claims = verify(&state, &ticket)?;
            match claims.progress.asked {
                None => check_unspent(&state, &claims).await?,
                Some(Step::SecondFactor) => drop(standing(&state, &claims).await?),
                Some(_) => return Err(invalid_ticket()),
            }
            (ticket, claims.id)
        }
        None => {
            let mut fields = Fields::default();
            let options = options.read(&mut fields);
            if !fields.are_fit() {
                return Err(fields.into_problem());
            }
            let progress = LoginProgress {
                user: None,
                shown: Shown::default(),
                asked: None,
                credentials: String::new(),
                enrolled: false,
                mail_request: None,
                options,
            };
            let ticket = state.login_tickets.sign(progress, now).map_err(Problem::unavailable)?;
            let claims = verify(&state, ticket.expose())?;
            (ticket.expose().to_owned(), claims.id)
        }
    };
    let options = json!({
        "challenge": state.challenges.make(Purpose::Authenticate, id, now),
        "timeout": milliseconds(VALID_FOR),
        "rpId": config.rp_id,
        "userVerification": "required",
    });
    Ok(HttpResponse::Ok().json(json!({"loginTicket": ticket, "publicKey": options})))
}

async fn add(
    caller: FreshCaller,
    state: web::Data<AppState>,
    http: HttpRequest,
    client: Client,
    body: JsonObject<AddBody>,
) -> Result<HttpResponse, Problem> {
    let AddBody { request_id, credential, name } = body.0;
    let request_id = Some(request_id.ok_or_else(|| missing("requestId"))?);
    let credential = credential.ok_or_else(|| missing("credential"))?;
    let user = caller.account(&state).await?;
    let new = NewPasskey { credential, request_id, name };
    let (passkey, _) = add_passkey(&state, &http, &client, &user, new, user.id.uuid()).await?;
    let synced = passkey.backup_eligible;
    caller.has_shown(&state, if synced { Factor::SyncedPasskey } else { Factor::DevicePasskey }).await?;
    let body = json!({"passkey": PasskeyView::from(&passkey)});
    Ok(HttpResponse::build(StatusCode::CREATED).json(body))
}

async fn rename(
    caller: FreshCaller,
    state: web::Data<AppState>,
    path: web::Path<String>,
    body: JsonObject<RenameBody>,
) -> Result<HttpResponse, Problem> {
    let mut fields = Fields::default();
    let Some(name) = fields.required("name", body.0.name, |name| parse_name(&name)) else {
        return Err(fields.into_problem());
    };
    let id = parse_id(&path)?;
    let renamed = state.store().rename_passkey(caller.user(), id, name).await?;
    let passkey = renamed.ok_or_else(no_such_factor)?;
    Ok(HttpResponse::Ok().json(json!({"passkey": PasskeyView::from(&passkey)})))
}

async fn remove(
    caller: FreshCaller,
    state: web::Data<AppState>,
    client: Client,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = parse_id(&path)?;
    let user = caller.account(&state).await?;
    let removal = removal(&state, &client, &user, "passkey");
    let outcome = state.store().delete_passkey(removal, id).await?;
    removed(&state, user.id, "passkey", outcome)
}

/// Text that is not an id is answered as an unknown passkey.
fn parse_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::parse_str(text).map_err(|_| no_such_factor())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
