//! The cookies that browsers really send: several of the same name, beside those of other programs, under an
//! old name.

use reqwest::header::{COOKIE, HeaderValue};
use reqwest::{Method, RequestBuilder};

use crate::support::app::REFRESH_SECRET;
use crate::support::time::unix_seconds;
use crate::support::token::Token;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

const FOREIGN: &str = "https://evil.example.net";

async fn signed_in(app: &TestApp) -> Client {
    let mut client = app.client();
    client.signup(&Person::named("Ada")).await.expect(201);
    client
}

/// A browser's request without an access token, and with these `Cookie` lines.
fn with_cookies(client: &Client, path: &str, lines: &[Vec<u8>]) -> RequestBuilder {
    let mut stranger = client.clone();
    stranger.access = None;
    let request = stranger.request(Method::POST, path);
    lines.iter().fold(request, |request, line| request.header(COOKIE, HeaderValue::from_bytes(line).unwrap()))
}

async fn refresh(client: &mut Client, lines: &[Vec<u8>]) -> Answer {
    let request = with_cookies(client, "/refresh", lines);
    client.try_exchange(request).await.unwrap()
}

fn token(client: &Client) -> String {
    client.cookie.clone().unwrap()
}

#[tokio::test]
async fn each_of_several_is_tried() {
    let app = TestApp::start().await;
    let mut ada = signed_in(&app).await;
    let mut ended = app.client();
    ended.login(&Person::named("Ada")).await.expect(200);
    let over = token(&ended);
    ended.logout().await.expect(204);
    let expired =
        Token::open(&token(&ada), REFRESH_SECRET).with("exp", unix_seconds() - 2).sign(REFRESH_SECRET);

    for beside in ["left-over", &over, &expired, "\"quoted\"", ""] {
        let good = token(&ada);
        let cookies = format!("refreshToken={beside}; refreshToken={good}");
        refresh(&mut ada, &[cookies.into_bytes()]).await.expect(200);
        let good = token(&ada);
        let cookies = format!("refreshToken={good}; refreshToken={beside}");
        refresh(&mut ada, &[cookies.into_bytes()]).await.expect(200);
    }
    // On two lines, as HTTP/2 sends them and a gateway may forward them.
    let lines = [b"refreshToken=left-over".to_vec(), format!("refreshToken={}", token(&ada)).into_bytes()];
    refresh(&mut ada, &lines).await.expect(200);
}

#[tokio::test]
async fn an_older_one_of_the_same_session_is_no_theft_beside_the_current_one() {
    let app = Setup::on(Database::Sqlite).await.set("REFRESH_REUSE_GRACE_SECONDS", 0).start().await;
    let mut ada = signed_in(&app).await;
    let first = token(&ada);
    ada.refresh().await.expect(200);
    ada.refresh().await.expect(200);
    let cookies = format!("refreshToken={first}; refreshToken={}", token(&ada));
    refresh(&mut ada, &[cookies.into_bytes()]).await.expect(200);
    // Presented alone, it is theft.
    refresh(&mut ada, &[format!("refreshToken={first}").into_bytes()])
        .await
        .expect_problem(401, "refresh_token_reused");
}

#[tokio::test]
async fn where_none_is_good_the_answer_says_why_and_clears_them() {
    let app = TestApp::start().await;
    let mut ada = signed_in(&app).await;
    let good = token(&ada);
    ada.logout().await.expect(204);
    for (cookies, code) in [
        ("refreshToken=a; refreshToken=b".to_owned(), "refresh_token_invalid"),
        (format!("refreshToken=a; refreshToken={good}"), "session_logged_out"),
        ("refreshToken=; theme=dark".to_owned(), "refresh_token_missing"),
    ] {
        let answer = refresh(&mut ada, &[cookies.into_bytes()]).await;
        answer.expect_problem(401, code).expect_cookie_cleared();
    }
}

#[tokio::test]
async fn neighbours_that_are_no_text_change_nothing() {
    let app = TestApp::start().await;
    let mut ada = signed_in(&app).await;
    for (before, after) in [
        (&b"lang=caf\xe9; "[..], &b""[..]),
        (b"", b"; name=\xff\xfe\x80"),
        (b"=; ;; a; b==; \xe9; ", b"; refreshTokenx=1;"),
    ] {
        let good = token(&ada);
        let cookies = [before, b"refreshToken=", good.as_bytes(), after].concat();
        refresh(&mut ada, &[cookies]).await.expect(200);
    }
    let good = token(&ada);
    let lines = [b"\xff=\xfe".to_vec(), [b"refreshToken=\"", good.as_bytes(), b"\""].concat()];
    refresh(&mut ada, &lines).await.expect(200);
}

/// The browser keeps the cookie: otherwise a page of another site could sign its visitor out.
#[tokio::test]
async fn the_origin_is_looked_at_before_anything_else() {
    let app = TestApp::start().await;
    let ada = signed_in(&app).await;
    let good = format!("refreshToken={}", token(&ada)).into_bytes();
    for path in ["/refresh", "/logout", "/api/auth/refresh", "/api/auth/logout"] {
        for lines in [vec![], vec![good.clone()], vec![b"refreshToken=garbage".to_vec()]] {
            for origin in [FOREIGN, "null", "https://127.0.0.1"] {
                let empty = || with_cookies(&ada, path, &lines).header("Origin", origin);
                let form = empty().header("Content-Type", "application/x-www-form-urlencoded").body("a=b");
                let broken = empty().header("Content-Type", "application/json").body("{\"refreshToken\":");
                let large = empty().header("Content-Type", "application/json").body(" ".repeat(20_000));
                for request in [empty(), form, broken, large] {
                    let answer = ada.send(request).await.expect_problem(403, "origin_not_allowed");
                    assert_eq!(answer.header("set-cookie"), None, "{answer}");
                }
            }
        }
    }
    ada.clone().refresh().await.expect(200);
    ada.session().await.expect(200);
}

#[tokio::test]
async fn the_own_origin_is_known_in_whatever_form_a_proxy_sends_the_host() {
    let app = Setup::on(Database::Sqlite).await.set("TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let mut ada = signed_in(&app).await;
    for (origin, host, proto, status) in [
        ("https://a.example", "a.example:443", None, 200),
        ("http://a.example", "a.example:80", None, 200),
        ("https://a.example", "A.EXAMPLE", Some("https"), 200),
        ("https://a.example", "a.example:80", Some("https"), 200),
        ("https://a.example", "a.example:80", None, 403),
        ("http://a.example", "a.example", Some("https"), 403),
        ("https://a.example:444", "a.example:443", None, 403),
        ("https://a.example", "b.example", Some("https"), 403),
    ] {
        let mut request = ada.cookie_refresh(&token(&ada)).header("Origin", origin).header("Host", host);
        if let Some(proto) = proto {
            request = request.header("X-Forwarded-Proto", proto);
        }
        let answer = ada.try_exchange(request).await.unwrap();
        assert_eq!(answer.status, status, "{origin} {host} {proto:?}: {answer}");
    }
}

#[tokio::test]
async fn a_name_with_the_host_prefix_still_reads_the_plain_one() {
    let setup = Setup::on(Database::Sqlite).await.set("COOKIE_SECURE", true);
    let mut app = setup.start().await;
    let mut ada = signed_in(&app).await;
    let plain = token(&ada);
    app.restart_with(&[("COOKIE_NAME", "__Host-refreshToken")]).await;
    ada.follow(app.base());

    let answer = refresh(&mut ada, &[format!("refreshToken={plain}").into_bytes()]).await.expect(200);
    let set: Vec<_> =
        answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let (new, rest) = set[0].strip_prefix("__Host-refreshToken=").unwrap().split_once("; ").unwrap();
    assert!(rest.contains("Secure") && rest.contains("Path=/") && !rest.contains("Domain"), "{rest}");
    assert!(set[1].starts_with("refreshToken=;") && set[1].contains("Max-Age=0"), "{set:?}");

    // If both are sent, the one with the new name is the latest.
    let both = format!("refreshToken={plain}; __Host-refreshToken={new}");
    refresh(&mut ada, &[both.into_bytes()]).await.expect(200);
    let gone = refresh(&mut ada, &[b"__Host-refreshToken=x".to_vec()]).await.expect(401);
    assert_eq!(gone.headers.get_all("set-cookie").iter().count(), 2, "{gone}");
}

#[tokio::test]
async fn a_name_of_ones_own_is_the_only_one_read() {
    let app = Setup::on(Database::Sqlite).await.set("COOKIE_NAME", "sid").start().await;
    let mut ada = app.client();
    let answer = ada.signup(&Person::named("Ada")).await.expect(201);
    let set = answer.header("set-cookie").unwrap();
    let value = set.strip_prefix("sid=").unwrap().split(';').next().unwrap();
    refresh(&mut ada, &[format!("refreshToken={value}").into_bytes()])
        .await
        .expect_problem(401, "refresh_token_missing");
    refresh(&mut ada, &[format!("sid={value}").into_bytes()]).await.expect(200);
}
