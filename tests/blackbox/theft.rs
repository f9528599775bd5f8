//! A refresh token used twice: whichever of the two is the thief, the session ends, and both learn why.

use std::time::Duration;

use crate::support::{Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(the_token_before_is_theft_after_the_grace, an_older_token_is_theft_at_any_time);

/// Nothing can be done with the session any more, and every response gives the reason.
async fn check_ended_by_theft(device: &mut Client) {
    device.session().await.expect_problem(401, "refresh_token_reused");
    device.refresh().await.expect_problem(401, "refresh_token_reused").expect_cookie_cleared();
}

async fn the_token_before_is_theft_after_the_grace(db: Database) {
    let app = Setup::on(db).await.set("REFRESH_REUSE_GRACE_SECONDS", 1).start().await;
    let ada = Person::named("Ada");
    let mut device = app.client();
    device.signup(&ada).await.expect(201);
    let mut elsewhere = app.client();
    elsewhere.login(&ada).await.expect(200);
    let stolen = device.cookie.clone().unwrap();
    device.refresh().await.expect(200);
    // Until the new tokens have been used, the response with them may have been lost.
    device.session().await.expect(200);

    eventually("the grace passes", Duration::from_secs(5), async || {
        let answer = device.send(device.cookie_refresh(&stolen)).await;
        if answer.status == 200 {
            return Err(answer.to_string());
        }
        let answer = answer.expect_problem(401, "refresh_token_reused");
        Ok(answer.expect_cookie_cleared())
    })
    .await;

    check_ended_by_theft(&mut device).await;
    // Only that session has ended, not the person's others.
    elsewhere.session().await.expect(200);
    elsewhere.refresh().await.expect(200);
}

async fn an_older_token_is_theft_at_any_time(db: Database) {
    let app = TestApp::on(db).await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    let stolen = device.cookie.clone().unwrap();
    device.refresh().await.expect(200);
    device.refresh().await.expect(200);

    // Two generations old, and well within the grace of either rotation.
    let answer = device.send(device.body_refresh(&stolen)).await;
    answer.expect_problem(401, "refresh_token_reused").expect_cookie_cleared();
    check_ended_by_theft(&mut device).await;
}
