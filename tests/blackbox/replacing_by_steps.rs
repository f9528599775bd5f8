//! Signing in again in the same browser by several steps, or by a passkey: that leaves no ghost either.

use reqwest::header::{COOKIE, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::authenticator::{App, Authenticator};
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, on_each_database};

const PAGE: &str = "https://app.example.com";

on_each_database!(
    the_last_step_of_a_login_leaves_no_ghost,
    what_is_kept_at_the_first_step_goes_on_after_the_last,
    a_passkey_leaves_no_ghost,
);

async fn app(db: Database) -> TestApp {
    let setup =
        Setup::on(db).await.set("ENCRYPTION_SECRET", "encryption-secret-of-the-tests-0123456789abcdef");
    setup.set("WEBAUTHN_RP_ID", "example.com").set("WEBAUTHN_ORIGINS", PAGE).start().await
}

/// A request from the browser of that device, with its cookie and nothing else.
fn from_browser_of(device: &Client, path: &str, body: &Value) -> RequestBuilder {
    let mut browser = device.clone();
    browser.access = None;
    let cookie = format!("refreshToken={}", device.cookie.as_ref().unwrap());
    browser.request(Method::POST, path).header(COOKIE, cookie).json(body)
}

async fn signed_up(app: &TestApp, name: &str) -> (Person, Client) {
    let (person, mut device) = (Person::named(name), app.client());
    device.signup(&person).await.expect(201);
    (person, device)
}

/// Sets up an app, and resets its time step, so that each code may be used again.
async fn set_up_app(app: &TestApp, device: &Client) -> App {
    let made = device.post("/factors/totp", &json!({})).await.expect(201).json;
    let totp = App::with(made["secret"].as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    forget_step(app).await;
    totp
}

async fn forget_step(app: &TestApp) {
    app.execute("UPDATE factors SET last_step = last_step - 10").await;
}

/// The first step, from that browser; returns what the second one is asked with.
async fn first_step(browser: &Client, credentials: &Value, totp: &App) -> Value {
    let asked = browser.send(from_browser_of(browser, "/login", credentials)).await;
    let asked = asked.expect_problem(401, "second_factor_required");
    json!({"loginTicket": asked.json["loginTicket"], "code": totp.code(0)})
}

async fn the_last_step_of_a_login_leaves_no_ghost(db: Database) {
    let app = app(db).await;
    let (ada, device) = signed_up(&app, "Ada").await;
    let totp = set_up_app(&app, &device).await;
    let (_, bobs) = signed_up(&app, "Bob").await;

    let last = first_step(&device, &ada.credentials(), &totp).await;
    device.session().await.expect(200);
    // Two cookies: this browser's own, and one that somebody else has left.
    let cookies = [&device, &bobs].map(|device| format!("refreshToken={}", device.cookie.clone().unwrap()));
    let mut browser = app.client();
    let request = browser.request(Method::POST, "/login/continue").header(COOKIE, cookies.join("; "));
    browser.try_exchange(request.json(&last)).await.unwrap().expect(200);
    device.session().await.expect_problem(401, "session_replaced");
    bobs.session().await.expect_problem(401, "session_replaced");
    assert_eq!(browser.sessions().await.expect(200).json["total"], 1);
}

async fn what_is_kept_at_the_first_step_goes_on_after_the_last(db: Database) {
    let app = app(db).await;
    let (ada, device) = signed_up(&app, "Ada").await;
    let totp = set_up_app(&app, &device).await;
    let mut keep = ada.credentials();
    keep["keepSession"] = json!(true);
    let last = first_step(&device, &keep, &totp).await;
    device.send(from_browser_of(&device, "/login/continue", &last)).await.expect(200);
    device.session().await.expect(200);

    // A page of somewhere else may not end anything.
    forget_step(&app).await;
    let last = first_step(&device, &ada.credentials(), &totp).await;
    let foreign = from_browser_of(&device, "/login/continue", &last).header(ORIGIN, "https://evil.example");
    device.send(foreign).await;
    device.session().await.expect(200);
    // A wrong code does not sign in, and ends nothing.
    forget_step(&app).await;
    let mut wrong = first_step(&device, &ada.credentials(), &totp).await;
    wrong["code"] = json!(totp.wrong_code());
    let refused = device.send(from_browser_of(&device, "/login/continue", &wrong)).await;
    refused.expect_problem(422, "validation_failed");
    device.session().await.expect(200);
}

async fn a_passkey_leaves_no_ghost(db: Database) {
    let app = app(db).await;
    let (_, device) = signed_up(&app, "Ada").await;
    let mut key = Authenticator::synced(PAGE);
    let options = device.post("/passkeys/options", &json!({})).await.expect(200).json;
    let body = json!({"requestId": options["requestId"], "credential": key.create(&options["publicKey"])});
    device.post("/passkeys", &body).await.expect(201);

    let mut sign_in = async |browser: &Client, options: Value| -> Answer {
        let asked = app.client().post("/passkeys/login/options", &options).await.expect(200).json;
        let credential = key.get(&asked["publicKey"]);
        let body = json!({"loginTicket": asked["loginTicket"], "credential": credential});
        browser.send(from_browser_of(browser, "/login/continue", &body)).await
    };
    sign_in(&device, json!({"keepSession": true})).await.expect(200);
    device.session().await.expect(200);
    sign_in(&device, json!({})).await.expect(200);
    device.session().await.expect_problem(401, "session_replaced");
}
