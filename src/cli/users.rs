//! `user …`: making, listing, looking at, changing and deleting accounts. On PostgreSQL running nodes learn
//! of it from the feed of changes; an embedded database is open to one process only, so the service must be
//! stopped first.

use std::io::IsTerminal;

use clap::{Args, Subcommand, ValueEnum};
use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};

use super::account::{find, live_sessions, operators};
use super::output::{remark, say, say_json, table};
use super::{CommandError, plural, sessions};
use crate::actors::operators::Edit;
use crate::clock::{Clock, new_uuid};
use crate::config::Config;
use crate::domain::ids::UserId;
use crate::domain::user::{Email, PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS, Role, User, parse_name};
use crate::events::announcement::Announcer;
use crate::io::Io;
use crate::security::password::{Password, PasswordPool};
use crate::security::password_rules::{PasswordRules, WeakPassword};
use crate::storage::Store;
use crate::storage::accounts::Account;
use crate::storage::accounts::list::UserFilter;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::metrics::Metrics;

/// Characters of a password that is made at random: about 119 bits.
const RANDOM_PASSWORD: usize = 20;
/// The default of `BCRYPT_COST`: a service with another one hashes it anew at the first login.
const SERVER_COST: u32 = 12;

/// What to do with accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account. Prompts for the password, or reads it from standard input (one line).
    Create(Create),
    /// List accounts, ordered by address.
    List(List),
    /// Show an account and its live sessions.
    Show {
        /// Address or id of the account.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set its role; access tokens carry it from the next refresh on.
    Role {
        /// Address or id of the account.
        user: String,
        /// The role.
        #[arg(value_enum, ignore_case = true)]
        role: RoleName,
    },
    /// Disable it: all sessions end immediately, and logins fail as with a wrong password.
    Disable {
        /// Address or id of the account.
        user: String,
    },
    /// Enable a disabled account.
    Enable {
        /// Address or id of the account.
        user: String,
    },
    /// Remove its second factors, because the person has lost them: all sessions end, and the password alone
    /// signs in again.
    RemoveFactors {
        /// Address or id of the account.
        user: String,
    },
    /// Delete it: all sessions end immediately, and name, address and password are erased.
    Delete {
        /// Address or id of the account.
        user: String,
    },
}

/// The account to create.
#[derive(Clone, Debug, Args)]
pub struct Create {
    /// Address it signs in with.
    pub(super) email: String,
    /// Display name.
    #[arg(long)]
    pub(super) name: String,
    /// The role.
    #[arg(long, value_enum, ignore_case = true, default_value_t = RoleName::Starter)]
    pub(super) role: RoleName,
    /// Generate a random password and print it once.
    #[arg(long)]
    pub(super) random_password: bool,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Which accounts to list.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// Only accounts whose address or name contains this text (case-insensitive).
    #[arg(long, value_name = "TEXT")]
    pub(super) search: Option<String>,
    /// Only accounts with this role.
    #[arg(long, value_enum, ignore_case = true)]
    pub(super) role: Option<RoleName>,
    /// Only disabled accounts.
    #[arg(long)]
    pub(super) disabled: bool,
    /// Only addresses after this one: the last one of the previous page.
    #[arg(long, value_name = "EMAIL", default_value = "")]
    pub(super) after: String,
    /// Maximum number of accounts to list.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) limit: u64,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A role, as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum RoleName {
    /// Given at sign-up.
    Starter,
    /// A paying user.
    Pro,
    /// A user of a company with a contract.
    Enterprise,
    /// An operator.
    Admin,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Starter => Self::Starter,
            RoleName::Pro => Self::Pro,
            RoleName::Enterprise => Self::Enterprise,
            RoleName::Admin => Self::Admin,
        }
    }
}

pub(super) async fn run(
    config: &Config,
    store: &Store,
    io: Io,
    command: UserCommand,
) -> Result<(), CommandError> {
    match command {
        UserCommand::Create(create) => self::create(config, store, io, create).await,
        UserCommand::List(list) => self::list(store, list).await,
        UserCommand::Show { user, json } => show(config, store, &find(store, &user).await?, json).await,
        UserCommand::Role { user, role } => {
            let (user, role) = (find(store, &user).await?, Role::from(role));
            let edit = Edit { role: Some(role), ..Edit::default() };
            let edited = operators(config, store).edit(user.id, &edit, None).await?;
            let is = if edited.is_changed { "is" } else { "already has the role" };
            say(&format!("{} {is} {}", user.id, role.as_str()))
        }
        UserCommand::Disable { user } => {
            let user = find(store, &user).await?;
            let edit = Edit { disabled: Some(true), ..Edit::default() };
            let edited = operators(config, store).edit(user.id, &edit, None).await?;
            if !edited.is_changed {
                return say(&format!("{} is already disabled", user.id));
            }
            say(&format!("{} is disabled; {} ended", user.id, plural(edited.ended, "session")))
        }
        UserCommand::Enable { user } => {
            let user = find(store, &user).await?;
            let edit = Edit { disabled: Some(false), ..Edit::default() };
            if !operators(config, store).edit(user.id, &edit, None).await?.is_changed {
                return say(&format!("{} is not disabled", user.id));
            }
            say(&format!("{} is enabled", user.id))
        }
        UserCommand::RemoveFactors { user } => {
            let user = find(store, &user).await?;
            remove_factors(config, store, &user).await
        }
        UserCommand::Delete { user } => {
            let user = find(store, &user).await?;
            let ended = operators(config, store).delete(user.id, None).await?;
            say(&format!("{} is deleted; {} ended", user.id, plural(ended, "session")))
        }
    }
}

async fn remove_factors(config: &Config, store: &Store, user: &User) -> Result<(), CommandError> {
    if user.factors == 0 {
        return Err("the account has no second factor".into());
    }
    let (_, ended) = operators(config, store).remove_factors(user.id).await?;
    say(&format!("{} has no second factor any more; {} ended", user.id, plural(ended, "session")))
}

async fn create(config: &Config, store: &Store, io: Io, create: Create) -> Result<(), CommandError> {
    let email =
        Email::parse(&create.email).map_err(|_| "not a valid email address (at most 254 characters)")?;
    let name = parse_name(&create.name)
        .map_err(|_| "a name must have 1 to 100 characters and no control characters")?;
    if store.lookup_account(email.as_str().to_owned()).await?.is_some() {
        return Err("an account with this address already exists".into());
    }
    let text = if create.random_password {
        random_password(config.password.min_length)
    } else {
        ask_for_password()?
    };
    let password = Password::parse_new(text.clone()).map_err(|_| {
        format!(
            "a password must have at least {PASSWORD_MIN_CHARS} characters and at most {PASSWORD_MAX_BYTES} bytes"
        )
    })?;
    let metrics = Metrics::new()?;
    let rules = PasswordRules::new(&config.password, &config.service_name, io, metrics.clone());
    rules.check(&password, &[&name, email.as_str()]).await.map_err(WeakPassword::message)?;
    let password_hash = PasswordPool::start(&config.password, metrics)?.hash(password).await?;
    let now = Clock::System.now();
    let user = User::new(UserId::new(new_uuid()), name, email, create.role.into(), now);
    let announcer = Announcer::new(&config.service_name, user.id, now);
    let announcement = announcer.registered(user.email.as_str());
    let id = user.id;
    if !store.add_account(Account { user, password_hash }, announcement).await? {
        return Err("an account with this address already exists".into());
    }
    AuditEvent::SignedUp(id).log_on_command_line();
    match (create.json, create.random_password) {
        (true, true) => say_json(&json!({"id": id, "password": text})),
        (true, false) => say_json(&json!({"id": id})),
        (false, true) => say(&format!("Created account {id}; password: {text}")),
        (false, false) => say(&format!("Created account {id}")),
    }
}

fn random_password(min_length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), RANDOM_PASSWORD.max(min_length))
}

/// What to ask a service for, and the new account's password. The service takes only a hash; which passwords
/// it would refuse is not known here, so it must be one that is made at random.
pub(super) fn for_server(create: &Create) -> Result<(Value, String), CommandError> {
    if !create.random_password {
        return Err("with --server an account is created with --random-password".into());
    }
    let password = random_password(RANDOM_PASSWORD);
    let hash = bcrypt::hash(&password, SERVER_COST)?;
    let role = Role::from(create.role).as_str();
    let body = json!({"email": create.email, "name": create.name, "role": role, "passwordHash": hash});
    Ok((body, password))
}

/// Not shown while it is typed; else a line of standard input, so that it is in no list of processes and no
/// history.
fn ask_for_password() -> Result<String, CommandError> {
    if std::io::stdin().is_terminal() {
        let password = rpassword::prompt_password("Password: ")?;
        let again = rpassword::prompt_password("Again: ")?;
        return if password == again { Ok(password) } else { Err("the passwords do not match".into()) };
    }
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line)? == 0 {
        return Err("no password on standard input; pipe one in, or use --random-password".into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn list(store: &Store, list: List) -> Result<(), CommandError> {
    let wanted = UserFilter {
        // Of an address the domain is stored in ASCII, whatever was typed.
        search: list
            .search
            .map(|text| if text.contains('@') { Email::lookup_key(&text) } else { text.to_lowercase() }),
        role: list.role.map(Role::from),
        disabled: list.disabled,
        after: Email::lookup_key(&list.after),
        limit: list.limit,
    };
    let users = store.with_latest_activity(store.list_users(wanted).await?).await?;
    if list.json {
        return say_json(&users.iter().map(as_json).collect::<Vec<_>>());
    }
    let row = |user: &User| {
        let state = if user.disabled_at.is_some() { "disabled" } else { "" };
        [
            user.email.as_str().to_owned(),
            user.id.to_string(),
            user.name.clone(),
            user.role.as_str().to_owned(),
            user.created_at.to_string(),
            user.last_activity_at.to_string(),
            state.to_owned(),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    say(&table(["EMAIL", "ID", "NAME", "ROLE", "CREATED", "LAST ACTIVITY", "STATE"], &rows))?;
    if let Some(last) = users.last().filter(|_| users.len() as u64 == list.limit) {
        remark(&format!("more accounts may follow: --after {}", last.email.as_str()));
    }
    Ok(())
}

fn as_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "email": user.email.as_str(),
        "role": user.role,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
        "lastActivityAt": user.last_activity_at,
        "disabledAt": user.disabled_at,
    })
}

async fn show(config: &Config, store: &Store, user: &User, json: bool) -> Result<(), CommandError> {
    let ledger = live_sessions(config, store, user).await?;
    let users = store.with_latest_activity(vec![user.clone()]).await?;
    let user = users.first().unwrap_or(user);
    if json {
        let mut shown = as_json(user);
        shown["sessions"] = sessions::as_json(&ledger).into();
        return say_json(&shown);
    }
    let disabled = user.disabled_at.map_or_else(|| "no".to_owned(), |at| format!("since {at}"));
    for (title, value) in [
        ("id", user.id.to_string()),
        ("email", user.email.as_str().to_owned()),
        ("name", user.name.clone()),
        ("role", user.role.as_str().to_owned()),
        ("created", user.created_at.to_string()),
        ("updated", user.updated_at.to_string()),
        ("last activity", user.last_activity_at.to_string()),
        ("disabled", disabled),
        ("live sessions", ledger.live().len().to_string()),
    ] {
        say(&format!("{title:<14} {value}"))?;
    }
    if ledger.live().is_empty() { Ok(()) } else { say(&format!("\n{}", sessions::as_table(&ledger))) }
}
