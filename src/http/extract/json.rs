//! Bodies: a JSON object of at most 16 KiB, or the exact reason why the body is refused.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::domain::user::FieldProblem;
use crate::http::problem::{Code, FieldError, Problem};

const JSON: &str = "application/json";
/// Largest body, in bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// How long a body may take to arrive completely.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that is a JSON object. `T` has only optional members: [`Fields`] reports missing ones together with
/// the other errors.
#[derive(Debug)]
pub struct JsonObject<T>(pub T);

/// The same, or no body at all.
#[derive(Debug)]
pub struct OptionalJsonObject<T>(pub Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for JsonObject<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request.clone(), payload.take(), JSON);
        Box::pin(async move {
            match parse(&body.await?)? {
                Some(object) => Ok(Self(object)),
                None => Err(Problem::new(Code::InvalidJson)),
            }
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJsonObject<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request.clone(), payload.take(), JSON);
        Box::pin(async move { parse(&body.await?).map(Self) })
    }
}

/// How long the reader of a refused body is kept. The framework would read the rest of a chunked body whose
/// reader is gone, without end if need be; while there is a reader, it closes the connection after the
/// response.
const ANSWER_SENT: Duration = Duration::from_secs(1);

/// The whole body, if it is empty or of that media type.
pub(super) async fn read(
    request: HttpRequest,
    mut payload: Payload,
    media_type: &'static str,
) -> Result<Bytes, Problem> {
    let read = timeout(BODY_TIMEOUT, read_whole(&request, &mut payload, media_type)).await;
    let read = read.unwrap_or_else(|_| Err(Problem::new(Code::RequestTimeout)));
    if read.is_err() {
        actix_web::rt::spawn(async move {
            tokio::time::sleep(ANSWER_SENT).await;
            drop(payload);
        });
    }
    read
}

async fn read_whole(
    request: &HttpRequest,
    payload: &mut Payload,
    media_type: &'static str,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge);
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > BODY_MAX as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::InvalidJson))?;
        if body.len() + chunk.len() > BODY_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
        // With an `Upgrade` header that is ignored, the framework would wait for the connection's end.
        if announced.is_some_and(|length| body.len() as u64 >= length) {
            break;
        }
    }
    // An empty body needs no type; whether the body may be missing is up to the handler.
    if !body.is_empty() && !is_of_type(request, media_type) {
        let problem = Problem::new(Code::UnsupportedMediaType);
        return Err(problem.with_detail(format!("The body must be {media_type}.")));
    }
    Ok(body.freeze())
}

fn is_of_type(request: &HttpRequest, media_type: &str) -> bool {
    request.headers().contains_key(CONTENT_TYPE) && request.content_type().eq_ignore_ascii_case(media_type)
}

/// An array is refused here, because serde would accept it as a struct with unnamed members.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Option<T>, Problem> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Ok(None),
        Some(b'{') => read_object(body).map(Some).ok_or_else(|| Problem::new(Code::InvalidJson)),
        Some(_) => Err(Problem::new(Code::InvalidJson)),
    }
}

/// All of it must be UTF-8; in members that are ignored, serde would not check that.
fn read_object<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// Collects what is wrong with the members of a body, so that one answer reports all of it.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// A member that must be present and valid.
    pub fn required<V, T>(
        &mut self,
        field: &'static str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, FieldProblem>,
    ) -> Option<T> {
        self.note(field, value.ok_or(FieldProblem::Required).and_then(parse))
    }

    /// A member that must be valid if it is present.
    pub fn optional<V, T>(
        &mut self,
        field: &'static str,
        value: Option<V>,
        parse: impl FnOnce(V) -> Result<T, FieldProblem>,
    ) -> Option<T> {
        value.and_then(|value| self.note(field, parse(value)))
    }

    fn note<T>(&mut self, field: &'static str, result: Result<T, FieldProblem>) -> Option<T> {
        result.map_err(|unfit| self.0.push(FieldError::new(field, unfit))).ok()
    }

    /// The problem to answer with.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        Problem::validation(self.0)
    }

    /// Whether nothing was wrong.
    #[must_use]
    pub fn are_fit(&self) -> bool {
        self.0.is_empty()
    }
}
