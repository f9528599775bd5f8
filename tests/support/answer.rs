//! One response of the service, and the rules that every response must follow.

use std::fmt;

use reqwest::header::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

/// Only these may be stored by a cache.
const CACHEABLE: [&str; 4] = ["/config", "/jwks.json", "/openapi.json", "/docs"];
/// No response may contain SQL, a stack trace, or a path of the host.
const NEVER_TOLD: [&str; 7] = ["SELECT ", "INSERT ", "UPDATE ", "panicked", "src/", ".rs:", "/tmp/"];

#[derive(Debug)]
pub(crate) struct Answer {
    /// The request line, such as `GET /me`, for messages.
    request: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// `Null` if the body is not JSON.
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) async fn read(request: String, response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Self { request, status, headers, text, json };
        answer.check_what_all_answers_promise();
        Ok(answer)
    }

    fn check_what_all_answers_promise(&self) {
        assert!(self.header("x-request-id").is_some(), "an answer without x-request-id: {self}");
        if !CACHEABLE.iter().any(|path| self.request.contains(path)) {
            let kept = self.header("cache-control").unwrap_or("absent");
            assert_eq!(kept, "no-store", "Cache-Control of {self}");
        }
        assert!(!self.text.contains("$2b$"), "a password hash in {self}");
        if self.status >= 400 {
            for never in NEVER_TOLD {
                assert!(!self.text.contains(never), "{never:?} in {self}");
            }
        }
    }

    /// Asserts a header.
    #[track_caller]
    pub(crate) fn expect_header(self, name: &str, value: &str) -> Self {
        assert_eq!(self.header(name), Some(value), "{name} of {self}");
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts the status; for errors, also the format of a problem.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        if status >= 400 {
            self.check_problem();
        }
        self
    }

    /// Asserts an error: status, code, and the format of a problem.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.code(), code, "{answer}");
        answer
    }

    /// RFC 9457: `{type, title, status, detail, code, requestId}`.
    #[track_caller]
    fn check_problem(&self) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        for member in ["type", "title", "detail", "code"] {
            let filled = self.json[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(filled, "no {member:?} in {self}");
        }
        assert_eq!(self.json["status"], self.status, "{self}");
        assert_eq!(self.json["requestId"].as_str(), self.header("x-request-id"), "{self}");
        if matches!(self.status, 429 | 503) {
            let seconds = self.header("retry-after").and_then(|value| value.parse::<u64>().ok());
            assert!(seconds.is_some(), "no Retry-After in seconds: {self}");
        }
    }

    #[track_caller]
    pub(crate) fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_else(|| panic!("no code in {self}"))
    }

    /// The error codes of a 422, as sorted `field: code`.
    #[track_caller]
    pub(crate) fn fields(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().unwrap_or_else(|| panic!("no errors in {self}"));
        let mut fields: Vec<_> = errors
            .iter()
            .map(|error| {
                let message = error["message"].as_str().unwrap_or_default();
                assert!(!message.is_empty(), "an error without a message in {self}");
                assert!(error["code"].is_string(), "an error without a code in {self}");
                error["field"].as_str().unwrap().to_owned()
            })
            .collect();
        fields.sort();
        fields
    }

    /// A member that is an id.
    #[track_caller]
    pub(crate) fn uuid(&self, pointer: &str) -> Uuid {
        let text = self.json.pointer(pointer).and_then(Value::as_str);
        text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no UUID at {pointer} in {self}"))
    }

    /// The whole `Set-Cookie` header of the refresh token.
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        let mut cookies = self.headers.get_all("set-cookie").iter();
        cookies
            .find(|value| value.as_bytes().starts_with(b"refreshToken="))
            .map(|value| value.to_str().unwrap())
    }

    /// Asserts that this response removes the cookie from the browser.
    #[track_caller]
    pub(crate) fn expect_cookie_cleared(self) -> Self {
        let cookie = self.set_cookie().unwrap_or_else(|| panic!("the cookie is not cleared: {self}"));
        let mut parts = cookie.split(';').map(str::trim);
        assert_eq!(parts.next(), Some("refreshToken="), "{self}");
        let parts: Vec<_> = parts.map(str::to_lowercase).collect();
        assert!(parts.iter().any(|part| part == "max-age=0"), "{self}");
        assert!(parts.iter().any(|part| part == "path=/"), "{self}");
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} {:?}\n{}", self.request, self.status, self.headers, self.text)
    }
}

/// The names of an object's members, sorted.
#[track_caller]
pub(crate) fn members(object: &Value) -> Vec<&str> {
    let object = object.as_object().unwrap_or_else(|| panic!("not an object: {object}"));
    let mut names: Vec<_> = object.keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
