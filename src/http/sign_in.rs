//! Conducts a sign-in: from what has been presented to a session, or to the next step, which is a problem
//! with a login ticket. `domain/sign_in.rs` decides the order of the steps; no state is kept between two
//! requests.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::codes::{self, Asking, parse_locale};
use super::email::verification_of_user;
use super::extract::client::Client;
use super::extract::json::Fields;
use super::factors::recovery_codes::give_recovery_codes;
use super::notice::masked;
use super::problem::{Code, Problem};
use super::proof::methods;
use super::shown::sessions_of_cookies;
use super::signed_in::{self, Extras, open_for, parse_delivery};
use super::state::AppState;
use crate::actors::messages::ActorError;
use crate::config::Feature;
use crate::domain::account_change::AccountChange;
use crate::domain::command::{ChangeAccount, EndReplaced, ListLive, Open, OpenRefusal, Opened, Replaces};
use crate::domain::device::parse_device_name;
use crate::domain::event::OpenedBy;
use crate::domain::ids::{SessionId, UserId};
use crate::domain::mail::CodePurpose;
use crate::domain::session::Delivery;
use crate::domain::sign_in::{Requirements, Shown, Step, next_step};
use crate::domain::user::User;
use crate::events::session_view::SessionView;
use crate::security::login_ticket::{LoginClaims, LoginOptions, LoginProgress, VALID_FOR};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::serving::run_to_completion;

/// The login options in a body.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LoginOptionsBody {
    device_name: Option<String>,
    refresh_token_delivery: Option<String>,
    remember: Option<bool>,
    keep_session: Option<bool>,
    locale: Option<String>,
}

impl LoginOptionsBody {
    /// Parses the options; `fields` collects what is wrong.
    pub(super) fn read(self, fields: &mut Fields) -> LoginOptions {
        let device_name = fields.optional("deviceName", self.device_name, |text| parse_device_name(&text));
        let delivery = fields
            .optional("refreshTokenDelivery", self.refresh_token_delivery, |text| parse_delivery(&text));
        LoginOptions {
            device_name: device_name.flatten(),
            refresh_token_in_body: delivery == Some(Delivery::Body),
            keep_session: self.keep_session.unwrap_or(false),
            remember: self.remember,
            locale: fields.optional("locale", self.locale, parse_locale),
        }
    }
}

/// A sign-in that is under way.
#[derive(Debug)]
pub(super) struct SignIn {
    /// The user who signs in, as read at the beginning of this request.
    pub(super) user: User,
    /// What has been presented so far.
    pub(super) shown: Shown,
    /// The login options.
    pub(super) options: LoginOptions,
    /// Whether a second factor was set up during this sign-in.
    pub(super) enrolled: bool,
    /// The sessions that the person chose to end.
    pub(super) choice: Option<Choice>,
}

/// Sessions that a person chose to end, and the ticket used for it, which becomes valid again if the chosen
/// sessions are too few.
#[derive(Debug)]
pub(super) struct Choice {
    /// The sessions.
    pub(super) ends: Vec<SessionId>,
    /// The ticket, as it was presented.
    pub(super) ticket: String,
    /// The ticket's claims.
    pub(super) claims: LoginClaims,
}

/// The state of a user's credentials that a sign-in is based on. Any change of them gives another value.
pub(super) fn state_of_credentials(user: &User) -> String {
    let changed_at = user.credentials_changed_at.map_or(0, |at| at.millis());
    format!("{changed_at}.{}", user.factors)
}

impl SignIn {
    /// A sign-in that begins with the correct password.
    pub(super) fn by_password(user: User, options: LoginOptions) -> Self {
        Self { user, shown: Shown::PASSWORD, options, enrolled: false, choice: None }
    }

    /// Opens the session, or returns the next step.
    pub(super) async fn proceed(
        self,
        state: &web::Data<AppState>,
        http: &HttpRequest,
        client: &Client,
    ) -> Result<HttpResponse, Problem> {
        let requirements = Requirements {
            has_second_factor: self.user.factors > 0,
            must_have_second_factor: state.config.second_factors.is_required_of(self.user.role),
            verify_email: state.config.has(Feature::VerifiedEmail) && self.user.email_verified_at.is_none(),
            change_password: self.user.password_change_required,
        };
        match next_step(requirements, self.shown) {
            Some(step) => Err(self.ask(state, client, step).await?),
            None => self.open(state, http, client).await,
        }
    }

    /// The problem that requests a step.
    async fn ask(self, state: &AppState, client: &Client, step: Step) -> Result<Problem, Problem> {
        let mut mail_request = None;
        let problem = match step {
            Step::SecondFactor => {
                let factors = state.store().list_factors(self.user.id).await?;
                let methods = methods(&factors);
                Problem::new(Code::SecondFactorRequired).with("methods", json!(methods))
            }
            Step::Enrolment => {
                let methods = [(Feature::Totp, "totp"), (Feature::Passkeys, "passkey")];
                let on = methods.into_iter().filter(|(feature, _)| state.config.has(*feature));
                let on: Vec<_> = on.map(|(_, method)| method).collect();
                Problem::new(Code::SecondFactorEnrolmentRequired).with("methods", json!(on))
            }
            Step::EmailVerification => {
                let locale = self.options.locale.clone().or_else(|| self.user.locale.clone());
                let asking =
                    Asking { purpose: CodePurpose::Login, locale, ..verification_of_user(&self.user) };
                mail_request = Some(codes::ask(state, client, asking).await?.request());
                let address = masked(self.user.email.as_str());
                Problem::new(Code::EmailVerificationRequired).with("email", json!(address))
            }
            Step::PasswordChange => Problem::new(Code::PasswordChangeRequired),
            Step::SessionChoice => return self.ask_which_to_end(state).await,
        };
        self.with_ticket(state, step, problem, mail_request)
    }

    /// The session limit is reached: returns the list to choose from.
    async fn ask_which_to_end(self, state: &AppState) -> Result<Problem, Problem> {
        let problem = self.limit_reached(state).await?;
        let Some(choice) = self.choice else {
            return self.with_ticket(state, Step::SessionChoice, problem, None);
        };
        // Too few were chosen, and nothing has ended: the ticket becomes valid again.
        let (owner, id) = choice.claims.key();
        state.store().unspend_ticket(owner, id).await?;
        let left = state.now().until(choice.claims.valid_until()).as_secs();
        Ok(problem.with("loginTicket", json!(choice.ticket)).with("expiresIn", json!(left)))
    }

    /// The problem with the sessions there are, so that the person can see which to end.
    async fn limit_reached(&self, state: &AppState) -> Result<Problem, Problem> {
        let live = state.registry.ask(self.user.id, ListLive).await?;
        let nobody = SessionId::new(Uuid::nil());
        let mut views: Vec<_> = live
            .sessions
            .iter()
            .map(|session| SessionView::new(&session.profile, session.times, session.last_activity, nobody))
            .collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.last_activity));
        Ok(Problem::new(Code::SessionLimitReached)
            .with("maxSessions", json!(live.max_sessions))
            .with("sessions", json!(views)))
    }

    fn with_ticket(
        self,
        state: &AppState,
        step: Step,
        problem: Problem,
        mail_request: Option<Uuid>,
    ) -> Result<Problem, Problem> {
        let progress = LoginProgress {
            user: Some(self.user.id),
            shown: self.shown,
            asked: Some(step),
            credentials: state_of_credentials(&self.user),
            enrolled: self.enrolled,
            mail_request,
            options: self.options,
        };
        let ticket = state.login_tickets.sign(progress, state.now()).map_err(Problem::unavailable)?;
        Ok(problem.with("loginTicket", json!(ticket)).with("expiresIn", json!(VALID_FOR.as_secs())))
    }

    async fn open(
        self,
        state: &web::Data<AppState>,
        http: &HttpRequest,
        client: &Client,
    ) -> Result<HttpResponse, Problem> {
        let delivery = if self.options.refresh_token_in_body { Delivery::Body } else { Delivery::Cookie };
        let replaced = match self.options.keep_session {
            true => Vec::new(),
            false => sessions_before(state, http, client),
        };
        let (own, others): (Vec<_>, Vec<_>) =
            replaced.into_iter().partition(|(owner, _)| *owner == self.user.id);
        let open = Open {
            methods: self.shown.methods(),
            remember: self.options.remember,
            shown: self.user.credentials_changed_at,
            ends: self.choice.as_ref().map(|choice| choice.ends.clone()).unwrap_or_default(),
            replaces: own.into_iter().map(|(_, replaces)| replaces).collect(),
            ..open_for(state, client, self.options.device_name.clone(), delivery, OpenedBy::Login)
        };
        // Before the session: none is open whose person cannot get the codes.
        let codes = match self.enrolled {
            true => {
                let codes = give_recovery_codes(state, &self.user, None).await?;
                Some(codes.ok_or_else(|| Problem::new(Code::InvalidCredentials))?)
            }
            false => None,
        };
        let asking = run_to_completion(open_session(state.clone(), self.user.id, open, others));
        let opened = match asking.await.unwrap_or(Err(ActorError::NoAnswer)) {
            Ok(Ok(opened)) => opened,
            Ok(Err(OpenRefusal::LimitReached { asks: true, .. })) => {
                return Err(self.ask(state, client, Step::SessionChoice).await?);
            }
            Ok(Err(OpenRefusal::LimitReached { asks: false, .. })) => {
                return Err(self.limit_reached(state).await?);
            }
            // The account was disabled, or its credentials changed, while they were being checked.
            Ok(Err(OpenRefusal::Disabled | OpenRefusal::Outdated)) | Err(ActorError::NoSuchUser) => {
                return Err(Problem::new(Code::InvalidCredentials));
            }
            Err(error) => return Err(error.into()),
        };
        let user = remember_locale(state, self.user, self.options.locale).await;
        signed_in::answer_with(
            state,
            StatusCode::OK,
            &user,
            &opened,
            Extras { recovery_codes: codes, ..Extras::default() },
        )
    }
}

/// Stores the language of a login if the account has none yet. The login succeeds either way.
async fn remember_locale(state: &web::Data<AppState>, user: User, locale: Option<String>) -> User {
    let Some(locale) = locale.filter(|_| user.locale.is_none()) else { return user };
    let change = AccountChange { locale: Some(Some(locale.clone())), ..AccountChange::default() };
    let command = ChangeAccount::by_user(change);
    match state.registry.ask(user.id, command).await {
        Ok(_) => User { locale: Some(locale), ..user },
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "login.locale_not_stored");
            user
        }
    }
}

/// The sessions that the browser was signed in with, and their users. A browser has several if one cookie is
/// left over beside another: none of them may stay behind.
pub(super) fn sessions_before(
    state: &AppState,
    http: &HttpRequest,
    client: &Client,
) -> Vec<(UserId, Replaces)> {
    let claims = sessions_of_cookies(state, http, client).into_iter();
    claims.map(|it| (it.user, Replaces { session: it.session, generation: it.generation })).collect()
}

/// Ends sessions whose browser is signed in anew. A failure is only logged: the new session stands.
pub(super) async fn end_replaced(state: &AppState, replaced: Vec<(UserId, Replaces)>) {
    for (owner, replaces) in replaced {
        if let Err(error) = state.registry.ask(owner, EndReplaced(replaces)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "login.replaced_not_ended");
        }
    }
}

async fn open_session(
    state: web::Data<AppState>,
    user: UserId,
    open: Open,
    others: Vec<(UserId, Replaces)>,
) -> Result<Result<Opened, OpenRefusal>, ActorError> {
    let opened = state.registry.ask(user, open).await;
    if let Ok(Ok(opened)) = &opened {
        // Other users' sessions are ended separately; the new session does not depend on that.
        end_replaced(&state, others).await;
        AuditEvent::LoggedIn(user, opened.session.id()).record(state.metrics());
    }
    opened
}
