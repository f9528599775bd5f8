//! `Exim`: Debian's own mail server, unmodified. It wants STARTTLS and a login, and defers every recipient
//! until it is opened, as a server that greylists does.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::child::{Process, free_port};
use super::postgres::{folder, give_to_server, run_as_server_user};
use super::smtp::Received;
use super::time::eventually;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Where Debian installs it, which may not be on an ordinary user's `PATH`.
const PROGRAM: &str = "/usr/sbin/exim4";
/// The one user who may send, and the password.
pub(crate) const LOGIN: (&str, &str) = ("service", "p@ss:word/1");

pub(crate) struct Exim {
    // Fields are dropped in this order: the server before its folder.
    _process: Process,
    port: u16,
    folder: TempDir,
}

impl Exim {
    pub(crate) async fn start() -> Self {
        let (folder, port) = (folder(), free_port());
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        for (name, text) in [
            ("certificate", made.cert.pem()),
            ("key", made.signing_key.serialize_pem()),
            ("configuration", configuration(folder.path(), port)),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            give_to_server(&file, 0o600);
        }
        let mut command = run_as_server_user(PROGRAM.as_ref());
        command.arg("-C").arg(folder.path().join("configuration")).arg("-bdf");
        let server = Self { _process: Process::spawn(command), port, folder };
        eventually("Exim answers", TIMEOUT, async || {
            let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            socket.map(drop).map_err(|cause| cause.to_string())
        })
        .await;
        server
    }

    /// The URL to send with, as that user with that password.
    pub(crate) fn url(&self, (user, password): (&str, &str)) -> String {
        let encoded = |text: &str| text.replace('@', "%40").replace(':', "%3A").replace('/', "%2F");
        format!("smtp://{}:{}@localhost:{}?tls=required", encoded(user), encoded(password), self.port)
    }

    /// The file with the authority of its certificate, which is its own.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("certificate")
    }

    /// From now on it accepts what it is sent.
    pub(crate) fn open(&self) {
        std::fs::write(self.folder.path().join("open"), "").unwrap();
    }

    /// All mails that it has delivered.
    pub(crate) fn delivered(&self) -> Vec<Received> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("mails/new")) else { return Vec::new() };
        entries
            .map(|entry| Received::parse(&std::fs::read_to_string(entry.unwrap().path()).unwrap()))
            .collect()
    }

    /// Waits for the only mail with such a subject.
    pub(crate) async fn mail_about(&self, subject: &str) -> Received {
        eventually(&format!("a mail about {subject}"), Duration::from_secs(60), async || {
            let found = self.delivered().into_iter().find(|mail| mail.header("Subject").contains(subject));
            found.ok_or_else(|| format!("{:?}", self.delivered()))
        })
        .await
    }
}

fn configuration(folder: &Path, port: u16) -> String {
    let owner = std::fs::metadata(folder).unwrap();
    let (uid, gid) = (owner.uid(), owner.gid());
    let ((user, password), folder) = (LOGIN, folder.display());
    format!(
        "\
primary_hostname = mx.example.com
exim_user = {uid}
exim_group = {gid}
never_users =
keep_environment =
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_certificate = {folder}/certificate
tls_privatekey = {folder}/key
acl_smtp_rcpt = recipient
begin acl
recipient:
  deny !authenticated = *
  defer condition = ${{if exists{{{folder}/open}}{{no}}{{yes}}}}
  accept
begin routers
all:
  driver = accept
  transport = folder
begin transports
folder:
  driver = appendfile
  directory = {folder}/mails
  maildir_format
  envelope_to_add
  user = {uid}
  group = {gid}
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
    )
}
