//! Rate limits: refused before any hashing, with `Retry-After`, and counted for the right subject.

use serde_json::json;

use crate::support::{Answer, Client, Database, Person, Setup, TestApp};

/// A service without limits except the one that the test sets.
async fn limited(variable: &str, limit: u32) -> TestApp {
    let mut setup = Setup::on(Database::Sqlite)
        .await
        .set("RATE_LIMIT_ENABLED", true)
        .set("TRUSTED_PROXIES", "127.0.0.1/32");
    for limit in [
        "RATE_LIMIT_LOGIN_PER_MINUTE",
        "RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE",
        "RATE_LIMIT_SIGNUP_PER_HOUR",
        "RATE_LIMIT_REFRESH_PER_MINUTE",
        "RATE_LIMIT_API_PER_MINUTE",
    ] {
        setup = setup.set(limit, 0);
    }
    setup.set(variable, limit).start().await
}

/// Sends requests until one is refused: not before the limit, and soon after it. Up to twice the limit plus
/// one are allowed, because a new minute may begin meanwhile.
async fn until_refused(limit: u32, mut ask: impl AsyncFnMut(u32) -> Answer) -> Answer {
    for asked in 0..=2 * limit {
        let answer = ask(asked).await;
        if answer.status == 429 {
            assert!(asked >= limit, "refused after {asked} of {limit}: {answer}");
            let answer = answer.expect_problem(429, "rate_limited");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=3600).contains(&wait), "{answer}");
            return answer;
        }
    }
    panic!("never refused within {} requests", 2 * limit + 1);
}

/// A login as if it came from that address.
async fn login_from(client: &Client, address: &str, email: &str, password: &str) -> Answer {
    let request = client
        .request(reqwest::Method::POST, "/login")
        .header("X-Forwarded-For", address)
        .json(&json!({"email": email, "password": password}));
    client.send(request).await
}

#[tokio::test]
async fn logins_are_limited_by_address() {
    let app = limited("RATE_LIMIT_LOGIN_PER_MINUTE", 4).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let client = app.client();

    // Correct and wrong passwords count alike.
    until_refused(4, async |asked| {
        let password = if asked % 2 == 0 { ada.password.as_str() } else { "a wrong one" };
        login_from(&client, "203.0.113.1", &ada.email, password).await
    })
    .await;
    let other = login_from(&client, "203.0.113.2", &ada.email, &ada.password).await;
    other.expect(200);
}

#[tokio::test]
async fn failures_are_limited_by_account_and_address() {
    let app = limited("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 3).await;
    let (ada, bob) = (Person::named("Ada"), Person::named("Bob"));
    app.client().signup(&ada).await.expect(201);
    app.client().signup(&bob).await.expect(201);
    let client = app.client();

    until_refused(3, async |_| login_from(&client, "203.0.113.1", &ada.email, "a wrong one").await).await;
    // Now the correct password is refused too: nobody can tell whether a guess was correct.
    let right = login_from(&client, "203.0.113.1", "ADA@example.com", &ada.password).await;
    right.expect_problem(429, "rate_limited");
    // Neither another account nor the same one from another address is affected.
    login_from(&client, "203.0.113.1", &bob.email, &bob.password).await.expect(200);
    login_from(&client, "203.0.113.2", &ada.email, &ada.password).await.expect(200);
}

/// Among many concurrent guesses, those beyond the allowed failures must reveal nothing.
#[tokio::test]
async fn guesses_made_at_once_are_limited_too() {
    let app = limited("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 3).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let client = app.client();
    let guesses = (0..30).map(|_| login_from(&client, "203.0.113.1", &ada.email, "a wrong one"));
    let answers = futures_util::future::join_all(guesses).await;
    let told_wrong = answers.iter().filter(|answer| answer.status == 401).count();
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((told_wrong, refused), (3, 27));
}

#[tokio::test]
async fn how_much_is_left_is_told() {
    let app = limited("RATE_LIMIT_LOGIN_PER_MINUTE", 3).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    let client = app.client();
    let told = |answer: &Answer, name: &str| -> u64 { answer.header(name).unwrap().parse().unwrap() };
    for remaining in [2, 1, 0, 0] {
        let answer = login_from(&client, "203.0.113.1", &ada.email, &ada.password).await;
        assert_eq!(answer.status, if answer.header("retry-after").is_some() { 429 } else { 200 });
        assert_eq!(told(&answer, "ratelimit-limit"), 3);
        assert_eq!(told(&answer, "ratelimit-remaining"), remaining);
        assert!((1..=60).contains(&told(&answer, "ratelimit-reset")));
        assert_eq!(answer.header("ratelimit-policy"), Some("3;w=60"));
    }
    assert_eq!(app.client().get("/health").await.header("ratelimit-limit"), None);
}

#[tokio::test]
async fn good_logins_are_no_failures() {
    let app = limited("RATE_LIMIT_LOGIN_FAILURES_PER_MINUTE", 2).await;
    let ada = Person::named("Ada");
    app.client().signup(&ada).await.expect(201);
    for _ in 0..6 {
        app.client().login(&ada).await.expect(200);
    }
}

#[tokio::test]
async fn signups_are_limited_by_address() {
    let app = limited("RATE_LIMIT_SIGNUP_PER_HOUR", 3).await;
    let client = app.client();
    let signup = async |name: &str, address: &str| {
        let request = client
            .request(reqwest::Method::POST, "/signup")
            .header("X-Forwarded-For", address)
            .json(&Person::named(name).registration());
        client.send(request).await
    };
    until_refused(3, async |asked| signup(&format!("Person{asked}"), "203.0.113.1").await).await;
    signup("Elsewhere", "203.0.113.2").await.expect(201);
}

#[tokio::test]
async fn refreshes_are_limited_by_session() {
    let app = limited("RATE_LIMIT_REFRESH_PER_MINUTE", 3).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    let refused = until_refused(3, async |_| first.refresh().await).await;
    assert_eq!(refused.set_cookie(), None, "the token is still good, so the browser keeps it");
    second.refresh().await.expect(200);
}

#[tokio::test]
async fn requests_are_limited_by_user() {
    let app = limited("RATE_LIMIT_API_PER_MINUTE", 5).await;
    let (mut ada, mut bob) = (app.client(), app.client());
    ada.signup(&Person::named("Ada")).await.expect(201);
    bob.signup(&Person::named("Bob")).await.expect(201);

    until_refused(5, async |_| ada.session().await).await;
    bob.session().await.expect(200);
}

#[tokio::test]
async fn no_limit_at_all_when_disabled() {
    let app = Setup::on(Database::Sqlite)
        .await
        .set("RATE_LIMIT_ENABLED", false)
        .set("RATE_LIMIT_LOGIN_PER_MINUTE", 1)
        .set("RATE_LIMIT_API_PER_MINUTE", 1)
        .start()
        .await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    for _ in 0..5 {
        device.login(&ada).await.expect(200);
        device.session().await.expect(200);
    }
}
