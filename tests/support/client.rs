//! `Client`: one device of a person. It calls the service's endpoints and stores, as a browser would, what it
//! receives.

use reqwest::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

use super::answer::Answer;
use super::app::ACCESS_SECRET;
use super::token::Token;

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

impl Person {
    pub(crate) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            email: format!("{}@example.com", name.to_lowercase()),
            password: format!("the password of {name}"),
        }
    }

    pub(crate) fn credentials(&self) -> Value {
        json!({"email": self.email, "password": self.password})
    }

    pub(crate) fn registration(&self) -> Value {
        json!({"name": self.name, "email": self.email, "password": self.password})
    }
}

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    /// The prefix of every path: empty, or `/api/auth`.
    prefix: &'static str,
    pub(crate) user_agent: Option<String>,
    pub(crate) access: Option<String>,
    /// The refresh token from a cookie.
    pub(crate) cookie: Option<String>,
    /// The refresh token from a body.
    pub(crate) refresh: Option<String>,
    /// The session this device is signed in with.
    pub(crate) session_id: String,
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        Self::with_patience(base, Duration::from_secs(30))
    }

    /// A client that gives up if a response takes longer.
    pub(crate) fn with_patience(base: &str, patience: Duration) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(patience).build().unwrap();
        Self {
            http,
            base: base.to_owned(),
            prefix: "",
            user_agent: None,
            access: None,
            cookie: None,
            refresh: None,
            session_id: String::new(),
        }
    }

    pub(crate) fn under(mut self, prefix: &'static str) -> Self {
        self.prefix = prefix;
        self
    }

    pub(crate) fn with_user_agent(mut self, user_agent: &str) -> Self {
        self.user_agent = Some(user_agent.to_owned());
        self
    }

    /// The same device, after the service has moved to another port.
    pub(crate) fn follow(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// The same device, using another node.
    pub(crate) fn at(&self, base: &str) -> Self {
        let mut device = self.clone();
        device.follow(base);
        device
    }

    /// A request with this device's access token and nothing else.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{}{path}", self.base, self.prefix));
        if let Some(agent) = &self.user_agent {
            request = request.header(USER_AGENT, agent);
        }
        match &self.access {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    /// The response, or why there was none: for tests that take the service down.
    pub(crate) async fn try_send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url().path());
        Answer::read(name, self.http.execute(request).await?).await
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap()
    }

    /// Sends, and stores the returned tokens.
    pub(crate) async fn try_exchange(&mut self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let answer = self.try_send(request).await?;
        self.keep(&answer);
        Ok(answer)
    }

    async fn exchange(&mut self, request: RequestBuilder) -> Answer {
        self.try_exchange(request).await.unwrap()
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.set_cookie() {
            let (pair, _) = cookie.split_once(';').unwrap_or((cookie, ""));
            let value = pair.trim_start_matches("refreshToken=");
            self.cookie = (!value.is_empty()).then(|| value.to_owned());
        }
        let text = |name: &str| answer.json[name].as_str().map(str::to_owned);
        self.access = text("accessToken").or(self.access.take());
        self.refresh = text("refreshToken").or(self.refresh.take());
        if let (200 | 201, Some(id)) = (answer.status, answer.json["session"]["id"].as_str()) {
            id.clone_into(&mut self.session_id);
        }
    }

    pub(crate) async fn try_get(&self, path: &str) -> reqwest::Result<Answer> {
        self.try_send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn signup(&mut self, person: &Person) -> Answer {
        self.signup_with(&person.registration()).await
    }

    pub(crate) async fn signup_with(&mut self, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/signup").json(body);
        self.exchange(request).await
    }

    pub(crate) async fn login(&mut self, person: &Person) -> Answer {
        self.login_with(&person.credentials()).await
    }

    pub(crate) async fn login_with(&mut self, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/login").json(body);
        self.exchange(request).await
    }

    /// Posts, and stores the returned tokens.
    pub(crate) async fn send_and_keep(&mut self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).json(body);
        self.exchange(request).await
    }

    /// The claims of this device's access token.
    pub(crate) fn claims(&self) -> Value {
        Token::open(self.access.as_deref().expect("a device that is signed in"), ACCESS_SECRET).claims
    }

    /// Logs in, with the refresh token delivered in the body.
    pub(crate) async fn login_for_body(&mut self, person: &Person) -> Answer {
        let mut body = person.credentials();
        body["refreshTokenDelivery"] = json!("body");
        self.login_with(&body).await
    }

    /// A refresh as a browser does it: the cookie, and no body at all.
    pub(crate) fn cookie_refresh(&self, cookie: &str) -> RequestBuilder {
        let cookie = format!("theme=dark; refreshToken={cookie}; lang=en");
        self.http.post(format!("{}{}/refresh", self.base, self.prefix)).header(COOKIE, cookie)
    }

    /// A refresh as a program does it.
    pub(crate) fn body_refresh(&self, token: &str) -> RequestBuilder {
        self.http.post(format!("{}{}/refresh", self.base, self.prefix)).json(&json!({"refreshToken": token}))
    }

    /// Refreshes in the way this device got its token.
    pub(crate) async fn refresh(&mut self) -> Answer {
        let request = match (&self.cookie, &self.refresh) {
            (Some(cookie), _) => self.cookie_refresh(cookie),
            (None, Some(token)) => self.body_refresh(token),
            (None, None) => panic!("this device has no refresh token"),
        };
        self.exchange(request).await
    }

    pub(crate) async fn me(&self) -> Answer {
        self.get("/me").await
    }

    pub(crate) async fn session(&self) -> Answer {
        self.get("/session").await
    }

    pub(crate) async fn sessions(&self) -> Answer {
        self.get("/sessions").await
    }

    pub(crate) async fn activity(&self) -> Answer {
        self.send(self.request(Method::POST, "/activity")).await
    }

    pub(crate) async fn logout(&mut self) -> Answer {
        let request = self.request(Method::POST, "/logout");
        self.exchange(request).await
    }

    pub(crate) async fn terminate(&mut self, session_id: &str) -> Answer {
        let request = self.request(Method::DELETE, &format!("/sessions/{session_id}"));
        self.exchange(request).await
    }

    pub(crate) async fn terminate_others(&self) -> Answer {
        self.send(self.request(Method::DELETE, "/sessions/all")).await
    }
}
