//! Every error a response can contain (RFC 9457), in one table. A cause is logged, and never sent.

mod code;
mod convert;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};

use super::limits::{usage_headers, whole_seconds};
use crate::security::rate_limit::Usage;

pub use code::Code;

/// What is wrong with one member of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Name of the member.
    pub field: &'static str,
    /// `required`, `too_short`, `too_long` or `invalid`.
    pub code: &'static str,
    /// The same in words.
    pub message: &'static str,
}

/// An error response.
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    /// Extension members, which some codes have.
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    usage: Option<Usage>,
    allow: Option<&'static str>,
    /// The scope that is missing.
    scope: Option<&'static str>,
    /// Whether it answers a request that has, or lacks but needs, an access token (RFC 6750, section 3).
    challenge: bool,
    /// Whether the body was sent in a content coding that is not accepted (RFC 9110, section 15.5.16).
    refuses_coding: bool,
    /// Parameters of a challenge for fresh authentication (RFC 9470).
    wanted_proof: Option<WantedProof>,
    /// The cookies that clear the refresh cookie.
    clear_cookies: Vec<Cookie<'static>>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The proof that a client has to present.
#[derive(Clone, Copy)]
struct WantedProof {
    /// At most this old.
    max_age: Duration,
    /// With two factors.
    second_factor: bool,
}

/// The body of the response.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// A problem with that code and its default detail.
    #[must_use]
    pub fn new(code: Code) -> Self {
        Self(Box::new(Inner {
            code,
            detail: Cow::Borrowed(code.detail()),
            errors: Vec::new(),
            members: Map::new(),
            retry_after: None,
            usage: None,
            allow: None,
            scope: None,
            challenge: false,
            refuses_coding: false,
            wanted_proof: None,
            clear_cookies: Vec::new(),
            cause: None,
        }))
    }

    /// 404: there is no such route.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// 405: the route exists, but not for this method.
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(Code::MethodNotAllowed);
        problem.0.allow = Some(allow);
        problem
    }

    /// 422: members of the body are invalid.
    #[must_use]
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(Code::ValidationFailed);
        problem.0.errors = errors;
        problem
    }

    /// The limit is reached; there may be room again after this time.
    #[must_use]
    pub fn too_many(retry_after: Duration) -> Self {
        Self::new(Code::RateLimited).retry_after(retry_after)
    }

    /// The rate limit is reached; the client may try again when the window has ended.
    #[must_use]
    pub fn rate_limited(usage: Usage) -> Self {
        let mut problem = Self::new(Code::RateLimited).retry_after(usage.reset);
        problem.0.usage = Some(usage);
        problem
    }

    /// The caller is authenticated but may not do this (RFC 6750, section 3.1).
    #[must_use]
    pub fn insufficient_scope(scope: &'static str) -> Self {
        let mut problem = Self::new(Code::InsufficientScope);
        problem.0.scope = Some(scope);
        problem.0.challenge = true;
        problem
    }

    /// The service is overloaded; the client may try again soon.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::new(Code::Overloaded).retry_after(Duration::from_secs(1))
    }

    /// A dependency is unavailable, which is already in the log.
    #[must_use]
    pub fn unavailable_for_now() -> Self {
        Self::new(Code::Unavailable).retry_after(Duration::from_secs(1))
    }

    /// A dependency is unavailable.
    #[must_use]
    pub fn unavailable(cause: impl Error + Send + Sync + 'static) -> Self {
        let mut problem = Self::unavailable_for_now();
        problem.0.cause = Some(Arc::new(cause));
        problem
    }

    /// The same with another detail; it may be computed.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The same with another fixed detail.
    #[must_use]
    pub fn saying(mut self, detail: &'static str) -> Self {
        self.0.detail = Cow::Borrowed(detail);
        self
    }

    /// The same with an extension member (RFC 9457, section 3.2).
    #[must_use]
    pub fn with(mut self, member: &'static str, value: Value) -> Self {
        self.0.members.insert(member.to_owned(), value);
        self
    }

    /// The same, as the response to a request that needs an access token.
    #[must_use]
    pub fn with_challenge(mut self) -> Self {
        self.0.challenge |= self.status_code() == StatusCode::UNAUTHORIZED;
        self
    }

    /// 415: the body was sent in a content coding.
    #[must_use]
    pub fn content_coding() -> Self {
        let detail = "The body must be sent without a content coding.";
        let mut problem = Self::new(Code::UnsupportedMediaType).with_detail(detail);
        problem.0.refuses_coding = true;
        problem
    }

    /// The same, clearing the refresh cookie if it is a 401.
    #[must_use]
    pub fn clearing(mut self, cookies: Vec<Cookie<'static>>) -> Self {
        if self.status_code() == StatusCode::UNAUTHORIZED {
            self.0.clear_cookies = cookies;
        }
        self
    }

    /// The session's person must authenticate once more (RFC 9470, section 3); with two factors, if
    /// `second_factor`.
    #[must_use]
    pub fn fresh_authentication_required(max_age: Duration, second_factor: bool) -> Self {
        let mut problem = Self::new(Code::FreshAuthenticationRequired).with_challenge();
        problem.0.wanted_proof = Some(WantedProof { max_age, second_factor });
        problem
    }

    /// The problem's code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What caused it, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The HTTP response.
    #[must_use]
    pub fn answer(&self, request_id: &str) -> HttpResponse {
        let status = self.status_code();
        let mut answer = HttpResponse::build(status);
        answer.content_type("application/problem+json");
        if let Some(after) = self.0.retry_after {
            answer.insert_header((header::RETRY_AFTER, whole_seconds(after)));
        }
        for header in self.0.usage.iter().flat_map(usage_headers) {
            answer.insert_header(header);
        }
        match self.0.code {
            // Whatever of the request still arrives must not be read.
            Code::BadRequest | Code::RequestTimeout | Code::BodyTooLarge | Code::HeaderFieldsTooLarge => {
                answer.force_close();
            }
            // RFC 9110, section 15.5.22; RFC 6455, section 4.4.
            Code::UpgradeRequired => {
                answer.insert_header((header::UPGRADE, "websocket"));
                answer.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
            }
            _ => {}
        }
        if let Some(allow) = self.0.allow {
            // Every route with GET answers HEAD.
            answer.insert_header((header::ALLOW, allow.replacen("GET", "GET, HEAD", 1)));
        }
        if self.0.refuses_coding {
            answer.insert_header((header::ACCEPT_ENCODING, "identity")).force_close();
        }
        if self.0.challenge || status == StatusCode::UNAUTHORIZED {
            answer.insert_header((header::WWW_AUTHENTICATE, self.challenge()));
        }
        for cookie in &self.0.clear_cookies {
            answer.cookie(cookie.clone());
        }
        answer.body(self.body(request_id))
    }

    /// The response's body, as JSON.
    #[must_use]
    pub fn body(&self, request_id: &str) -> String {
        let code = self.0.code.as_str();
        let body = Body {
            r#type: format!("urn:auth-service:error:{code}"),
            title: self.0.code.title(),
            status: self.status_code().as_u16(),
            detail: &self.0.detail,
            code,
            request_id,
            errors: &self.0.errors,
            members: &self.0.members,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// The `WWW-Authenticate` challenge. RFC 9110, section 15.5.2: every 401 has one. RFC 6750, section 3.1:
    /// no error code if no token was presented.
    fn challenge(&self) -> String {
        if let Some(WantedProof { max_age, second_factor }) = self.0.wanted_proof {
            let level = if second_factor { ", acr_values=\"aal2\"" } else { "" };
            return format!(
                "Bearer error=\"insufficient_user_authentication\", error_description=\"{}\", max_age=\"{}\"{level}",
                self.0.detail,
                max_age.as_secs()
            );
        }
        match self.0.code {
            // A login ticket is not an access token: no `invalid_token`, on which clients would drop theirs.
            Code::TokenMissing
            | Code::RefreshTokenMissing
            | Code::InvalidCredentials
            | Code::SecondFactorRequired
            | Code::LoginTicketInvalid => "Bearer".to_owned(),
            Code::InsufficientScope => {
                let scope = self.0.scope.unwrap_or_default();
                format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")
            }
            _ => format!("Bearer error=\"invalid_token\", error_description=\"{}\"", self.0.detail),
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({}, {:?})", self.0.code.as_str(), self.0.cause)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.as_str())
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    /// The request's context rewrites the response, with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.answer("")
    }
}
