//! `/admin/users`: an operator finds, creates, changes and deletes accounts.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::api_keys::with_key;
use crate::support::answer::members;
use crate::support::{Answer, Client, Database, Person, Setup, TestApp, eventually, on_each_database};

on_each_database!(
    accounts_are_listed_page_by_page,
    an_account_is_changed_as_it_was_last_seen,
    an_account_is_made_disabled_and_deleted,
    of_changes_at_the_same_time_none_is_lost,
    the_latest_activity_of_any_session_is_shown,
);

const ALL: [&str; 5] = ["users:read", "users:write", "users:delete", "sessions:read", "sessions:end"];

/// A service with an operator who may do everything.
pub(super) async fn operated(setup: Setup) -> (TestApp, Client) {
    let key = setup.api_key(&ALL).await;
    let app = setup.start().await;
    let operator = with_key(&app, &key);
    (app, operator)
}

async fn patch(operator: &Client, id: &str, tag: Option<&str>, body: &Value) -> Answer {
    let request = operator.request(Method::PATCH, &format!("/admin/users/{id}")).json(body);
    operator.send(tag.into_iter().fold(request, |request, tag| request.header("If-Match", tag))).await
}

fn emails(answer: &Answer) -> Vec<&str> {
    let users = answer.json["users"].as_array().unwrap_or_else(|| panic!("no users in {answer}"));
    users.iter().map(|user| user["email"].as_str().unwrap()).collect()
}

async fn accounts_are_listed_page_by_page(db: Database) {
    let (app, operator) = operated(Setup::on(db).await.set("RATE_LIMIT_ENABLED", false)).await;
    for number in 0..7 {
        let name = format!("{}{number}", if number % 2 == 0 { "ada" } else { "eve" });
        let body = json!({"name": name, "email": format!("{name}@example.com"), "role": if number == 3 { "PRO" } else { "STARTER" }});
        operator.post("/admin/users", &body).await.expect(201);
        tokio::task::yield_now().await;
    }
    let newest_first = operator.get("/admin/users").await.expect(200);
    let all = emails(&newest_first).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(all.len(), 7);
    assert!(newest_first.json["nextCursor"].is_null());
    let mut created: Vec<_> = newest_first.json["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["createdAt"].to_string())
        .collect();
    let listed = created.clone();
    created.sort_by(|one, other| other.cmp(one));
    assert_eq!(listed, created, "not the newest first");

    let (mut seen, mut path) = (Vec::new(), "/admin/users?limit=3".to_owned());
    let mut rounds = 0;
    loop {
        let page = operator.get(&path).await.expect(200);
        seen.extend(emails(&page).into_iter().map(str::to_owned));
        rounds += 1;
        if rounds == 1 {
            // A user who signs up meanwhile is on no later page, and shifts nothing.
            app.client().signup(&Person::named("Late")).await.expect(201);
        }
        match page.json["nextCursor"].as_str() {
            Some(cursor) => path = format!("/admin/users?limit=3&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((seen, rounds), (all.clone(), 3));

    let list = async |query: &str| {
        let answer = operator.get(&format!("/admin/users?{query}")).await.expect(200);
        let mut found: Vec<_> = emails(&answer).into_iter().map(str::to_owned).collect();
        found.sort();
        found.join(" ")
    };
    assert_eq!(list("email=ADA2@example.com").await, "ada2@example.com");
    assert_eq!(list("email=ada").await, "");
    assert_eq!(list("email=eve*").await, "eve1@example.com eve3@example.com eve5@example.com");
    assert_eq!(list("email=e_e*").await, "");
    assert_eq!(list("email=%25*").await, "");
    assert_eq!(list("role=PRO").await, "eve3@example.com");
    assert_eq!(list("role=STARTER&email=eve*").await, "eve1@example.com eve5@example.com");
    assert_eq!(list("status=disabled").await, "");
    assert_eq!(list("status=active&role=PRO").await, "eve3@example.com");
    assert_eq!(list("status=unverified&role=PRO").await, "eve3@example.com");

    let cursor = operator.get("/admin/users?limit=1").await.json["nextCursor"].as_str().unwrap().to_owned();
    operator.get(&format!("/admin/sessions?cursor={cursor}")).await.expect_problem(422, "validation_failed");
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "role=admin", "status=happy"] {
        let answer =
            operator.get(&format!("/admin/users?{bad}")).await.expect_problem(422, "validation_failed");
        assert_eq!(answer.fields(), [bad.split('=').next().unwrap()], "{bad}");
    }
}

async fn an_account_is_changed_as_it_was_last_seen(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let mut ada = app.client();
    let id = ada.signup(&Person::named("Ada")).await.expect(201).uuid("/user/id").to_string();
    let shown = operator.get(&format!("/admin/users/{id}")).await.expect(200);
    let tag = shown.header("etag").unwrap().to_owned();
    assert!(members(&shown.json["user"]).contains(&"passwordChangeRequired"), "{shown}");
    // What the person does changes no entity tag.
    ada.refresh().await.expect(200);
    ada.activity().await.expect(200);
    assert_eq!(operator.get(&format!("/admin/users/{id}")).await.header("etag"), Some(tag.as_str()));

    patch(&operator, &id, None, &json!({"name": "Eve"})).await.expect_problem(428, "precondition_required");
    patch(&operator, &id, Some("\"other\""), &json!({"name": "Eve"}))
        .await
        .expect_problem(412, "changed_meanwhile");
    let weak = format!("W/{tag}");
    patch(&operator, &id, Some(&weak), &json!({"name": "Eve"}))
        .await
        .expect_problem(412, "changed_meanwhile");
    let policy = json!({"maxSessions": 2, "sessionTimeoutMinutes": 30.0});
    let change = json!({"name": " Eve ", "role": "PRO", "policy": policy, "unknown": 1});
    let changed = patch(&operator, &id, Some(&tag), &change).await.expect(200);
    let user = &changed.json["user"];
    assert_eq!((&user["name"], &user["role"], &user["policy"]), (&json!("Eve"), &json!("PRO"), &policy));
    assert_ne!(changed.header("etag"), Some(tag.as_str()));
    patch(&operator, &id, Some(&tag), &change).await.expect_problem(412, "changed_meanwhile");
    assert_eq!(ada.me().await.expect(200).json["user"]["role"], "PRO");

    // Policies are replaced as a whole; null removes one.
    let tag = changed.header("etag").unwrap().to_owned();
    let gone =
        patch(&operator, &id, Some(&format!("\"x\", {tag}")), &json!({"policy": null})).await.expect(200);
    assert_eq!(gone.json["user"]["policy"], Value::Null);
    let same = patch(&operator, &id, Some("*"), &json!({"name": "Eve"})).await.expect(200);
    assert_eq!(same.header("etag"), gone.header("etag"));

    for (bad, field) in [
        (json!({"name": ""}), "name"),
        (json!({"name": null}), "name"),
        (json!({"role": "ROOT"}), "role"),
        (json!({"disabled": null}), "disabled"),
        (json!({"policy": {"maxSessions": 0}}), "policy"),
    ] {
        let answer = patch(&operator, &id, Some("*"), &bad).await.expect_problem(422, "validation_failed");
        assert_eq!(answer.fields(), [field], "{bad}");
    }
    patch(&operator, &id, Some("*"), &json!({"disabled": "yes"})).await.expect_problem(400, "invalid_json");
    for nobody in ["0198c1a2-3b4d-7a10-9c2b-5d6e7f809112", "nonsense"] {
        operator.get(&format!("/admin/users/{nobody}")).await.expect_problem(404, "user_not_found");
        patch(&operator, nobody, Some("*"), &json!({})).await.expect_problem(404, "user_not_found");
    }
}

async fn an_account_is_made_disabled_and_deleted(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let grace = Person::named("Grace");
    let hash = bcrypt(&grace.password);
    let id = "0198c1a2-3b4d-7a10-9c2b-5d6e7f809112";
    let body = json!({"id": id, "name": "Grace", "email": "GRACE@example.com", "emailVerified": true, "passwordHash": hash, "locale": "de"});
    let made = operator.post("/admin/users", &body).await.expect(201);
    assert_eq!(made.header("location"), Some(format!("/admin/users/{id}").as_str()));
    assert_eq!(
        (&made.json["user"]["email"], &made.json["user"]["emailVerified"]),
        (&json!("grace@example.com"), &json!(true))
    );
    assert!(!made.text.contains("$2"), "{made}");
    operator.post("/admin/users", &body).await.expect_problem(409, "email_taken");
    let other = json!({"id": id, "name": "Grace", "email": "other@example.com"});
    operator.post("/admin/users", &other).await.expect_problem(409, "id_taken");
    let mut device = app.client();
    device.login(&grace).await.expect(200);

    // Without a hash nobody can sign in with a password, and nobody finds out why.
    let plain = json!({"name": "Ada", "email": "ada@example.com", "password": "the password of Ada"});
    operator.post("/admin/users", &plain).await.expect(201);
    app.client().login(&Person::named("Ada")).await.expect_problem(401, "invalid_credentials");
    for (bad, field) in [
        (
            json!({"name": "A", "email": "b@example.com", "passwordHash": "$2b$31$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABCDC"}),
            "passwordHash",
        ),
        (json!({"name": "A", "email": "b@example.com", "passwordHash": "plain"}), "passwordHash"),
        (json!({"name": "A", "email": "b@example.com", "id": "7"}), "id"),
        (json!({"name": "A"}), "email"),
    ] {
        let answer = operator.post("/admin/users", &bad).await.expect_problem(422, "validation_failed");
        assert_eq!(answer.fields(), [field], "{bad}");
    }

    let disabled = patch(&operator, id, Some("*"), &json!({"disabled": true})).await.expect(200);
    assert_eq!(disabled.json["user"]["disabled"], true);
    device.session().await.expect_problem(401, "session_terminated");
    app.client().login(&grace).await.expect_problem(401, "invalid_credentials");
    let found = operator.get("/admin/users?status=disabled").await.expect(200);
    assert_eq!(emails(&found), ["grace@example.com"]);
    let enabled =
        patch(&operator, id, disabled.header("etag"), &json!({"disabled": false})).await.expect(200);
    assert_eq!(enabled.json["user"]["disabledAt"], Value::Null);
    device.login(&grace).await.expect(200);

    let delete = operator.request(Method::DELETE, &format!("/admin/users/{id}"));
    operator.send(delete.header("If-Match", "\"other\"")).await.expect_problem(412, "changed_meanwhile");
    operator.send(operator.request(Method::DELETE, &format!("/admin/users/{id}"))).await.expect(204);
    device.session().await.expect_problem(401, "session_terminated");
    operator.get(&format!("/admin/users/{id}")).await.expect_problem(404, "user_not_found");
    operator.send(operator.request(Method::DELETE, &format!("/admin/users/{id}"))).await.expect(404);
    app.expect_log("account.deleted").await;
    let logs = app.logs();
    for act in ["account.disabled", "account.enabled", "account.deleted"] {
        let line =
            logs.lines().find(|line| line.contains(act)).unwrap_or_else(|| panic!("no {act} in {logs}"));
        assert!(line.contains("key:") && !line.contains("example.com"), "{line}");
    }
}

/// A hash as another application would have created it, at the lowest cost.
fn bcrypt(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// Each operator adds one to what they last saw, and reads again when refused. A lost update would make the
/// sum smaller.
async fn of_changes_at_the_same_time_none_is_lost(db: Database) {
    const OPERATORS: usize = 4;
    const EACH: usize = 15;
    let (_app, operator) = operated(Setup::on(db).await.set("RATE_LIMIT_ENABLED", false)).await;
    let made =
        operator.post("/admin/users", &json!({"name": "0", "email": "ada@example.com"})).await.expect(201);
    let path = format!("/admin/users/{}", made.uuid("/user/id"));
    let mut working = JoinSet::new();
    for _ in 0..OPERATORS {
        let (operator, path) = (operator.clone(), path.clone());
        working.spawn(async move {
            let mut done = 0;
            while done < EACH {
                let seen = operator.get(&path).await.expect(200);
                let number: usize = seen.json["user"]["name"].as_str().unwrap().parse().unwrap();
                let request =
                    operator.request(Method::PATCH, &path).header("If-Match", seen.header("etag").unwrap());
                let answer = operator.send(request.json(&json!({"name": (number + 1).to_string()}))).await;
                match answer.status {
                    200 => done += 1,
                    412 => {}
                    // On SQLite writers may have to wait longer than their time limit.
                    503 => {}
                    _ => panic!("{answer}"),
                }
            }
        });
    }
    working.join_all().await;
    let name = operator.get(&path).await.expect(200).json["user"]["name"].clone();
    assert_eq!(name, (OPERATORS * EACH).to_string());
}

/// The row of the user gets it only with the next change.
async fn the_latest_activity_of_any_session_is_shown(db: Database) {
    let (app, operator) = operated(Setup::on(db).await).await;
    let (mut older, mut newer) = (app.client(), app.client());
    let id = older.signup(&Person::named("Ada")).await.expect(201).json["user"]["id"].clone();
    newer.login(&Person::named("Ada")).await.expect(200);
    let shows = async |wanted: &Value| {
        // It may be written to the database a second later.
        eventually("the activity is shown", Duration::from_secs(5), async || {
            let path = format!("/admin/users/{}", id.as_str().unwrap());
            let shown = operator.get(&path).await.expect(200).json;
            let listed = operator.get("/admin/users").await.expect(200).json;
            let (shown, listed) = (&shown["user"]["lastActivityAt"], &listed["users"][0]["lastActivityAt"]);
            if shown == listed && shown == wanted {
                Ok(())
            } else {
                Err(format!("{shown}, {listed}, not {wanted}"))
            }
        })
        .await;
    };
    let active = older.activity().await.expect(200).json["lastActivity"].clone();
    shows(&active).await;
    // The session that was active last is over: the person sees the same as the operator.
    older.logout().await.expect(204);
    shows(&newer.me().await.expect(200).json["user"]["lastActivityAt"]).await;
    let active = newer.activity().await.expect(200).json["lastActivity"].clone();
    newer.logout().await.expect(204);
    shows(&active).await;
}
