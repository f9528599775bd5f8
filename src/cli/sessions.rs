//! `sessions …`: a user's live sessions, and ending them. On SQLite the service must be stopped first.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{find, live_sessions, operators};
use super::output::{say, say_json, table};
use super::{CommandError, plural};
use crate::config::Config;
use crate::domain::ids::SessionId;
use crate::domain::ledger::Ledger;
use crate::domain::reason::EndReason;
use crate::domain::session::Session;
use crate::storage::Store;

/// What to do with sessions.
#[derive(Clone, Debug, Subcommand)]
pub enum SessionsCommand {
    /// List a user's live sessions, the most recently active first.
    List {
        /// Address or id of the account.
        user: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// End one session of a user, or all. Devices and other services are notified.
    #[command(override_usage = "auth-service sessions end [OPTIONS] <USER> <SESSION|--all>")]
    End {
        /// Address or id of the account.
        user: String,
        /// Which of them.
        #[command(flatten)]
        which: SessionSelection,
        /// The reason that is kept with the session, told in the event, and in the refusal of its tokens.
        #[arg(long, value_enum, default_value_t = ReasonName::Terminated)]
        reason: ReasonName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// One session or all.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SessionSelection {
    /// Id of the session, as `sessions list` shows it.
    pub(super) session: Option<Uuid>,
    /// All sessions of the user.
    #[arg(long)]
    all: bool,
}

/// The reasons an operator can answer for; time, room and deletion speak for themselves.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum ReasonName {
    /// Ended by somebody else than the device itself.
    Terminated,
    /// Signed out, as the person asked for.
    Logout,
    /// Its refresh token is taken for stolen.
    RefreshTokenReused,
}

impl From<ReasonName> for EndReason {
    fn from(name: ReasonName) -> Self {
        match name {
            ReasonName::Terminated => Self::Terminated,
            ReasonName::Logout => Self::Logout,
            ReasonName::RefreshTokenReused => Self::RefreshTokenReused,
        }
    }
}

pub(super) async fn run(
    config: &Config,
    store: &Store,
    command: SessionsCommand,
) -> Result<(), CommandError> {
    match command {
        SessionsCommand::List { user, json } => {
            let user = find(store, &user).await?;
            let ledger = live_sessions(config, store, &user).await?;
            if json {
                return say_json(&json!({"userId": user.id, "sessions": as_json(&ledger)}));
            }
            say(&as_table(&ledger))
        }
        SessionsCommand::End { user, which, reason, json } => {
            let user = find(store, &user).await?;
            let reason = reason.into();
            let operators = operators(config, store);
            let ended = match which.session.map(SessionId::new) {
                Some(session) => {
                    operators.end_session(user.id, session, reason).await?;
                    1
                }
                None => operators.end_sessions(user.id, reason).await?,
            };
            if json {
                return say_json(&json!({"userId": user.id, "ended": ended, "reason": reason}));
            }
            say(&format!("{} ended ({})", plural(ended, "session"), reason.as_str()))
        }
    }
}

/// The most recently active first.
fn sorted(ledger: &Ledger) -> Vec<&Session> {
    let mut sessions: Vec<_> = ledger.live().iter().collect();
    sessions.sort_by_key(|session| std::cmp::Reverse(session.last_activity));
    sessions
}

pub(super) fn as_json(ledger: &Ledger) -> Vec<Value> {
    let session = |session: &Session| {
        json!({
            "id": session.id(),
            "deviceInfo": session.profile.device,
            "ipAddress": session.profile.ip_address,
            "createdAt": session.profile.created_at,
            "lastActivity": session.last_activity,
            "expiresAt": session.times.expires_at,
            "idleExpiresAt": session.idle_expires_at(),
        })
    };
    sorted(ledger).into_iter().map(session).collect()
}

pub(super) fn as_table(ledger: &Ledger) -> String {
    let row = |session: &Session| {
        let device = &session.profile.device;
        let name = device.name.as_deref().or(device.browser.as_deref()).unwrap_or("-");
        [
            session.id().to_string(),
            name.to_owned(),
            session.profile.ip_address.map_or_else(|| "-".to_owned(), |address| address.to_string()),
            session.last_activity.to_string(),
            session.idle_expires_at().to_string(),
        ]
    };
    let rows: Vec<_> = sorted(ledger).into_iter().map(row).collect();
    table(["SESSION", "DEVICE", "ADDRESS", "LAST ACTIVITY", "IDLE AT"], &rows)
}
