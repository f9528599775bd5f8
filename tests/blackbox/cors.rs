//! Which web pages may call the service, and that a foreign one cannot use the cookie.

use reqwest::Method;

use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

const OWN: &str = "https://app.example.com";
const SECOND: &str = "http://localhost:3000";
const FOREIGN: &str = "https://evil.example.net";

async fn app() -> TestApp {
    let setup = Setup::on(Database::Sqlite).await;
    setup.set("CORS_ORIGIN", format!("{OWN}, {SECOND}")).start().await
}

fn list(answer: &Answer, header: &str) -> Vec<String> {
    let values = answer.headers.get_all(header).iter();
    values
        .flat_map(|value| value.to_str().unwrap().split(','))
        .map(|part| part.trim().to_lowercase())
        .collect()
}

async fn preflight(client: &Client, origin: &str) -> Answer {
    let request = client
        .request(Method::OPTIONS, "/sessions/all")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "DELETE")
        .header("Access-Control-Request-Headers", "authorization,content-type");
    client.send(request).await
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_ask_with_its_cookie() {
    let app = app().await;
    let client = app.client();
    for origin in [OWN, SECOND] {
        let answer = preflight(&client, origin).await;
        assert!(matches!(answer.status, 200 | 204), "{answer}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert!(list(&answer, "access-control-allow-methods").contains(&"delete".to_owned()));
        let headers = list(&answer, "access-control-allow-headers");
        assert!(headers.contains(&"authorization".to_owned()), "{answer}");
        assert!(headers.contains(&"content-type".to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn an_allowed_page_may_read_answers_and_errors() {
    let app = app().await;
    let client = app.client();
    for (path, status) in [("/config", 200), ("/me", 401), ("/nothing", 404)] {
        let request = client.request(Method::GET, path).header("Origin", OWN);
        let answer = client.send(request).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(OWN), "{answer}");
        let exposed = list(&answer, "access-control-expose-headers");
        for header in ["retry-after", "x-request-id"] {
            assert!(exposed.contains(&header.to_owned()), "{answer}");
        }
        assert!(list(&answer, "vary").contains(&"origin".to_owned()), "{answer}");
    }
}

#[tokio::test]
async fn a_foreign_page_may_read_nothing() {
    let app = app().await;
    let client = app.client();
    let answer = preflight(&client, FOREIGN).await;
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer}");
    let request = client.request(Method::GET, "/config").header("Origin", FOREIGN);
    let answer = client.send(request).await;
    assert_eq!(answer.header("access-control-allow-origin"), None, "{answer}");
}

#[tokio::test]
async fn a_foreign_page_cannot_refresh_with_the_cookie() {
    let app = app().await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let cookie = ada.cookie.clone().unwrap();

    for origin in [FOREIGN, "null"] {
        let request = ada.cookie_refresh(&cookie).header("Origin", origin);
        let answer = ada.send(request).await;
        answer.expect_problem(403, "origin_not_allowed");
    }
    let request = ada.cookie_refresh(&cookie).header("Origin", OWN);
    ada.try_exchange(request).await.unwrap().expect(200);
    // A program sends no Origin.
    ada.refresh().await.expect(200);
}

#[tokio::test]
async fn a_token_in_the_body_is_good_from_anywhere() {
    let app = app().await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let mut program = app.client();
    program.login_for_body(&ada).await.expect(200);

    let request = program.body_refresh(program.refresh.as_ref().unwrap()).header("Origin", FOREIGN);
    program.send(request).await.expect(200);
}

/// The browser itself refuses what is not in the lists, and says so.
#[tokio::test]
async fn a_preflight_is_answered_with_the_lists_whatever_it_asked_for() {
    let app = app().await;
    let client = app.client();
    for (path, method, headers) in [
        ("/me", "PATCH", "authorization,traceparent"),
        ("/login", "POST", "content-type,x-requested-with,baggage,tracestate"),
        ("/api/auth/login", "PUT", "x-anything"),
        ("/nothing", "GET", ""),
    ] {
        let request = client
            .request(Method::OPTIONS, path)
            .header("Origin", OWN)
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", headers);
        let answer = client.send(request).await;
        assert!(matches!(answer.status, 200 | 204), "{answer}");
        assert_eq!(answer.header("access-control-allow-origin"), Some(OWN), "{answer}");
        let allowed = list(&answer, "access-control-allow-headers");
        for header in [
            "authorization",
            "content-type",
            "x-request-id",
            "x-requested-with",
            "traceparent",
            "tracestate",
            "baggage",
        ] {
            assert!(allowed.contains(&header.to_owned()), "{header}: {answer}");
        }
        let methods = list(&answer, "access-control-allow-methods");
        for method in ["get", "post", "patch", "delete"] {
            assert!(methods.contains(&method.to_owned()), "{method}: {answer}");
        }
        assert!(list(&answer, "vary").contains(&"origin".to_owned()), "{answer}");
    }
    let foreign = preflight(&client, FOREIGN).await.expect_problem(403, "origin_not_allowed");
    assert_eq!(foreign.header("access-control-allow-methods"), None, "{foreign}");
}

#[tokio::test]
async fn a_page_may_read_how_much_of_a_limit_is_left() {
    let app = app().await;
    let client = app.client();
    let request = client.request(Method::GET, "/config").header("Origin", OWN);
    let exposed = list(&client.send(request).await.expect(200), "access-control-expose-headers");
    for header in [
        "retry-after",
        "x-request-id",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
        "ratelimit-policy",
    ] {
        assert!(exposed.contains(&header.to_owned()), "{header} of {exposed:?}");
    }
}
