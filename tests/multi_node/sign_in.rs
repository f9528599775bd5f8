//! Sign-ins across several nodes: a code and a ticket are valid once, wherever they are presented.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::authenticator::App;
use crate::support::{Answer, Client, Cluster, Person};

const SECRET: &str = "encryption-secret-of-the-tests-0123456789abcdef";
const LOGINS: usize = 20;

async fn somebody(cluster: &Cluster) -> (Person, App, Vec<String>) {
    let ada = Person::named("Ada");
    let mut device = cluster.client(0);
    device.signup(&ada).await.expect(201);
    let (totp, codes) = set_up(&device).await;
    cluster.query("UPDATE factors SET last_step = last_step - 10 RETURNING 1").await;
    (ada, totp, codes)
}

async fn set_up(device: &Client) -> (App, Vec<String>) {
    let answer = device.post("/factors/totp", &json!({})).await.expect(201);
    let totp = App::with(answer.json["secret"].as_str().unwrap());
    let answer = device.post("/factors/totp/confirm", &json!({"code": totp.code(-1)})).await.expect(200);
    let codes = answer.json["recoveryCodes"].as_array().unwrap();
    (totp, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn asked(cluster: &Cluster, node: usize, ada: &Person) -> String {
    let answer = cluster.client(node).login(ada).await.expect_problem(401, "second_factor_required");
    answer.json["loginTicket"].as_str().unwrap().to_owned()
}

async fn go_on(cluster: &Cluster, node: usize, ticket: &str, member: &str, value: &str) -> Answer {
    let body = json!({"loginTicket": ticket, member: value});
    cluster.client(node).post("/login/continue", &body).await
}

fn opened(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.status == 200).count()
}

async fn cluster() -> Cluster {
    let setup = Cluster::of(2).set("RATE_LIMIT_ENABLED", false).set("ENCRYPTION_SECRET", SECRET);
    setup.set("MAX_SESSIONS_PER_USER", 100).start().await
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn of_many_logins_with_one_code_one_opens_a_session() {
    let cluster = cluster().await;
    let (ada, totp, _) = somebody(&cluster).await;
    let before = cluster.live_sessions().await;
    let tickets = join_all((0..LOGINS).map(|number| asked(&cluster, number % 2, &ada))).await;
    let code = totp.code(0);
    let tries = tickets.iter().enumerate();
    let answers =
        join_all(tries.map(|(number, ticket)| go_on(&cluster, number % 2, ticket, "code", &code))).await;
    assert_eq!(opened(&answers), 1);
    let refused = answers.iter().filter(|answer| answer.status == 422).count();
    assert_eq!(refused, LOGINS - 1);
    assert_eq!(cluster.live_sessions().await, before + 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn of_many_answers_with_one_ticket_one_opens_a_session() {
    let cluster = cluster().await;
    let (ada, _, codes) = somebody(&cluster).await;
    let before = cluster.live_sessions().await;
    let ticket = asked(&cluster, 0, &ada).await;
    let tries = codes.iter().enumerate();
    let answers =
        join_all(tries.map(|(number, code)| go_on(&cluster, number % 2, &ticket, "recoveryCode", code)))
            .await;
    assert_eq!(opened(&answers), 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status)), "{answers:?}");
    assert_eq!(cluster.live_sessions().await, before + 1);
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Redis: run ./scripts/test"]
async fn a_factor_that_was_added_on_one_node_is_asked_for_on_the_other() {
    let cluster = cluster().await;
    let ada = Person::named("Ada");
    let mut device = cluster.client(0);
    device.signup(&ada).await.expect(201);
    cluster.client(1).login(&ada).await.expect(200);
    set_up(&device).await;
    asked(&cluster, 1, &ada).await;
    // A session without the second factor is no longer fresh there either.
    let mut other = cluster.client(1);
    other.login(&Person::named("Ada")).await.expect_problem(401, "second_factor_required");
    device.at(cluster.base(1)).post("/factors/recovery-codes", &json!({})).await.expect(201);
}
