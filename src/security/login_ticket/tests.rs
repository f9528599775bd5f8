//! Login tickets: their steps, their time, and forged ones.

use super::*;
use crate::config::Config;
use crate::domain::sign_in::Factor;
use crate::security::refresh_token::RefreshTokens;
use crate::security::ticket::Tickets;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

fn config(refresh: &str, previous: &str) -> TokenConfig {
    let vars = [
        ("JWT_REFRESH_SECRET", refresh),
        ("JWT_PREVIOUS_REFRESH_SECRETS", previous),
        ("JWT_ACCESS_SECRET", "fedcba9876543210fedcba9876543210"),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Config::parse(&vars.into()).unwrap().tokens
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn progress() -> LoginProgress {
    LoginProgress {
        user: Some(UserId::new(new_uuid())),
        shown: Shown::PASSWORD.and(Factor::Totp),
        asked: Some(Step::PasswordChange),
        credentials: "7.1".to_owned(),
        enrolled: true,
        mail_request: None,
        options: LoginOptions { device_name: Some("Laptop".to_owned()), ..LoginOptions::default() },
    }
}

#[test]
fn a_ticket_says_on_every_node_what_it_was_given_for() {
    let ticket = LoginTickets::new(&config(SECRET, "")).sign(progress(), NOW).unwrap();
    let elsewhere = LoginTickets::new(&config("another-secret-of-thirty-two-byte", SECRET));
    let claims = elsewhere.verify(ticket.expose(), NOW).unwrap();
    assert_eq!(claims.progress, LoginProgress { user: claims.progress.user, ..progress() });
    assert_eq!(claims.key(), (claims.progress.user.unwrap(), claims.id));
}

#[test]
fn a_ticket_has_its_time() {
    let tickets = LoginTickets::new(&config(SECRET, ""));
    let ticket = tickets.sign(progress(), NOW).unwrap();
    let verify = |now| tickets.verify(ticket.expose(), now).map(|claims| claims.valid_until());
    let end = NOW.plus(VALID_FOR);
    for now in [NOW.minus(CLOCK_SKEW), NOW, end.minus(SECOND)] {
        assert_eq!(verify(now), Ok(end));
    }
    assert_eq!(verify(end), Err(TokenError::Expired));
    assert_eq!(verify(NOW.minus(CLOCK_SKEW + SECOND)), Err(TokenError::Invalid));
}

#[test]
fn no_other_token_passes_for_one_nor_it_for_another() {
    let config = config(SECRET, "");
    let (login, events, refresh) =
        (LoginTickets::new(&config), Tickets::new(&config), RefreshTokens::new(&config));
    let ticket = login.sign(progress(), NOW).unwrap();
    assert_eq!(events.verify(ticket.expose(), NOW).map(drop), Err(TokenError::Invalid));
    assert_eq!(refresh.verify(ticket.expose(), NOW).map(drop), Err(TokenError::Invalid));
    let other = Signer::new("refresh+jwt", &config, &["exp"]);
    let claims = login.verify(ticket.expose(), NOW).unwrap();
    assert_eq!(login.verify(&other.sign(&claims).unwrap(), NOW), Err(TokenError::Invalid));
}
