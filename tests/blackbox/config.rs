//! GET `/config`: what a client must know about the rules, and that they come from the environment.

use crate::support::answer::members;
use crate::support::token::Token;
use crate::support::{Database, Person, Setup, TestApp};

#[tokio::test]
async fn tells_the_defaults() {
    let app = TestApp::start().await;
    let config = app.client().get("/config").await.expect(200).json;

    let names = [
        "accessTokenExpirySeconds",
        "features",
        "maxSessionsPerUser",
        "maxSessionsPolicy",
        "passwordMinLength",
        "refreshTokenExpirySeconds",
        "sessionLifetimeHours",
        "sessionTimeoutMinutes",
    ];
    assert_eq!(members(&config), names);
    // Minutes and hours may have decimals, so they are compared as floating-point numbers.
    assert_eq!(config["sessionTimeoutMinutes"].as_f64(), Some(5.0));
    assert_eq!(config["sessionLifetimeHours"].as_f64(), Some(168.0));
    assert_eq!(config["maxSessionsPerUser"], 5);
    assert_eq!(config["maxSessionsPolicy"], "evict_oldest");
    assert_eq!(config["accessTokenExpirySeconds"], 900);
    assert_eq!(config["refreshTokenExpirySeconds"], 604_800);
    assert_eq!(config["passwordMinLength"], 8);
    assert_eq!(config["features"], serde_json::json!([]));
}

#[tokio::test]
async fn tells_what_was_set() {
    let app = Setup::on(Database::Sqlite)
        .await
        .set("SESSION_TIMEOUT_MINUTES", "0.05")
        .set("SESSION_LIFETIME_HOURS", "1.5")
        .set("MAX_SESSIONS_PER_USER", 3)
        .set("MAX_SESSIONS_POLICY", "reject")
        .set("JWT_ACCESS_EXPIRY", "90s")
        .set("JWT_REFRESH_EXPIRY", "2h")
        .start()
        .await;
    let config = app.client().get("/config").await.expect(200).json;

    assert_eq!(config["sessionTimeoutMinutes"], 0.05);
    assert_eq!(config["sessionLifetimeHours"], 1.5);
    assert_eq!(config["maxSessionsPerUser"], 3);
    assert_eq!(config["maxSessionsPolicy"], "reject");
    assert_eq!(config["accessTokenExpirySeconds"], 90);
    assert_eq!(config["refreshTokenExpirySeconds"], 7_200);
}

#[tokio::test]
async fn a_file_named_dot_env_is_read_and_the_environment_wins() {
    let setup = Setup::on(Database::Sqlite).await.set("MAX_SESSIONS_POLICY", "reject");
    let file = "MAX_SESSIONS_PER_USER=4\nMAX_SESSIONS_POLICY=evict_oldest\nSOMETHING_UNKNOWN=1\n";
    std::fs::write(setup.data_dir().join(".env"), file).unwrap();
    let app = setup.start().await;

    let config = app.client().get("/config").await.expect(200).json;
    assert_eq!(config["maxSessionsPerUser"], 4);
    assert_eq!(config["maxSessionsPolicy"], "reject");
}

#[tokio::test]
async fn a_value_of_dot_env_is_taken_as_it_stands() {
    let secret = "k8s9dj3n4k5l6m7n8o9p$0q1r2s3t4u5v";
    let setup = Setup::on(Database::Sqlite).await.unset("JWT_ACCESS_SECRET").unset("JWT_REFRESH_SECRET");
    let file =
        format!("JWT_ACCESS_SECRET={secret}\nJWT_REFRESH_SECRET=\"x{secret}\"\nSERVICE_NAME='a $HOME'\n");
    std::fs::write(setup.data_dir().join(".env"), file).unwrap();
    let checked = setup.command(&["config", "check"]).await.expect_code(0);
    for line in ["JWT_ACCESS_SECRET=(33 bytes)", "JWT_REFRESH_SECRET=(34 bytes)", "SERVICE_NAME=a $HOME"] {
        assert!(checked.output.lines().any(|found| found == line), "{line}: {}", checked.output);
    }
}

/// From the environment, from a file and from `.env` it is the same secret; no name in it is looked up.
#[tokio::test]
async fn a_dollar_is_a_dollar_wherever_a_value_comes_from() {
    let secrets = [
        "k8s9dj3n4k5l6m7n8o9p$0q1r2s3t4u5v",
        "k8s9dj3n4k5l6m7n8o9p${HOME}r2s3t4",
        "k8s9dj3n4k5l6m7n8o9p$HOME$$(id)`r",
        r"k8s9dj3n4k5l6m7n8o9p\$HOME\n1r2s3",
    ];
    for secret in secrets {
        assert_eq!(secret.len(), 33);
        let setup =
            async || Setup::on(Database::Sqlite).await.unset("JWT_ACCESS_SECRET").set("HOME", "/nowhere");
        let inline = setup().await.set("JWT_ACCESS_SECRET", secret);
        let of_file = setup().await;
        let file = of_file.data_dir().join("secret");
        std::fs::write(&file, secret).unwrap();
        let of_file = of_file.set("JWT_ACCESS_SECRET_FILE", file.display());
        let mut setups = vec![inline, of_file];
        for line in [format!("JWT_ACCESS_SECRET={secret}\n"), format!("JWT_ACCESS_SECRET='{secret}'\n")] {
            let of_dot_env = setup().await;
            std::fs::write(of_dot_env.data_dir().join(".env"), line).unwrap();
            setups.push(of_dot_env);
        }
        for setup in setups {
            let checked = setup.command(&["config", "check"]).await.expect_code(0);
            assert!(
                checked.output.lines().any(|line| line.starts_with("JWT_ACCESS_SECRET=(33 bytes")),
                "{secret}: {}",
                checked.output
            );
        }
    }
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() {
    let setup = Setup::on(Database::Sqlite).await;
    let secret = setup.get("JWT_ACCESS_SECRET").to_owned();
    let file = setup.data_dir().join("access");
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    let from_file = setup.unset("JWT_ACCESS_SECRET").set("JWT_ACCESS_SECRET_FILE", file.display());
    let app = from_file.start().await;
    let mut device = app.client();
    device.signup(&Person::named("Ada")).await.expect(201);
    // It verifies with the file's content without the line end.
    Token::open(device.access.as_ref().unwrap(), &secret);

    let both = Setup::on(Database::Sqlite).await.set("JWT_ACCESS_SECRET_FILE", file.display());
    let ended = both.run().await.expect_code(2).expect_output("JWT_ACCESS_SECRET_FILE: got ");
    assert!(!ended.output.contains(&secret), "{}", ended.output);
}

#[tokio::test]
async fn the_example_of_a_file_is_printed() {
    let printed = Setup::bare().command(&["config", "example"]).await.expect_code(0);
    assert!(printed.output.contains("#SESSION_TIMEOUT_MINUTES=5\n"), "{}", printed.output);
}

#[tokio::test]
async fn a_line_of_dot_env_that_means_nothing_is_told_by_its_number() {
    let setup = Setup::on(Database::Sqlite).await;
    std::fs::write(setup.data_dir().join(".env"), "# Secrets\nJWT_ACCESS_SECRET hunter2\n").unwrap();
    let ended = setup
        .run()
        .await
        .expect_code(2)
        .expect_output(".env: got something else in line 2, wants NAME=VALUE");
    assert!(!ended.output.contains("hunter2"), "{}", ended.output);
}
