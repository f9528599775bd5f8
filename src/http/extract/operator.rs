//! The proof that the caller may do what its scope names: an API key that has the scope, or the access token
//! of an `ADMIN`. A handler that takes an [`Operator`] cannot be reached without it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;

use super::client::note_network;
use super::session::{Authenticated, bearer_token};
use crate::actors::api_keys::KeyRefusal;
use crate::actors::session_status::{ActiveSession, SessionStatus};
use crate::config::Feature;
use crate::domain::authentication::Level;
use crate::domain::command::ReadProof;
use crate::domain::user::Role;
use crate::http::problem::{Code, Problem};
use crate::http::state::AppState;
use crate::security::api_key::{ApiKey, PresentedKey, Scope};

/// Names a scope in the type of a handler.
pub trait Needs: fmt::Debug + 'static {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {$(
        /// Needs the scope of the same name.
        #[derive(Debug)]
        pub struct $name;

        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

needs!(UsersRead, UsersWrite, UsersDelete, SessionsRead, SessionsEnd, TokensIntrospect);

/// The authorized caller.
#[derive(Clone, Debug)]
pub enum Principal {
    /// An API key.
    Key(Arc<ApiKey>),
    /// A person with the role `ADMIN`.
    Admin(ActiveSession),
}

impl fmt::Display for Principal {
    /// The name in audit log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => write!(f, "key:{}", key.id),
            Self::Admin(found) => write!(f, "user:{}", found.session.user),
        }
    }
}

impl Principal {
    /// Whether the key is still valid, or the person still an `ADMIN` with a live session; a stream ends when
    /// that is no longer so.
    pub async fn still_may(&self, state: &AppState) -> bool {
        match self {
            Self::Key(key) => state.registry.api_keys().lookup(&key.id, state.now()).is_ok(),
            Self::Admin(found) => {
                let status = state.registry.status(found.session.user, found.session.id(), None).await;
                matches!(status, Ok(SessionStatus::Active(found)) if found.snapshot.role == Role::Admin)
            }
        }
    }
}

/// A caller with that scope.
#[derive(Debug)]
pub struct Operator<S: Needs> {
    /// Who it is.
    pub principal: Principal,
    scope: PhantomData<S>,
}

impl<S: Needs> FromRequest for Operator<S> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            request.extensions_mut().insert(S::SCOPE);
            let principal = admit(&request, S::SCOPE).await?;
            Ok(Self { principal, scope: PhantomData })
        })
    }
}

async fn admit(request: &HttpRequest, scope: Scope) -> Result<Principal, Problem> {
    let state = request.app_data::<web::Data<AppState>>().ok_or_else(Problem::unavailable_for_now)?;
    note_network(request);
    let mut credentials = request.headers().get_all(AUTHORIZATION);
    let (first, second) = (credentials.next(), credentials.next());
    if second.is_some() {
        return Err(Problem::new(Code::InvalidRequest));
    }
    let basic = first.and_then(|value| value.to_str().ok()).and_then(basic_credentials);
    if let Some((id, secret)) = basic.filter(|_| scope == Scope::TokensIntrospect) {
        return by_key(state, PresentedKey::of_parts(&id, &secret), scope);
    }
    match bearer_token(request).map_err(Problem::with_challenge)? {
        token if PresentedKey::is_one(token) => {
            let shown = PresentedKey::parse(token);
            by_key(state, shown.ok_or_else(|| Problem::new(Code::TokenInvalid).with_challenge())?, scope)
        }
        _ => by_session(request, scope).await,
    }
}

fn by_key(state: &AppState, shown: PresentedKey<'_>, scope: Scope) -> Result<Principal, Problem> {
    let now = state.now();
    let key = state.registry.api_keys().admit(shown, now).map_err(|refusal| match refusal {
        KeyRefusal::Stale => Problem::unavailable_for_now(),
        KeyRefusal::Unknown => Problem::new(Code::TokenInvalid).with_challenge(),
        KeyRefusal::Expired => Problem::new(Code::TokenExpired).with_challenge(),
    })?;
    if !key.scopes.contains(scope) {
        return Err(Problem::insufficient_scope(scope.as_str()));
    }
    // Introspection is not limited: how often a service needs it depends on its own clients.
    if scope != Scope::TokensIntrospect {
        state.limits.admin(&key.id, now)?;
    }
    Ok(Principal::Key(key))
}

async fn by_session(request: &HttpRequest, scope: Scope) -> Result<Principal, Problem> {
    let caller = Authenticated::by_token(request).await?;
    if caller.0.snapshot.role != Role::Admin || scope == Scope::KeysWrite {
        return Err(Problem::insufficient_scope(scope.as_str()));
    }
    require_two_factors(request, &caller.0).await?;
    Ok(Principal::Admin(caller.0))
}

/// If second factors are on, an administrator must have presented one.
async fn require_two_factors(request: &HttpRequest, found: &ActiveSession) -> Result<(), Problem> {
    let state = request.app_data::<web::Data<AppState>>().ok_or_else(Problem::unavailable_for_now)?;
    if !state.config.features().contains(&Feature::Totp) {
        return Ok(());
    }
    let (user, session) = (found.session.user, found.session.id());
    let shown = found.snapshot.authentication(session).is_some_and(|it| it.methods.level() == Level::Aal2);
    // It may have been presented on another node a moment ago.
    let both = shown
        || matches!(
            state.registry.ask(user, ReadProof { session }).await.map_err(Problem::for_token)?,
            Ok(proof) if proof.authentication.methods.level() == Level::Aal2
        );
    if both {
        Ok(())
    } else {
        Err(Problem::fresh_authentication_required(state.config.sessions.fresh_auth, true))
    }
}

/// Id and secret of HTTP Basic, which OAuth clients encode as in forms (RFC 6749, section 2.3.1).
fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, text) = value.split_once(' ')?;
    let decoded = STANDARD.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("Basic"))?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |part: &str| percent_decode_str(part).decode_utf8().ok().map(|text| text.into_owned());
    Some((plain(id)?, plain(secret)?))
}
