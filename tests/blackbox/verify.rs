//! `/verify`: the identity that a gateway gets for a request, and that nobody can impersonate somebody else.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};

use crate::support::metrics::Metrics;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, eventually, on_each_database};

const APP: &str = "https://app.example.com";
const IDENTITY: [&str; 4] = ["x-auth-user-id", "x-auth-session-id", "x-auth-role", "x-auth-acr"];

on_each_database!(a_live_session_is_told_by_token_and_by_cookie, an_ended_session_is_refused);

async fn app() -> TestApp {
    Setup::on(Database::Sqlite).await.set("CORS_ORIGIN", APP).start().await
}

async fn signed_in(app: &TestApp) -> (Client, String) {
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201);
    let user = signup.uuid("/user/id").to_string();
    (ada, user)
}

fn by_cookie(device: &Client, method: Method, path: &str) -> RequestBuilder {
    let cookie = format!("theme=dark; refreshToken={}; lang=en", device.cookie.as_ref().unwrap());
    let mut stranger = device.clone();
    stranger.access = None;
    stranger.request(method, path).header("Cookie", cookie)
}

/// The identity headers, each of which must occur exactly once.
#[track_caller]
fn identity(answer: &Answer) -> [&str; 4] {
    let headers: &HeaderMap = &answer.headers;
    IDENTITY.map(|name| {
        let mut values = headers.get_all(name).iter();
        let value = values.next().unwrap_or_else(|| panic!("no {name} in {answer}"));
        assert!(values.next().is_none(), "{name} twice in {answer}");
        value.to_str().unwrap()
    })
}

#[track_caller]
fn expect_nobody(answer: &Answer) {
    assert_eq!(identity(answer), ["", "", "", ""], "{answer}");
}

async fn a_live_session_is_told_by_token_and_by_cookie(db: Database) {
    let app = TestApp::on(db).await;
    let (ada, user) = signed_in(&app).await;
    let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for prefix in ["", "/api/auth"] {
        for path in ["/verify", "/verify/", "/verify/some/page.html?order=asc&id=7"] {
            for method in &methods {
                let answer =
                    ada.send(ada.request(method.clone(), &format!("{prefix}{path}"))).await.expect(200);
                assert_eq!(
                    identity(&answer),
                    [user.as_str(), &ada.session_id, "STARTER", "aal1"],
                    "{answer}"
                );
            }
            let answer = ada.send(by_cookie(&ada, Method::GET, &format!("{prefix}{path}"))).await.expect(200);
            assert_eq!(identity(&answer), [user.as_str(), &ada.session_id, "STARTER", "aal1"], "{answer}");
            assert!(answer.headers.get("set-cookie").is_none(), "{answer}");
        }
    }
}

async fn an_ended_session_is_refused(db: Database) {
    let app = TestApp::on(db).await;
    let (mut ada, _) = signed_in(&app).await;
    let cookie = ada.clone();
    ada.logout().await.expect(204);
    let answer = ada.get("/verify").await.expect_problem(401, "session_logged_out");
    expect_nobody(&answer);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer error="), "{answer}");
    let answer = ada.send(by_cookie(&cookie, Method::GET, "/verify")).await;
    expect_nobody(&answer.expect_problem(401, "session_logged_out"));
}

#[tokio::test]
async fn nobody_is_let_in_without_a_good_token() {
    let app = app().await;
    let (mut ada, _) = signed_in(&app).await;
    let nobody = app.client();
    let answer = nobody.get("/verify").await.expect_problem(401, "token_missing");
    expect_nobody(&answer);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    // Another scheme may belong to the protected application.
    let basic = by_cookie(&ada, Method::GET, "/verify").header("Authorization", "Basic YTpi");
    nobody.send(basic).await.expect(200);
    let bad = by_cookie(&ada, Method::GET, "/verify").header("Authorization", "Bearer nonsense");
    expect_nobody(&nobody.send(bad).await.expect_problem(401, "token_invalid"));
    let nonsense = nobody.request(Method::GET, "/verify").header("Cookie", "refreshToken=nonsense");
    expect_nobody(&nobody.send(nonsense).await.expect_problem(401, "refresh_token_invalid"));
    // An access token is not accepted as a refresh token, nor the other way round.
    let access = ada.access.clone().unwrap();
    let swapped = nobody.request(Method::GET, "/verify").header("Cookie", format!("refreshToken={access}"));
    nobody.send(swapped).await.expect_problem(401, "refresh_token_invalid");
    ada.access = ada.cookie.clone();
    ada.get("/verify").await.expect_problem(401, "token_invalid");
}

/// What a client sends under these names is overwritten by the service's own values, on every response.
#[tokio::test]
async fn spoofed_identity_headers_are_overwritten() {
    let app = app().await;
    let (ada, user) = signed_in(&app).await;
    let spoofed = |request: RequestBuilder| {
        IDENTITY.into_iter().fold(request, |request, name| request.header(name, "ADMIN"))
    };
    for method in [Method::GET, Method::POST, Method::OPTIONS] {
        let answer = ada.send(spoofed(ada.request(method, "/verify"))).await.expect(200);
        assert_eq!(identity(&answer), [user.as_str(), &ada.session_id, "STARTER", identity(&answer)[3]]);
        assert_ne!(identity(&answer)[3], "ADMIN");
    }
    let nobody = app.client();
    for (path, status) in [("/verify", 401), ("/verify?role=ADMIN", 400), ("/verify/x", 401)] {
        let answer = nobody.send(spoofed(nobody.request(Method::GET, path))).await;
        expect_nobody(&answer.expect(status));
    }
    let forbidden = ada.send(spoofed(ada.request(Method::GET, "/verify?roles=ADMIN"))).await;
    expect_nobody(&forbidden.expect_problem(403, "insufficient_role"));
}

/// Answering a preflight here would let the request through and say nothing about who sent it.
#[tokio::test]
async fn a_preflight_is_a_request_like_any_other() {
    let app = app().await;
    let nobody = app.client();
    for path in ["/verify", "/verify/page", "/api/auth/verify"] {
        let preflight = nobody
            .request(Method::OPTIONS, path)
            .header("Origin", APP)
            .header("Access-Control-Request-Method", "POST");
        expect_nobody(&nobody.send(preflight).await.expect_problem(401, "token_missing"));
    }
}

#[tokio::test]
async fn filters_let_in_whom_they_name() {
    let app = app().await;
    let (ada, _) = signed_in(&app).await;
    for good in [
        "?roles=STARTER",
        "?roles=ADMIN,STARTER",
        "?roles=ADMIN%2CSTARTER",
        "?redirect=1",
        "?redirect=0",
        "?acr=aal1",
        "/page?redirect=%2Fhome&redirect=2&role=x",
        "/page?roles=editor&acr=x",
        "/page?roles=ADMIN&roles=editor",
        "/page?roles=",
        "/page?%zz",
    ] {
        ada.get(&format!("/verify{good}")).await.expect(200);
    }
    ada.get("/verify?roles=ADMIN,PRO").await.expect_problem(403, "insufficient_role");
    ada.get("/verify/page?roles=ADMIN").await.expect_problem(403, "insufficient_role");
    expect_nobody(&ada.get("/verify?acr=aal2").await.expect_problem(403, "insufficient_acr"));
    for bad in [
        "?role=ADMIN",
        "?roles=admin",
        "?roles=STARTER&roles=ADMIN",
        "?acr=aal3",
        "?x",
        "?roles=STARTER,",
        // An unset variable in the gateway's configuration must not let everybody in.
        "?roles=",
        "?acr=",
        "?acr=aal1&acr=aal1",
        "?redirect=",
        "?redirect=yes",
        "?redirect=1&redirect=1",
    ] {
        expect_nobody(&ada.get(&format!("/verify{bad}")).await.expect_problem(400, "invalid_request"));
    }
}

#[tokio::test]
async fn by_cookie_what_changes_something_needs_an_allowed_origin() {
    let app = app().await;
    let (ada, _) = signed_in(&app).await;
    let own = app.base().to_owned();
    let ask = async |forwarded: Option<&str>, method: Method, headers: &[(&str, &str)]| {
        let mut request = by_cookie(&ada, method, "/verify");
        if let Some(forwarded) = forwarded {
            request = request.header("X-Forwarded-Method", forwarded);
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        ada.send(request).await
    };
    for origin in [APP, &own] {
        ask(Some("POST"), Method::GET, &[("Origin", origin)]).await.expect(200);
    }
    let evil = [("Origin", "https://evil.example")];
    for forwarded in ["POST", "DELETE", "get", "NONSENSE"] {
        let answer = ask(Some(forwarded), Method::GET, &evil).await;
        expect_nobody(&answer.expect_problem(403, "origin_not_allowed"));
        ask(Some(forwarded), Method::GET, &[]).await.expect_problem(403, "origin_not_allowed");
        let same_site = [("Sec-Fetch-Site", "same-site")];
        ask(Some(forwarded), Method::GET, &same_site).await.expect_problem(403, "origin_not_allowed");
        ask(Some(forwarded), Method::GET, &[("Sec-Fetch-Site", "same-origin")]).await.expect(200);
    }
    for forwarded in ["GET", "HEAD", "OPTIONS"] {
        ask(Some(forwarded), Method::POST, &evil).await.expect(200);
    }
    // Without the header, the request's own method counts.
    ask(None, Method::GET, &evil).await.expect(200);
    ask(None, Method::POST, &evil).await.expect_problem(403, "origin_not_allowed");
    // A token is not a cookie: no page can make a browser send it.
    let bearer = ada.request(Method::POST, "/verify").header("Origin", "https://evil.example");
    ada.send(bearer).await.expect(200);
}

#[tokio::test]
async fn a_cookie_is_looked_at_and_never_rotated() {
    let app = Setup::on(Database::Sqlite).await.set("REFRESH_REUSE_GRACE_SECONDS", 1).start().await;
    let (mut ada, _) = signed_in(&app).await;
    let first = ada.clone();
    for _ in 0..3 {
        ada.send(by_cookie(&ada, Method::GET, "/verify")).await.expect(200);
    }
    ada.refresh().await.expect(200);
    // Another tab may still have the previous cookie.
    ada.send(by_cookie(&first, Method::GET, "/verify")).await.expect(200);
    ada.refresh().await.expect(200);
    expect_nobody(&ada.send(by_cookie(&first, Method::GET, "/verify")).await.expect(401));
    ada.session().await.expect(200);
    ada.refresh().await.expect(200);
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_the_page_for_it_and_back() {
    let login = "https://app.example.com/login?theme=dark";
    let setup =
        Setup::on(Database::Sqlite).await.set("CORS_ORIGIN", APP).set("FORWARD_AUTH_LOGIN_URL", login);
    let app = setup.start().await;
    let http =
        reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let ask = async |path: &str, accept: &str, host: &str| {
        let request = http
            .get(format!("{}{path}", app.base()))
            .header("Accept", accept)
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", host)
            .header("X-Forwarded-Uri", "/a?b=c&d");
        Answer::read("GET /verify".to_owned(), request.send().await.unwrap()).await.unwrap()
    };
    let page = "text/html,application/xhtml+xml,*/*;q=0.8";
    let answer = ask("/verify?redirect=1", page, "app.example.com").await.expect(302);
    let back = "https%3A%2F%2Fapp%2Eexample%2Ecom%2Fa%3Fb%3Dc%26d";
    assert_eq!(answer.header("location"), Some(format!("{login}&return_to={back}").as_str()));
    expect_nobody(&answer);
    let own = app.address().to_owned();
    let answer = ask("/verify?redirect=1", page, &own).await.expect(302);
    assert!(answer.header("location").unwrap().contains("return_to="), "{answer}");
    for foreign in ["evil.example", "app.example.com.evil.example", "app.example.com@evil.example"] {
        let answer = ask("/verify?redirect=1", page, foreign).await.expect(302);
        assert_eq!(answer.header("location"), Some(login), "{answer}");
    }
    ask("/verify?redirect=1", "application/json", "app.example.com").await.expect(401);
    ask("/verify", page, "app.example.com").await.expect(401);
    ask("/verify?redirect=0", page, "app.example.com").await.expect(401);
}

#[tokio::test]
async fn asking_is_no_activity_takes_no_database_and_is_counted() {
    let app = app().await;
    let (ada, _) = signed_in(&app).await;
    let before = ada.session().await.expect(200).json;
    let statements = Metrics::read(&app.client()).await.value("auth_database_statements_total");
    for _ in 0..100 {
        ada.get("/verify").await.expect(200);
        ada.send(by_cookie(&ada, Method::GET, "/verify")).await.expect(200);
    }
    app.client().get("/verify").await.expect(401);
    ada.get("/verify?roles=ADMIN").await.expect(403);
    let metrics = Metrics::read(&app.client()).await;
    // The sweeper queries twice a second in any case.
    let asked = metrics.value("auth_database_statements_total") - statements;
    assert!(asked < 40.0, "{asked} statements");
    for (result, count) in
        [("allowed", 200.0), ("unauthenticated", 1.0), ("forbidden", 1.0), ("limited", 0.0)]
    {
        assert_eq!(metrics.value(&format!("auth_verify_total{{result=\"{result}\"}}")), count, "{result}");
    }
    let after = ada.session().await.expect(200).json;
    assert_eq!(after["session"]["lastActivity"], before["session"]["lastActivity"]);
}

#[tokio::test]
async fn its_limit_is_its_own() {
    let setup =
        Setup::on(Database::Sqlite).await.set("RATE_LIMIT_API_PER_MINUTE", 3).set("RATE_LIMIT_ENABLED", true);
    let app = setup.set("RATE_LIMIT_VERIFY_PER_MINUTE", 5).start().await;
    let (ada, _) = signed_in(&app).await;
    for _ in 0..5 {
        ada.get("/verify").await.expect(200);
    }
    expect_nobody(
        &ada.send(by_cookie(&ada, Method::GET, "/verify")).await.expect_problem(429, "rate_limited"),
    );
    for _ in 0..3 {
        ada.session().await.expect(200);
    }
    ada.session().await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn a_session_that_time_ends_is_refused() {
    let app = Setup::on(Database::Sqlite).await.set("SESSION_TIMEOUT_MINUTES", "0.02").start().await;
    let (ada, _) = signed_in(&app).await;
    ada.get("/verify").await.expect(200);
    let refused = eventually("the idle session is refused", std::time::Duration::from_secs(10), async || {
        let answer = ada.send(by_cookie(&ada, Method::GET, "/verify")).await;
        if answer.status == 401 { Ok(answer) } else { Err(answer.to_string()) }
    });
    expect_nobody(&refused.await.expect_problem(401, "session_idle_timeout"));
}
