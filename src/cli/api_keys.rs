//! `api-keys …`: keys for other services and operators. On PostgreSQL running nodes learn of them with the
//! feed of changes; on SQLite the service must be stopped first.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::CommandError;
use super::output::{remark, say, say_json, table};
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::security::api_key::{ApiKey, NewKey, Scope, Scopes};
use crate::storage::Store;
use crate::telemetry::audit::AuditEvent;

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum ApiKeysCommand {
    /// Make a key and print it, once.
    Create(Create),
    /// List all keys, the newest first. Nothing of their secrets is kept.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key: every node refuses it within REVOCATION_MAX_STALENESS_MS.
    Revoke {
        /// Id of the key, as `api-keys list` shows it.
        id: String,
    },
}

/// The key to make.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// What it may do; repeat it for more.
    #[arg(long = "scope", required = true, value_parser = parse_scope)]
    scopes: Vec<Scope>,
    /// How long it is good, with unit: s, m, h or d. Without this it does not expire.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// What to call it.
    #[arg(long)]
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("want one of {}", known.join(", "))
    })
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"smhd".contains(&byte));
    let duration = humantime::parse_duration(text).ok().filter(|duration| is_plain && !duration.is_zero());
    duration.ok_or_else(|| "want a number with its unit, such as 90d, 12h, 30m or 45s".to_owned())
}

pub(super) async fn run(store: &Store, command: ApiKeysCommand) -> Result<(), CommandError> {
    let now = Clock::System.now();
    match command {
        ApiKeysCommand::Create(create) => self::create(store, create, now).await,
        ApiKeysCommand::List { json } => list(store, json, now).await,
        ApiKeysCommand::Revoke { id } => {
            // The key itself is accepted in place of its id.
            let id = id.strip_prefix("ak_").unwrap_or(&id);
            let id = id.split_once('_').map_or(id, |(id, _)| id);
            if !store.revoke_api_key(id, now).await? {
                return Err("no active key has this id; `auth-service api-keys list` shows all".into());
            }
            AuditEvent::KeyRevoked(id).log_on_command_line();
            say(&format!("{id} is revoked"))
        }
    }
}

async fn create(store: &Store, create: Create, now: Timestamp) -> Result<(), CommandError> {
    let name = create.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    if name.as_ref().is_some_and(|name| name.chars().any(char::is_control) || name.chars().count() > 100) {
        return Err("a name has at most 100 characters, none a control character".into());
    }
    let expires_at = create.expires.map(|duration| now.plus(duration));
    let NewKey { key, text } = NewKey::generate(name, Scopes::of(&create.scopes), now, expires_at);
    store.add_api_key(&key).await?;
    AuditEvent::KeyCreated(&key.id).log_on_command_line();
    if create.json {
        let mut told = as_json(&key, now);
        told["key"] = text.into();
        return say_json(&told);
    }
    say(&text)?;
    let until =
        key.expires_at.map_or_else(|| "it does not expire".to_owned(), |end| format!("good until {end}"));
    remark(&format!("key {} may {}; {until}. It is shown this once: keep it safe.", key.id, key.scopes));
    Ok(())
}

async fn list(store: &Store, json: bool, now: Timestamp) -> Result<(), CommandError> {
    let keys = store.list_api_keys().await?;
    if json {
        return say_json(&keys.iter().map(|key| as_json(key, now)).collect::<Vec<_>>());
    }
    let row = |key: &ApiKey| {
        [
            key.id.clone(),
            key.name.clone().unwrap_or_else(|| "-".to_owned()),
            key.scopes.to_string(),
            key.created_at.to_string(),
            key.expires_at.map_or_else(|| "never".to_owned(), |end| end.to_string()),
            state(key, now).to_owned(),
        ]
    };
    let rows: Vec<_> = keys.iter().map(row).collect();
    say(&table(["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "STATE"], &rows))
}

fn state(key: &ApiKey, now: Timestamp) -> &'static str {
    match key {
        ApiKey { revoked_at: Some(_), .. } => "revoked",
        ApiKey { expires_at: Some(end), .. } if *end <= now => "expired",
        _ => "active",
    }
}

fn as_json(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes.names().collect::<Vec<_>>(),
        "createdAt": key.created_at,
        "expiresAt": key.expires_at,
        "revokedAt": key.revoked_at,
        "state": state(key, now),
    })
}
