//! GET `/me`: the person behind the token.

use std::time::Duration;

use crate::support::answer::members;
use crate::support::{Database, Person, TestApp, eventually, on_each_database, timestamp};

on_each_database!(tells_the_user, last_activity_is_that_of_any_session);

async fn tells_the_user(db: Database) {
    let app = TestApp::on(db).await;
    let mut ada = app.client();
    let signup = ada.signup(&Person::named("Ada")).await.expect(201).json;

    let me = ada.me().await.expect(200).json;
    assert_eq!(members(&me), ["user"]);
    let user = &me["user"];
    let names = [
        "createdAt",
        "email",
        "emailVerified",
        "emailVerifiedAt",
        "id",
        "lastActivityAt",
        "name",
        "role",
        "updatedAt",
    ];
    assert_eq!(members(user), names);
    for member in ["id", "name", "email", "role", "createdAt"] {
        assert_eq!(user[member], signup["user"][member]);
    }
    assert_eq!(user["lastActivityAt"], signup["session"]["lastActivity"]);
}

async fn last_activity_is_that_of_any_session(db: Database) {
    let app = TestApp::on(db).await;
    let ada = Person::named("Ada");
    let (mut first, mut second) = (app.client(), app.client());
    first.signup(&ada).await.expect(201);
    second.login(&ada).await.expect(200);

    let at_first = first.me().await.expect(200).json["user"]["lastActivityAt"].clone();
    let moved = eventually("activity moves", Duration::from_secs(5), async || {
        let answer = second.activity().await.expect(200).json;
        let last = answer["lastActivity"].clone();
        if timestamp(&last) > timestamp(&at_first) { Ok(last) } else { Err(last.to_string()) }
    })
    .await;

    assert_eq!(first.me().await.expect(200).json["user"]["lastActivityAt"], moved);
}
