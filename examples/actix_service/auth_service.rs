//! What is asked of the auth service itself. No answer in time is an answer too: it cannot be told.

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::{Failure, Refusal, setting};

const PATIENCE: Duration = Duration::from_secs(2);

/// The auth service at `AUTH_URL`. Here over plain HTTP alone: reqwest speaks TLS with a feature of its own.
pub(crate) struct AuthService {
    client: Client,
    url: String,
}

impl AuthService {
    pub(crate) fn from_env() -> Result<Self, Failure> {
        // It redirects nobody. Who does is not to be shown a token.
        let client = Client::builder().timeout(PATIENCE).redirect(Policy::none()).build()?;
        Ok(Self { client, url: setting("AUTH_URL", "http://localhost:4001") })
    }

    /// Whether the token's session is live; to the auth service that is no activity of the person.
    pub(crate) async fn confirm(&self, token: &str) -> Result<(), Refusal> {
        let answer = self.get("/session", Some(token)).await.map_err(cannot_tell)?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            StatusCode::UNAUTHORIZED => {
                let problem: Value = answer.json().await.map_err(cannot_tell)?;
                Err(Refusal::unauthorized(problem["code"].as_str().unwrap_or("token_invalid")))
            }
            other => Err(cannot_tell(format!("the auth service answers {other}"))),
        }
    }

    pub(crate) async fn public_keys(&self) -> Result<JwkSet, Refusal> {
        let answer = self.get("/.well-known/jwks.json", None).await.and_then(Response::error_for_status);
        answer.map_err(cannot_tell)?.json().await.map_err(cannot_tell)
    }

    async fn get(&self, path: &str, token: Option<&str>) -> reqwest::Result<Response> {
        let request = self.client.get(format!("{}{path}", self.url));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
        .send()
        .await
    }
}

fn cannot_tell(cause: impl std::fmt::Display) -> Refusal {
    eprintln!("cannot tell: {cause}");
    Refusal::CannotTell
}
