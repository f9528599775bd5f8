//! axum: a handler that takes an [`Identity`] is only reached with a live session. The router's
//! state must provide a [`Verifier`] (`FromRef`). For roles, a second factor or exactness call
//! [`Verifier::verify_header`].

use axum_core::body::Body;
use axum_core::extract::{FromRef, FromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::{AuthError, Check, Identity, Verifier};

impl<S> FromRequestParts<S> for Identity
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        let verifier = Verifier::from_ref(state);
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        verifier.verify_header(authorization, &Check::default()).await
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        let mut answer = Response::new(Body::from(self.problem().to_string()));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(challenge) = self.www_authenticate.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}
