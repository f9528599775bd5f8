//! `/revoke` (RFC 7009): a token's holder ends its session, and the response discloses nothing else.

use reqwest::Method;

use crate::support::{Answer, Client, Database, Person, TestApp, on_each_database};

on_each_database!(a_token_of_either_kind_ends_its_session, what_is_no_good_token_is_answered_alike);

async fn revoke(client: &Client, form: &[(&str, &str)]) -> Answer {
    let mut anybody = client.clone();
    anybody.access = None;
    let body = form.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let request = anybody
        .request(Method::POST, "/revoke")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    anybody.send(request).await
}

async fn a_token_of_either_kind_ends_its_session(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let devices = app.devices(&ada, 3).await;
    let access = devices[0].access.clone().unwrap();
    let answer =
        revoke(&devices[0], &[("token", &access), ("token_type_hint", "refresh_token")]).await.expect(200);
    assert_eq!(answer.text, "");
    devices[0].session().await.expect_problem(401, "session_logged_out");
    let refresh = devices[1].cookie.clone().unwrap();
    revoke(&devices[1], &[("token", &refresh)]).await.expect(200);
    devices[1].session().await.expect_problem(401, "session_logged_out");
    // The other device is not affected, and repeating it changes nothing.
    revoke(&devices[1], &[("token", &refresh)]).await.expect(200);
    devices[2].session().await.expect(200);
}

async fn what_is_no_good_token_is_answered_alike(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = app.client();
    ada.signup(&Person::named("Ada")).await.expect(201);
    let old = ada.cookie.clone().unwrap();
    ada.refresh().await.expect(200);
    ada.refresh().await.expect(200);
    // An old generation ends nothing: theft is not detected here.
    for token in ["nonsense", &old, "ak_0123_4567", "a.b.c"] {
        let answer = revoke(&ada, &[("token", token)]).await.expect(200);
        assert_eq!(answer.text, "");
    }
    ada.session().await.expect(200);
    for bad in
        [&[("token_type_hint", "access_token")][..], &[("token", "")], &[("token", "a"), ("token", "b")], &[]]
    {
        revoke(&ada, bad).await.expect_problem(400, "invalid_request");
    }
    let json = ada.post("/revoke", &serde_json::json!({"token": old})).await;
    json.expect_problem(415, "unsupported_media_type");
    ada.get("/revoke").await.expect_problem(405, "method_not_allowed");
}
