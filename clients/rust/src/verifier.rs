//! The verifier: the signature, then what the stream says about the session, then a request to the
//! auth service where that is not enough.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jsonwebtoken::DecodingKey;
use reqwest::Client;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::task::AbortHandle;

use crate::ended_sessions::{EndedSessions, Knowledge, Listener};
use crate::error::AuthError;
use crate::given;
use crate::published_keys::PublishedKeys;
use crate::revocations::Revocations;
use crate::tokens::{Claims, Keys, TokenVerifier};

const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const SHORTEST_STALENESS: Duration = Duration::from_millis(100);

/// What to do when it is not known whether a session is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnsure {
    /// Ask the auth service.
    #[default]
    Ask,
    /// Answer 503.
    Refuse,
    /// Accept what the token says.
    Accept,
}

/// How a verifier is made. Exactly one of `jwks_url` and `secrets` is needed.
#[derive(Default)]
pub struct Options {
    /// Must be the claim `iss`: `JWT_ISSUER` of the auth service, else its `SERVICE_NAME`.
    pub issuer: String,
    /// Must be in the claim `aud`, where the auth service sets `JWT_AUDIENCE`.
    pub audience: Option<String>,
    /// Where the keys are, for tokens signed with ES256, EdDSA or RS256.
    pub jwks_url: Option<String>,
    /// `JWT_ACCESS_SECRET`, for tokens signed with HS256; several while it is being changed.
    pub secrets: Vec<String>,
    /// Where the events are. Without it and `api_key` every check is unsure.
    pub redis_url: Option<String>,
    /// `REDIS_PREFIX` of the auth service; `auth:` by default.
    pub redis_prefix: Option<String>,
    /// An API key with the scope `tokens:introspect`, in place of `redis_url`: endings are followed over
    /// HTTP.
    pub api_key: Option<String>,
    /// Where endings are followed with `api_key`; `/revocations` of `service_url` by default.
    pub revocations_url: Option<String>,
    /// The address to ask at when the events are not enough.
    pub service_url: Option<String>,
    /// The maximum age of what is known about endings; one second by default, at least 100 ms.
    pub max_staleness: Option<Duration>,
    /// What to do when nothing certain is known.
    pub on_unsure: OnUnsure,
    /// Leeway for `exp`.
    pub clock_tolerance: Duration,
    /// Called for each session that ends, by the task that reads: it must not block.
    pub on_ended: Option<Listener>,
}

/// Why a verifier cannot be created from the options.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Neither or both were given.
    #[error("exactly one of jwks_url and secrets is needed")]
    Keys,
    /// There is no service to ask.
    #[error("service_url is needed to ask the auth service")]
    ServiceUrl,
    /// Endings can be followed in one way only.
    #[error("redis_url or api_key, not both")]
    Both,
    /// There is no address to use the key at, or it cannot be a key.
    #[error("api_key needs service_url or revocations_url, and must be a key")]
    ApiKey,
    /// Shorter than a read can take.
    #[error("max_staleness must be at least 100 ms")]
    MaxStaleness,
    /// No request can go to the address of this option.
    #[error("{0} must begin with http:// or https:// and name a host")]
    Address(&'static str),
    /// No address of Redis.
    #[error("redis_url must begin with redis:// or rediss:// and name a host")]
    RedisUrl,
    /// Anybody can sign with this text.
    #[error("a secret is a variable that was not replaced")]
    Placeholder,
    /// The client for requests to the service cannot be created.
    #[error("no HTTP client")]
    Http(#[source] reqwest::Error),
}

/// The caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: String,
    /// The session.
    pub session_id: String,
    /// The role, as it was when the token was signed.
    pub role: Option<String>,
    /// `aal1`, or `aal2` with a second factor.
    pub acr: Option<String>,
    /// How the user authenticated (RFC 8176).
    pub amr: Vec<String>,
    /// When the user last authenticated, in seconds since the epoch.
    pub auth_time: Option<i64>,
    /// When the token expires, in seconds since the epoch.
    pub expires_at: i64,
}

/// Which callers are accepted.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// Roles that are accepted; every role if empty.
    pub roles: Vec<String>,
    /// Whether a second factor is required (`aal2`).
    pub second_factor: bool,
    /// The maximum number of seconds since the user last authenticated.
    pub max_age: Option<u64>,
    /// Always ask the auth service: for when missing an ending of a moment ago would cost more than
    /// a request.
    pub exact: bool,
}

/// What the verifier knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether an ending that happened `max_staleness` ago is known.
    pub up_to_date: bool,
    /// Since when every ending is known, in milliseconds since the epoch.
    pub since: Option<i64>,
    /// How many endings are remembered.
    pub remembered: usize,
}

/// Checks tokens and their sessions. Cheap to clone; following ends with the last clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    tokens: TokenVerifier,
    sessions: Arc<EndedSessions>,
    http: Client,
    service_url: Option<String>,
    on_unsure: OnUnsure,
    reading: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

impl Verifier {
    /// A verifier that follows the events on the current tokio runtime.
    ///
    /// # Errors
    /// [`OptionsError`] where the options do not go together.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where `redis_url` or `api_key` is given.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        let max_staleness = options.max_staleness.unwrap_or(Duration::from_secs(1));
        if max_staleness < SHORTEST_STALENESS {
            return Err(OptionsError::MaxStaleness);
        }
        if options.on_unsure == OnUnsure::Ask && options.service_url.is_none() {
            return Err(OptionsError::ServiceUrl);
        }
        given::check(&options)?;
        let http = Client::builder()
            .timeout(ASK_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(OptionsError::Http)?;
        let keys = keys(options.jwks_url, &options.secrets, &http)?;
        let sessions = EndedSessions::new(max_staleness, options.clock_tolerance, options.on_ended);
        let sessions = Arc::new(sessions);
        let stream = format!("{}events", options.redis_prefix.as_deref().unwrap_or("auth:"));
        let client =
            options.redis_url.map(redis::Client::open).transpose().map_err(|_| OptionsError::RedisUrl)?;
        let service_url = options.service_url.map(|url| url.trim_end_matches('/').to_owned());
        let revocations = revocations(options.api_key, options.revocations_url, service_url.as_deref())?;
        let following = Arc::clone(&sessions);
        let reading = match (client, revocations) {
            (Some(_), Some(_)) => return Err(OptionsError::Both),
            (Some(client), None) => Some(tokio::spawn(following.follow(client, stream)).abort_handle()),
            (None, Some(revocations)) => Some(tokio::spawn(revocations.follow(following)).abort_handle()),
            (None, None) => None,
        };
        let tolerance = options.clock_tolerance;
        let tokens = TokenVerifier::new(keys, &options.issuer, options.audience.as_deref(), tolerance);
        Ok(Self(Arc::new(Inner {
            tokens,
            sessions,
            http,
            service_url,
            on_unsure: options.on_unsure,
            reading,
        })))
    }

    /// Checks an access token and its session.
    ///
    /// # Errors
    /// The 401, 403 or 503 to answer with.
    pub async fn verify(&self, token: &str, check: &Check) -> Result<Identity, AuthError> {
        if token.is_empty() {
            return Err(AuthError::missing());
        }
        let claims = self.0.tokens.verify(token).await?;
        self.check_session(token, &claims, check.exact).await?;
        authorize(claims, check)
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// # Errors
    /// The 401, 403 or 503 to answer with.
    pub async fn verify_header(
        &self,
        authorization: Option<&str>,
        check: &Check,
    ) -> Result<Identity, AuthError> {
        let (scheme, token) = authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("Bearer") || token.contains(char::is_whitespace) {
            return Err(AuthError::missing());
        }
        self.verify(token, check).await
    }

    /// What is known now.
    #[must_use]
    pub fn status(&self) -> Status {
        let (up_to_date, since, remembered) = self.0.sessions.status();
        Status { up_to_date, since, remembered }
    }

    async fn check_session(&self, token: &str, claims: &Claims, exact: bool) -> Result<(), AuthError> {
        match self.0.sessions.of(&claims.sid, claims.iat) {
            Knowledge::Ended(reason) => Err(AuthError::ended(&reason)),
            _ if exact => self.ask(token, claims).await,
            Knowledge::Live => Ok(()),
            Knowledge::Unsure => match self.0.on_unsure {
                OnUnsure::Ask => self.ask(token, claims).await,
                OnUnsure::Refuse => Err(AuthError::unavailable()),
                OnUnsure::Accept => Ok(()),
            },
        }
    }

    /// Asks whether the session is live. The auth service does not count that as activity.
    async fn ask(&self, token: &str, claims: &Claims) -> Result<(), AuthError> {
        #[derive(Deserialize)]
        struct Answer {
            code: Option<String>,
        }
        let url = self.0.service_url.as_ref().ok_or_else(AuthError::unavailable)?;
        let asked = Instant::now();
        let answered = async {
            let answer = self.0.http.get(format!("{url}/session")).bearer_auth(token).send().await?;
            let status = answer.status().as_u16();
            Ok::<_, reqwest::Error>((status, answer.json::<Answer>().await?))
        };
        match answered.await {
            Ok((200, _)) => {
                self.0.sessions.confirm(&claims.sid, claims.exp, asked);
                Ok(())
            }
            Ok((401, answer)) => Err(AuthError::from_service(answer.code.as_deref())),
            Ok((status, _)) => {
                tracing::warn!(status, "the auth service could not say whether a session is live");
                Err(AuthError::unavailable())
            }
            Err(error) => {
                tracing::warn!(%error, "the auth service cannot be asked");
                Err(AuthError::unavailable())
            }
        }
    }
}

fn revocations(
    api_key: Option<String>,
    url: Option<String>,
    service_url: Option<&str>,
) -> Result<Option<Revocations>, OptionsError> {
    let Some(api_key) = api_key else { return Ok(None) };
    let url =
        url.or_else(|| service_url.map(|url| format!("{url}/revocations"))).ok_or(OptionsError::ApiKey)?;
    let mut authorization =
        HeaderValue::try_from(format!("Bearer {api_key}")).map_err(|_| OptionsError::ApiKey)?;
    authorization.set_sensitive(true);
    let http = Revocations::client().map_err(OptionsError::Http)?;
    Ok(Some(Revocations { http, url, authorization }))
}

fn keys(jwks_url: Option<String>, secrets: &[String], http: &Client) -> Result<Keys, OptionsError> {
    match jwks_url {
        Some(url) if secrets.is_empty() => Ok(Keys::Published(PublishedKeys::new(url, http.clone()))),
        None if !secrets.is_empty() && !secrets.iter().any(String::is_empty) => Ok(Keys::Secrets(
            secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect(),
        )),
        _ => Err(OptionsError::Keys),
    }
}

fn authorize(claims: Claims, check: &Check) -> Result<Identity, AuthError> {
    let role = claims.role.as_deref().unwrap_or_default();
    if !check.roles.is_empty() && !check.roles.iter().any(|wanted| wanted == role) {
        return Err(AuthError::role());
    }
    if check.second_factor && claims.acr.as_deref() != Some("aal2") {
        return Err(AuthError::not_fresh(Some("aal2"), check.max_age));
    }
    if let Some(max_age) = check.max_age {
        let age = claims.auth_time.map(|time| now_seconds().saturating_sub(time));
        if age.is_none_or(|age| age > i64::try_from(max_age).unwrap_or(i64::MAX)) {
            return Err(AuthError::not_fresh(None, Some(max_age)));
        }
    }
    let Claims { sub, sid, role, acr, amr, auth_time, exp, .. } = claims;
    Ok(Identity { user_id: sub, session_id: sid, role, acr, amr, auth_time, expires_at: exp })
}

#[expect(clippy::disallowed_methods, reason = "compared with auth_time, as exp is by the library")]
fn now_seconds() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
