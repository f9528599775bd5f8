//! `secrets rewrap`: stored secrets move to the newest `ENCRYPTION_SECRET`, and earlier ones can be removed.

use serde_json::{Value, json};

use crate::support::authenticator::App;
use crate::support::{Database, Person, Setup, TestApp, on_each_database};

on_each_database!(stored_secrets_move_to_the_newest_secret);

const OLD: &str = "b7b0f5d2c39a4e6f8d1c7a5e3f9b2d4c";
const NEW: &str = "0d4f2f0f4f3e4b58a7d8c9b0a1928374";

async fn sign_in(app: &TestApp, ada: &Person, totp: &App) -> u16 {
    app.execute("UPDATE factors SET last_step = last_step - 10").await;
    let ticket = app.client().login(ada).await.expect_problem(401, "second_factor_required").json;
    let body = json!({"loginTicket": ticket["loginTicket"], "code": totp.code(0)});
    app.client().post("/login/continue", &body).await.status
}

async fn rewrap(app: &TestApp, code: i32) -> Value {
    app.setup.command(&["secrets", "rewrap", "--json"]).await.expect_code(code).json()
}

async fn stored_secrets_move_to_the_newest_secret(db: Database) {
    let mut app = Setup::on(db).await.set("ENCRYPTION_SECRET", OLD).start().await;
    let ada = Person::named("Ada");
    let device = app.devices(&ada, 1).await.remove(0);
    let secret = device.post("/factors/totp", &json!({})).await.expect(201).json["secret"].clone();
    let totp = App::with(secret.as_str().unwrap());
    device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    // Another app waits for its first code.
    let bob = app.devices(&Person::named("Bob"), 1).await.remove(0);
    let pending = bob.post("/factors/totp", &json!({})).await.expect(201).json["secret"].clone();

    app.restart_with(&[("ENCRYPTION_SECRET", NEW), ("PREVIOUS_ENCRYPTION_SECRETS", OLD)]).await;
    assert_eq!(sign_in(&app, &ada, &totp).await, 200, "the earlier secret still opens");
    // On PostgreSQL the node keeps running.
    if db == Database::Sqlite {
        app.terminate().await.expect_code(0);
    }
    let moved = rewrap(&app, 0).await;
    assert_eq!((&moved["rewrapped"], &moved["notOpened"]), (&json!(2), &json!(0)), "{moved}");
    let again = rewrap(&app, 0).await;
    assert_eq!((&again["rewrapped"], &again["current"]), (&json!(0), &json!(2)), "{again}");
    if db == Database::Postgres {
        assert_eq!(sign_in(&app, &ada, &totp).await, 200, "beside a node that was running");
    }

    app.restart_with(&[("PREVIOUS_ENCRYPTION_SECRETS", "")]).await;
    assert_eq!(sign_in(&app, &ada, &totp).await, 200, "the earlier secret is not needed any more");
    let mut bob = bob.at(app.base());
    bob.refresh().await.expect(200);
    let code = App::with(pending.as_str().unwrap()).code(0);
    bob.post("/factors/totp/confirm", &json!({"code": code})).await.expect(200);

    // If a secret is lost, the command says how many cannot be opened.
    app.restart_with(&[("ENCRYPTION_SECRET", OLD)]).await;
    if db == Database::Sqlite {
        app.terminate().await.expect_code(0);
    }
    let lost = rewrap(&app, 1).await;
    assert_eq!((&lost["rewrapped"], &lost["notOpened"]), (&json!(0), &json!(2)), "{lost}");
    let ended = app.setup.command(&["secrets", "rewrap"]).await.expect_code(1);
    ended.expect_output("PREVIOUS_ENCRYPTION_SECRETS");
}
