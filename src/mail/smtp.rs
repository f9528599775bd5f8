//! Delivery to the mail server, with one connection per mail: a pool fails on connections that the server has
//! closed, and a slow recipient must delay nothing but its own mail.
//!
//! Bounds: [`BEFORE_TEXT`] until the text may be sent, which is less than a node's lease of the mail;
//! [`AFTER_TEXT`] for the reply to it.

use std::path::Path;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::{self};
use pem::Pem;
use tokio::time::{Instant, timeout, timeout_at};

use super::message::Message;
use super::{MailError, SendError};
use crate::config::{SmtpConfig, SmtpTls};

/// How long it may take until the server is ready for the text.
pub const BEFORE_TEXT: Duration = Duration::from_secs(30);
/// How long the reply to the text may take.
pub const AFTER_TEXT: Duration = Duration::from_secs(120);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long `QUIT` may take, whose outcome does not matter.
const FAREWELL: Duration = Duration::from_secs(1);

/// A client of the mail server.
pub(super) struct Smtp {
    host: String,
    port: u16,
    hello: ClientId,
    tls: Option<TlsParameters>,
    starts_tls: bool,
    credentials: Option<Credentials>,
}

impl Smtp {
    pub(super) fn new(
        config: &SmtpConfig,
        ca_file: Option<&Path>,
        from: &Mailbox,
    ) -> Result<Self, MailError> {
        let tls = match config.tls {
            SmtpTls::None => None,
            SmtpTls::Implicit | SmtpTls::StartTls => Some(tls(&config.host, ca_file)?),
        };
        let credentials = config.credentials.as_ref();
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            hello: ClientId::Domain(from.email.domain().to_owned()),
            tls,
            starts_tls: config.tls == SmtpTls::StartTls,
            credentials: credentials
                .map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned())),
        })
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        note: impl Future<Output = bool> + Send,
    ) -> Result<(), SendError> {
        let latest = Instant::now() + BEFORE_TEXT;
        let begun = timeout_at(latest, self.begin(message));
        let mut connection = begun.await.unwrap_or_else(|_| Err(SendError::NotYet("timeout".to_owned())))?;
        let is_ours = timeout_at(latest, note).await.unwrap_or(false);
        if !is_ours {
            return Err(SendError::NotNoted);
        }
        let answer = timeout(AFTER_TEXT, connection.message(&message.bytes));
        match answer.await {
            Ok(Ok(_)) => {
                // The server has accepted it, whatever the outcome of `QUIT`.
                let _ = timeout(FAREWELL, connection.quit()).await;
                Ok(())
            }
            Ok(Err(error)) if error.is_permanent() => Err(SendError::Refused(class(&error))),
            Ok(Err(error)) if error.is_transient() => Err(SendError::NotYet(class(&error))),
            Ok(Err(error)) => Err(SendError::Unknown(class(&error))),
            Err(_) => Err(SendError::Unknown("timeout".to_owned())),
        }
    }

    /// Runs the dialogue until the server is ready for the text. Only a refusal of the recipient, or of the
    /// mail itself, is permanent: other failures are for the operator to fix.
    async fn begin(&self, message: &Message) -> Result<AsyncSmtpConnection, SendError> {
        let not_yet = |error: smtp::Error| SendError::NotYet(class(&error));
        let mut connection = self.connect().await.map_err(not_yet)?;
        let mut parameters = Vec::new();
        if message.envelope.to().iter().any(|address| !address.user().is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Refused("no_smtputf8".to_owned()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = Mail::new(message.envelope.from().cloned(), parameters);
        connection.command(from).await.map_err(not_yet)?;
        for recipient in message.envelope.to() {
            connection
                .command(Rcpt::new(recipient.clone(), Vec::new()))
                .await
                .map_err(|error| of_mail(&error))?;
        }
        connection.command(Data).await.map_err(|error| of_mail(&error))?;
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let server = (self.host.as_str(), self.port);
        let implicit = self.tls.clone().filter(|_| !self.starts_tls);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, implicit, None);
        let mut connection = connecting.await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.starts_tls) {
            connection.starttls(tls, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await?;
        }
        Ok(connection)
    }
}

fn of_mail(error: &smtp::Error) -> SendError {
    let class = class(error);
    if error.is_permanent() { SendError::Refused(class) } else { SendError::NotYet(class) }
}

/// The kind of error, never the server's words, which may contain an address.
fn class(error: &smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("smtp_{code}"),
        None if error.is_tls() => "tls".to_owned(),
        None if error.is_timeout() => "timeout".to_owned(),
        None if error.is_client() => "not_offered".to_owned(),
        None => "connection".to_owned(),
    }
}

/// The system's; where it has none, as in a bare container, those that are built in.
fn authorities() -> CertificateStore {
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        tracing::info!("mail.built_in_authorities");
        return CertificateStore::WebpkiRoots;
    }
    CertificateStore::Default
}

fn tls(host: &str, ca_file: Option<&Path>) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(authorities());
    let path = ca_file.map(|path| path.display().to_string()).unwrap_or_default();
    let unusable = |cause: String| MailError::Authorities { path: path.clone(), cause };
    if let Some(file) = ca_file {
        let text = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
        let found = pem::parse_many(text).map_err(|error| unusable(error.to_string()))?;
        let found: Vec<Pem> = found.into_iter().filter(|it| it.tag() == "CERTIFICATE").collect();
        if found.is_empty() {
            return Err(unusable("holds no certificate".to_owned()));
        }
        for certificate in found {
            let certificate = Certificate::from_der(certificate.into_contents());
            builder = builder.add_root_certificate(certificate.map_err(|it| unusable(it.to_string()))?);
        }
    }
    builder.build().map_err(|error| unusable(error.to_string()))
}
