//! `TestApp`: the real program on a free port, with a data folder and a database of its own.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;

use super::child::{Ended, Process, free_port};
use super::client::{Client, Person};
use super::database::{Database, PostgresDatabase, connect, execute};
use super::time::eventually;

/// For tests that are not about this bound: a machine that stalls for a second must not make the node
/// report staleness.
pub(crate) const STALENESS: &str = "REVOCATION_MAX_STALENESS_MS";
pub(crate) const PATIENT_STALENESS_MS: u64 = 5_000;

/// Signs access tokens in the tests, so that tests can forge them.
pub(crate) const ACCESS_SECRET: &str = "access-secret-of-the-tests-0123456789abcdef";
/// Signs refresh tokens in the tests.
pub(crate) const REFRESH_SECRET: &str = "refresh-secret-of-the-tests-0123456789abcdef";

/// A limit for starting and stopping that only a hanging program reaches.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The setup of a program; everything not set here has its default.
pub(crate) struct Setup {
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// A wrapper program, with its arguments, that executes this one; empty if there is none.
    wrapper: Vec<String>,
    data: TempDir,
    postgres: Option<PostgresDatabase>,
}

impl Setup {
    pub(crate) async fn on(database: Database) -> Self {
        let setup = Self::bare();
        let data = setup.data_dir().display().to_string();
        let setup = setup
            .set("APP_ENV", "test")
            .set("HOST", "127.0.0.1")
            .set("PORT", 0)
            .set("DATA_DIR", data)
            .set("LOG_FORMAT", "json")
            .set("LOG_LEVEL", std::env::var("TEST_LOG").unwrap_or_else(|_| "info".to_owned()))
            .set("BCRYPT_COST", 4)
            .set("RATE_LIMIT_ENABLED", false)
            .set("JWT_ACCESS_SECRET", ACCESS_SECRET)
            .set("JWT_REFRESH_SECRET", REFRESH_SECRET);
        match database {
            Database::Sqlite => setup,
            Database::Postgres => {
                let postgres = PostgresDatabase::create().await;
                let url = postgres.url.clone();
                let mut setup = setup.set("DATABASE_URL", url).set(STALENESS, PATIENT_STALENESS_MS);
                setup.postgres = Some(postgres);
                setup
            }
        }
    }

    /// On SQLite, with what production requires.
    pub(crate) async fn in_production() -> Self {
        Self::on(Database::Sqlite).await.set("APP_ENV", "production").set("DATABASE_URL", "sqlite:auth.db")
    }

    /// An empty environment in an empty folder.
    pub(crate) fn bare() -> Self {
        Self {
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            wrapper: Vec::new(),
            data: tempfile::tempdir().unwrap(),
            postgres: None,
        }
    }

    pub(crate) fn set(mut self, variable: &str, value: impl Display) -> Self {
        self.environment.insert(variable.to_owned(), value.to_string());
        self
    }

    pub(crate) fn unset(mut self, variable: &str) -> Self {
        self.environment.remove(variable);
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    pub(crate) fn without_arguments(mut self) -> Self {
        self.arguments.clear();
        self
    }

    /// Has a wrapper program run it, which must end by calling `exec` with its arguments.
    pub(crate) fn run_by(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The current value of a variable.
    pub(crate) fn get(&self, variable: &str) -> &str {
        &self.environment[variable]
    }

    /// The program's working and data folder.
    pub(crate) fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The path of the SQLite file, whether or not it exists.
    pub(crate) fn sqlite_file(&self) -> PathBuf {
        self.data_dir().join("auth.db")
    }

    /// Runs another command of the program in the same environment, and waits for it to end.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Ended {
        self.command_with_input(arguments, "").await
    }

    /// The same, with something on its standard input.
    pub(crate) async fn command_with_input(&self, arguments: &[&str], input: &str) -> Ended {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        Process::spawn_with_input(self.program(arguments), input).end(TIMEOUT).await
    }

    /// A new API key with these scopes; on SQLite the program must not be running.
    pub(crate) async fn api_key(&self, scopes: &[&str]) -> String {
        self.command(&["migrate"]).await.expect_code(0);
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        self.key_of(&["api-keys", "create"].into_iter().chain(scopes).collect::<Vec<_>>()).await
    }

    /// The API key that a command prints.
    pub(crate) async fn key_of(&self, arguments: &[&str]) -> String {
        let printed = self.command(arguments).await.expect_code(0).output;
        let words = printed.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let key = words.into_iter().find(|word| word.starts_with("ak_")).map(str::to_owned);
        key.unwrap_or_else(|| panic!("no key in {printed}"))
    }

    /// Starts another command, to be stopped by a signal.
    pub(crate) fn start_command(&self, arguments: &[&str]) -> Process {
        Process::spawn(self.program(arguments.iter().map(|argument| (*argument).to_owned())))
    }

    fn spawn(&self) -> Process {
        Process::spawn(self.program(self.arguments.iter().cloned()))
    }

    fn program(&self, arguments: impl IntoIterator<Item = String>) -> Command {
        let mut words = self.wrapper.iter().cloned().chain([env!("CARGO_BIN_EXE_auth-service").to_owned()]);
        let mut command = Command::new(words.next().expect("the program is there without a wrapper"));
        command
            .args(words.chain(arguments))
            .current_dir(self.data.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(&self.environment);
        command
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(self) -> TestApp {
        let mut process = self.spawn();
        let base = ready(&mut process).await;
        TestApp { process, base, setup: self }
    }

    /// The same with its output redirected; what it prints is not captured.
    pub(crate) async fn start_printing_to(self, output: Stdio, errors: Stdio) -> TestApp {
        let port = free_port();
        let setup = self.set("PORT", port);
        let process = Process::spawn_printing_to(setup.program(Vec::new()), output, errors);
        let base = format!("http://127.0.0.1:{port}");
        until_ready(&base).await;
        TestApp { process, base, setup }
    }

    /// The same for a program that ends by itself.
    pub(crate) async fn run_printing_to(&self, output: Stdio, errors: Stdio) -> Ended {
        Process::spawn_printing_to(self.program(Vec::new()), output, errors).end(TIMEOUT).await
    }

    /// Starts it and waits for it to end by itself.
    pub(crate) async fn run(&self) -> Ended {
        let mut process = self.spawn();
        let mut ended = process.end(TIMEOUT).await;
        ended.took = process.age();
        ended
    }
}

pub(crate) struct TestApp {
    // Fields are dropped in this order: the program before its database and its folder.
    process: Process,
    base: String,
    pub(crate) setup: Setup,
}

impl TestApp {
    /// Starts it with the defaults.
    pub(crate) async fn on(database: Database) -> Self {
        Setup::on(database).await.start().await
    }

    /// On SQLite, for promises that do not depend on the database.
    pub(crate) async fn start() -> Self {
        Self::on(Database::Sqlite).await
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// A new device that nobody has signed in on.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.base())
    }

    /// A new person, signed in on this many devices.
    pub(crate) async fn devices(&self, person: &Person, count: usize) -> Vec<Client> {
        let mut devices: Vec<_> = (0..count).map(|_| self.client()).collect();
        for (index, device) in devices.iter_mut().enumerate() {
            match index {
                0 => device.signup(person).await.expect(201),
                _ => device.login(person).await.expect(200),
            };
        }
        devices
    }

    /// Changes the database behind the program's back, for what only time or an operator could do.
    pub(crate) async fn execute(&self, statement: &str) {
        execute(&self.database_url(), statement).await.unwrap();
    }

    /// The number that a query returns, bypassing the program.
    pub(crate) async fn count(&self, query: &str) -> i64 {
        let connection = connect(&self.database_url()).await.unwrap();
        let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), query));
        let count = row.await.unwrap().unwrap().try_get_by_index(0).unwrap();
        connection.close().await.unwrap();
        count
    }

    fn database_url(&self) -> String {
        match &self.setup.postgres {
            Some(postgres) => postgres.url.clone(),
            None => format!("sqlite://{}", self.setup.sqlite_file().display()),
        }
    }

    pub(crate) fn logs(&self) -> String {
        self.process.logs()
    }

    /// Waits for a text in the log: a response may arrive before the line that was written earlier.
    pub(crate) async fn expect_log(&self, part: &str) {
        eventually("it is in the log", Duration::from_secs(10), async || {
            let logs = self.logs();
            if logs.contains(part) { Ok(()) } else { Err(format!("no {part} in {logs}")) }
        })
        .await;
    }

    /// The CPU time of its threads.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// The memory it holds, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.process.resident_memory()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL: nothing is flushed, and nobody is notified.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for the end that a signal has requested.
    pub(crate) async fn end(&mut self) -> Ended {
        self.process.end(TIMEOUT).await
    }

    /// Sends SIGTERM, and returns how it ended.
    pub(crate) async fn terminate(&mut self) -> Ended {
        self.signal("TERM");
        self.end().await
    }

    /// Stops it from running without ending it, as a paused machine would.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// Starts again on the same data, on another port; a running one is killed.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        self.process = self.setup.spawn();
        self.base = ready(&mut self.process).await;
    }

    /// The same with some variables changed; an empty value counts as none.
    pub(crate) async fn restart_with(&mut self, variables: &[(&str, &str)]) {
        let changed = variables.iter().map(|(variable, value)| ((*variable).to_owned(), (*value).to_owned()));
        self.setup.environment.extend(changed);
        self.restart().await;
    }
}

async fn ready(process: &mut Process) -> String {
    let base = format!("http://{}", process.address().await);
    until_ready(&base).await;
    base
}

async fn until_ready(base: &str) {
    let client = Client::new(base);
    eventually("the program is ready", TIMEOUT, async || match client.try_get("/health/ready").await {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.to_string()),
        Err(cause) => Err(cause.to_string()),
    })
    .await;
}
