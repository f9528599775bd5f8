//! `user …`: looking at an account, giving it a role, deleting it. On PostgreSQL running nodes learn of it from the feed
//! of changes; an embedded database is open to one process only, so the service must be stopped first.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{Failure, say};
use crate::clock::{Clock, new_uuid};
use crate::config::Config;
use crate::domain::command::{EndAll, decide};
use crate::domain::reason::EndReason;
use crate::domain::user::{Email, Role, User};
use crate::events::announcement::Announcer;
use crate::storage::Store;
use crate::storage::ledger::{Commit, CommitOutcome};

/// How often a deletion is tried against nodes that change the same user's sessions.
const TRIES: usize = 20;

/// What to do with an account.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// Print the account and its live sessions as JSON.
    Show {
        /// Address it signs in with.
        email: String,
    },
    /// Give it a role; access tokens carry it from the next refresh on.
    Role {
        /// Address it signs in with.
        email: String,
        /// The role.
        #[arg(value_enum, ignore_case = true)]
        role: RoleName,
    },
    /// Delete it: every session ends at once, and name, address and password are forgotten.
    Delete {
        /// Address it signs in with.
        email: String,
    },
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

pub(super) async fn run(config: &Config, store: &Store, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Show { email } => show(store, &find(store, &email).await?).await,
        UserCommand::Role { email, role } => {
            let user = find(store, &email).await?;
            store.change_role(user.id, role.into(), Clock::System.now()).await?;
            say(&format!("{} is {}", user.id, Role::from(role).as_str()));
            Ok(())
        }
        UserCommand::Delete { email } => delete(config, store, &find(store, &email).await?).await,
    }
}

async fn find(store: &Store, email: &str) -> Result<User, Failure> {
    let found = store.lookup_credentials(Email::lookup_key(email)).await?;
    found.map(|found| found.user).ok_or_else(|| "there is no account with this address".into())
}

async fn show(store: &Store, user: &User) -> Result<(), Failure> {
    let ledger = store.load_ledger(user.id).await?.ok_or("the account was just deleted")?;
    let sessions: Vec<_> = ledger
        .live()
        .iter()
        .map(|session| {
            json!({
                "id": session.id(),
                "deviceInfo": session.profile.device,
                "ipAddress": session.profile.ip_address,
                "createdAt": session.profile.created_at,
                "lastActivity": session.last_activity,
                "expiresAt": session.profile.expires_at,
            })
        })
        .collect();
    say(&serde_json::to_string_pretty(&json!({
        "id": user.id,
        "name": user.name,
        "email": user.email.as_str(),
        "role": user.role,
        "createdAt": user.created_at,
        "lastActivityAt": user.last_activity_at,
        "sessions": sessions,
    }))?);
    Ok(())
}

/// The same rule and the same transaction as in a user's actor; the compare-and-set keeps the two apart.
async fn delete(config: &Config, store: &Store, user: &User) -> Result<(), Failure> {
    let policies = crate::app::policies(config, store.is_shared());
    for _ in 0..TRIES {
        let Some(ledger) = store.load_ledger(user.id).await? else { break };
        let now = Clock::System.now();
        let command = EndAll { reason: EndReason::UserDeleted };
        let decision = decide(&command, &ledger, now, policies.for_role(ledger.role));
        let announcer = Announcer { service: &config.service_name, user: user.id, now, new_id: new_uuid };
        let commit = Commit {
            user: user.id,
            decided_on: ledger.version,
            announcements: announcer.announce(&decision.events),
            events: decision.events,
            last_activity_at: ledger.last_activity_at,
            now,
        };
        if let CommitOutcome::Committed(_) = store.delete_user(commit).await? {
            say(&format!("{} is deleted; {} sessions ended", user.id, decision.reply));
            return Ok(());
        }
    }
    Err("the account could not be deleted: its sessions kept changing, or it was just deleted".into())
}
