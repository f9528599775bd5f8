//! The commands for accounts and sessions over a running service's admin API (`--server URL --key …`), so
//! that nothing has to be stopped and nothing of the database be at hand.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::output::{say, say_json, table};
use super::sessions::SessionsCommand;
use super::users::{self, UserCommand};
use super::{AdministrationCommand, Command, CommandError, plural};
use crate::domain::reason::EndReason;
use crate::domain::user::Role;

/// How long the service may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most of an answer that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 8 * 1024 * 1024;
/// Rows of a page.
const PAGE: u64 = 200;

/// Where the commands are done, and the key to do them with.
#[derive(Clone, Args)]
pub struct RemoteArguments {
    /// Run the commands of `user` and `sessions` over the admin API of the service at this address.
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The API key for --server; in the environment it is in no list of processes.
    #[arg(long, global = true, env = "AUTH_SERVICE_KEY", hide_env_values = true)]
    key: Option<String>,
    /// A file with the API key for --server.
    #[arg(long, global = true, value_name = "FILE", env = "AUTH_SERVICE_KEY_FILE")]
    key_file: Option<PathBuf>,
}

impl fmt::Debug for RemoteArguments {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteArguments").field("server", &self.server).finish_non_exhaustive()
    }
}

impl RemoteArguments {
    fn read_key(&self) -> Result<String, CommandError> {
        let key = match (&self.key, &self.key_file) {
            (Some(key), _) => key.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file);
                text.map_err(|error| format!("cannot read the key file {}: {error}", file.display()))?
            }
            (None, None) => {
                return Err("--server needs --key, --key-file, or AUTH_SERVICE_KEY in the environment".into());
            }
        };
        Ok(key.trim().to_owned())
    }
}

/// Does a command over the service at `server`.
///
/// # Errors
/// What the service answers, in its words; or when it does not answer.
pub async fn run(server: &str, arguments: &RemoteArguments, command: Command) -> Result<(), CommandError> {
    let key = arguments.read_key()?;
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let http = Client::builder(TokioExecutor::new()).build(connector);
    let remote = Remote { http, server: server.trim_end_matches('/').to_owned(), key };
    match command {
        Command::Administration(AdministrationCommand::User { command }) => remote.user(command).await,
        Command::Administration(AdministrationCommand::Sessions { command }) => {
            remote.sessions(command).await
        }
        _ => Err("--server is for the commands of `user` and `sessions`".into()),
    }
}

struct Remote {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    key: String,
}

/// What the service answered.
struct Answer {
    json: Value,
    tag: Option<String>,
}

impl Remote {
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        tag: Option<&str>,
    ) -> Result<Answer, CommandError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("authorization", format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        // The error names no part of the request: it would be the key.
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| "--server must be an address such as http://localhost:4001, and the key one line")?;
        let exchange = async {
            let (head, body) = self.http.request(request).await?.into_parts();
            let body = Limited::new(body, MAX_RESPONSE_BYTES)
                .collect()
                .await
                .map_err(|error| -> CommandError { error })?
                .to_bytes();
            Ok::<_, CommandError>((head, body))
        };
        let exchanged = tokio::time::timeout(TIMEOUT, exchange).await;
        let (head, body) =
            exchanged.map_err(|_| "the service did not answer in time")?.map_err(|error| cause(&*error))?;
        let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if !head.status.is_success() {
            let detail = json["detail"].as_str().unwrap_or("no reason given");
            return Err(format!("the service answers {}: {detail}", head.status.as_u16()).into());
        }
        let tag = head.headers.get("etag").and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(Answer { json, tag })
    }

    async fn get(&self, path: &str) -> Result<Answer, CommandError> {
        self.call("GET", path, None, None).await
    }

    /// The id of the account with that address or id.
    async fn find(&self, who: &str) -> Result<String, CommandError> {
        if let Ok(id) = Uuid::try_parse(who) {
            return Ok(id.to_string());
        }
        // A star would find whatever begins so.
        let address = who.trim_end_matches('*');
        let answer = self.get(&format!("/admin/users?email={}", encoded(address))).await?;
        let id = answer.json["users"][0]["id"].as_str().map(str::to_owned);
        id.ok_or_else(|| "no account with this address or id".into())
    }

    /// All rows of a list, page by page, `most` of them at most.
    async fn pages(&self, path: &str, name: &str, most: u64) -> Result<Vec<Value>, CommandError> {
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        let joint = if path.contains('?') { '&' } else { '?' };
        while (rows.len() as u64) < most {
            let limit = PAGE.min(most - rows.len() as u64);
            let mut answer = self.get(&format!("{path}{joint}limit={limit}{cursor}")).await?;
            if let Value::Array(page) = answer.json[name].take() {
                rows.extend(page);
            }
            match answer.json["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(rows)
    }

    async fn user(&self, command: UserCommand) -> Result<(), CommandError> {
        match command {
            UserCommand::Create(create) => self.create_user(&create).await,
            UserCommand::List(list) => self.list_users(&list).await,
            UserCommand::Show { user, json } => {
                let id = self.find(&user).await?;
                let mut shown = self.get(&format!("/admin/users/{id}")).await?.json["user"].take();
                let sessions = self.pages(&format!("/admin/users/{id}/sessions"), "sessions", 1_000).await?;
                if json {
                    shown["sessions"] = sessions.into();
                    return say_json(&shown);
                }
                say(&users_table(&[shown]))?;
                say(&sessions_table(&sessions))
            }
            UserCommand::Role { user, role } => {
                let role = Role::from(role).as_str();
                let id = self.change(&user, json!({"role": role})).await?;
                say(&format!("{id} is {role}"))
            }
            UserCommand::Disable { user } => {
                let id = self.change(&user, json!({"disabled": true})).await?;
                say(&format!("{id} is disabled; its sessions ended"))
            }
            UserCommand::Enable { user } => {
                let id = self.change(&user, json!({"disabled": false})).await?;
                say(&format!("{id} is enabled"))
            }
            UserCommand::RemoveFactors { user } => {
                let id = self.find(&user).await?;
                self.call("DELETE", &format!("/admin/users/{id}/factors"), None, None).await?;
                say(&format!("{id} has no second factor any more; its sessions ended"))
            }
            UserCommand::Delete { user } => {
                let id = self.find(&user).await?;
                self.call("DELETE", &format!("/admin/users/{id}"), None, None).await?;
                say(&format!("{id} is deleted; its sessions ended"))
            }
        }
    }

    async fn create_user(&self, create: &users::Create) -> Result<(), CommandError> {
        let (body, password) = users::for_server(create)?;
        let made = self.call("POST", "/admin/users", Some(body), None).await?.json;
        let id = text(&made["user"]["id"]);
        match create.json {
            true => say_json(&json!({"id": id, "password": password})),
            false => say(&format!("Created account {id}; password: {password}")),
        }
    }

    async fn list_users(&self, list: &users::List) -> Result<(), CommandError> {
        if !list.after.is_empty() {
            return Err("--server lists the newest accounts first; it takes no --after".into());
        }
        let mut path = "/admin/users?".to_owned();
        if let Some(search) = &list.search {
            path += &format!("&email={}*", encoded(search));
        }
        if let Some(role) = list.role {
            path += &format!("&role={}", Role::from(role).as_str());
        }
        if list.disabled {
            path += "&status=disabled";
        }
        let found = self.pages(&path, "users", list.limit).await?;
        if list.json { say_json(&found) } else { say(&users_table(&found)) }
    }

    async fn change(&self, user: &str, body: Value) -> Result<String, CommandError> {
        let path = format!("/admin/users/{}", self.find(user).await?);
        let tag = self.get(&path).await?.tag.ok_or("the service names no version of the account")?;
        let changed = self.call("PATCH", &path, Some(body), Some(&tag)).await?.json;
        Ok(text(&changed["user"]["id"]))
    }

    async fn sessions(&self, command: SessionsCommand) -> Result<(), CommandError> {
        match command {
            SessionsCommand::List { user, json } => {
                let id = self.find(&user).await?;
                let found = self.pages(&format!("/admin/users/{id}/sessions"), "sessions", 1_000).await?;
                if json {
                    return say_json(&json!({"userId": id, "sessions": found}));
                }
                say(&sessions_table(&found))
            }
            SessionsCommand::End { user, which, reason, json } => {
                let (id, reason) = (self.find(&user).await?, EndReason::from(reason));
                let one = which.session.map(|session| format!("/{session}")).unwrap_or_default();
                let path = format!("/admin/users/{id}/sessions{one}?reason={}", reason.as_str());
                let ended = self.call("DELETE", &path, None, None).await?.json["terminated"].as_u64();
                let ended = usize::try_from(ended.unwrap_or(0))?;
                if json {
                    return say_json(&json!({"userId": id, "ended": ended, "reason": reason}));
                }
                say(&format!("{} ended ({})", plural(ended, "session"), reason.as_str()))
            }
        }
    }
}

/// The innermost cause says what happened: `Connection refused`.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("cannot reach the service: {innermost}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

fn users_table(users: &[Value]) -> String {
    let row = |user: &Value| {
        let state = if user["disabled"] == true { "disabled" } else { "" };
        let of = |name: &str| text(&user[name]);
        [
            of("email"),
            of("id"),
            of("name"),
            of("role"),
            of("createdAt"),
            of("lastActivityAt"),
            state.to_owned(),
        ]
    };
    let rows: Vec<_> = users.iter().map(row).collect();
    table(["EMAIL", "ID", "NAME", "ROLE", "CREATED", "LAST ACTIVITY", "STATE"], &rows)
}

fn sessions_table(sessions: &[Value]) -> String {
    let row = |session: &Value| {
        let device = &session["deviceInfo"];
        let name = device["name"].as_str().or(device["browser"].as_str()).unwrap_or("-");
        let of = |name: &str| text(&session[name]);
        [of("id"), name.to_owned(), of("ipAddress"), of("lastActivity"), of("idleExpiresAt")]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    table(["SESSION", "DEVICE", "ADDRESS", "LAST ACTIVITY", "IDLE AT"], &rows)
}
