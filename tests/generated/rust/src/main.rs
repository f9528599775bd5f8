//! Sign-up, login, list, terminate and a refusal, through the client of openapi-generator; and what a later
//! service may say.

use auth_service_generated::apis::account_api::{get_me, login, signup};
use auth_service_generated::apis::configuration::Configuration;
use auth_service_generated::apis::second_factors_api::list_factors;
use auth_service_generated::apis::sessions_api::{
    GetSessionError, get_session, list_sessions, terminate_session,
};
use auth_service_generated::apis::{Error, ResponseContent};
use auth_service_generated::models::{DeviceMessage, LoginRequest, SignupRequest};

const EMAIL: &str = "rust@example.com";
const PASSWORD: &str = "a long quiet evening";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn client(variable_of_url: &str, token: Option<String>) -> Configuration {
    Configuration {
        base_path: variable(variable_of_url),
        bearer_access_token: token,
        ..Configuration::default()
    }
}

async fn refusal(client: &Configuration) -> String {
    match get_session(client, None).await {
        // Problems of all statuses have one form; the client takes the first that fits.
        Err(Error::ResponseError(ResponseContent {
            entity: Some(GetSessionError::Status400(problem)),
            ..
        })) => problem.code,
        other => panic!("not refused with a problem: {other:?}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let anyone = client("AUTH_URL", None);
    let person = SignupRequest::new("Rust".into(), EMAIL.into(), PASSWORD.into());
    let laptop = signup(&anyone, person, None).await.unwrap();
    let mut again = LoginRequest::new(EMAIL.into(), PASSWORD.into());
    again.device_name = Some(Some("Phone".into()));
    let phone = client("AUTH_URL", Some(login(&anyone, again, None).await.unwrap().access_token));
    assert_eq!(list_sessions(&phone, None).await.unwrap().sessions.len(), 2);
    // Members that may be null.
    assert!(get_me(&phone, None).await.unwrap().user.email_verified_at.is_none());
    assert!(list_factors(&phone, None).await.unwrap().totp.is_none());
    terminate_session(&phone, &laptop.session.id.to_string(), None).await.unwrap();
    assert_eq!(refusal(&client("AUTH_URL", Some(laptop.access_token))).await, "session_terminated");

    let later = client("FUTURE_URL", Some("any".into()));
    assert_eq!(refusal(&later).await, "from_the_future");
    assert_eq!(get_me(&later, None).await.unwrap().user.role, "GUARDIAN");
    assert_eq!(list_sessions(&later, None).await.unwrap().sessions[0].device_info.device_type, "hologram");
    let text = std::fs::read_to_string(variable("FUTURE_MESSAGE")).unwrap();
    let message: DeviceMessage = serde_json::from_str(&text).unwrap();
    assert_eq!((message.r#type.as_str(), message.reason.as_deref()), ("session.frozen", Some("cold")));
    println!("ok");
}
