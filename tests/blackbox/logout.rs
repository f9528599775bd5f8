//! POST `/logout`: this session ends, and the browser forgets its token.

use crate::support::{Database, Person, TestApp, on_each_database};

on_each_database!(ends_this_session_alone, stays_ended_after_a_restart);

async fn ends_this_session_alone(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    let answer = first.logout().await.expect(204);
    assert_eq!(answer.text, "");
    answer.expect_cookie_cleared();

    first.session().await.expect_problem(401, "session_logged_out");
    first.logout().await.expect_problem(401, "session_logged_out");
    let list = second.sessions().await.expect(200).json;
    assert_eq!(list["total"], 1);
    assert_eq!(list["sessions"][0]["id"], second.session_id);
}

async fn stays_ended_after_a_restart(db: Database) {
    let mut app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);
    first.logout().await.expect(204);

    app.restart().await;
    first.follow(app.base());
    second.follow(app.base());
    first.session().await.expect_problem(401, "session_logged_out");
    second.session().await.expect(200);
}
