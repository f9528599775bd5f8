//! A scripted mail server: accepts a mail, refuses it, defers it, stays silent, or breaks the connection.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

use super::eventually;

/// How long a mail may take. A node that dies with a leased mail keeps it from the others for a minute
/// ([`auth_service::storage::mails::LEASE`]), and a first failure costs ten seconds.
const WITHIN: Duration = Duration::from_secs(100);

/// What the server does with one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// 250.
    Take,
    /// 550 for the recipient.
    Refuse,
    /// 451 for the recipient.
    Defer,
    /// There is no reply to `RCPT TO`.
    HangAtRecipient,
    /// The text is read, and there is no reply.
    HangAfterText,
    /// The text is read, and the connection breaks.
    BreakAfterText,
    /// 451 for the text.
    DeferText,
}

/// A mail that has reached the server completely.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) to: String,
    /// The message as received, decoded.
    pub(crate) text: String,
}

impl Received {
    /// A message as a server has delivered it to a file.
    pub(crate) fn parse(text: &str) -> Self {
        let text = decoded(&text.replace('\n', "\r\n"));
        let mail = Self { to: String::new(), text };
        Self { to: mail.header("Envelope-to").to_owned(), ..mail }
    }

    /// The first line of that header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    /// The 8 digits on a line of their own.
    pub(crate) fn code(&self) -> String {
        let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit());
        let code = self.text.lines().map(str::trim).find(is_code);
        code.unwrap_or_else(|| panic!("no code in {}", self.text)).to_owned()
    }
}

#[derive(Default)]
struct Told {
    manners: HashMap<String, VecDeque<Manner>>,
    always: HashMap<String, Manner>,
    received: Vec<Received>,
    /// Recipients that were named, whatever the outcome.
    asked: Vec<String>,
}

/// The server; its connections end when it is dropped.
pub(crate) struct MailServer {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
    task: tokio::task::JoinHandle<()>,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// Starts it on an address that was used before.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::<Mutex<Told>>::default();
        let shared = Arc::clone(&told);
        let task = tokio::spawn(async move {
            let mut lines = tokio::task::JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                // A client that disconnects is not the server's concern.
                let told = Arc::clone(&shared);
                lines.spawn(async move { drop(serve(stream, told).await) });
            }
        });
        Self { address, told, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// How the next mails to that address are treated; those after them are accepted.
    pub(crate) fn next(&self, to: &str, manners: &[Manner]) {
        self.told.lock().unwrap().manners.entry(to.to_owned()).or_default().extend(manners);
    }

    /// How every mail to that address is treated.
    pub(crate) fn always(&self, to: &str, manner: Manner) {
        self.told.lock().unwrap().always.insert(to.to_owned(), manner);
    }

    /// The mails to that address that arrived completely.
    pub(crate) fn received(&self, to: &str) -> Vec<Received> {
        self.told.lock().unwrap().received.iter().filter(|it| it.to == to).cloned().collect()
    }

    /// How often sending a mail to that address was begun.
    pub(crate) fn tries(&self, to: &str) -> usize {
        self.told.lock().unwrap().asked.iter().filter(|asked| *asked == to).count()
    }

    /// All received mails.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.told.lock().unwrap().received.clone()
    }

    /// Waits for the mail with that number to that address; numbers begin with 1.
    pub(crate) async fn mail(&self, to: &str, number: usize) -> Received {
        eventually(&format!("mail {number} to {to}"), WITHIN, async || {
            self.received(to).into_iter().nth(number - 1).ok_or_else(|| {
                format!(
                    "{} mails, {} tries; in all {:?}",
                    self.received(to).len(),
                    self.tries(to),
                    self.all()
                )
            })
        })
        .await
    }

    /// Waits for a mail with such a subject to that address.
    pub(crate) async fn mail_about(&self, to: &str, subject: &str) -> Received {
        eventually(&format!("a mail to {to} about {subject}"), WITHIN, async || {
            let mails = self.received(to);
            let found = mails.iter().rev().find(|mail| mail.header("Subject").contains(subject)).cloned();
            found.ok_or_else(|| format!("{mails:?}"))
        })
        .await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, told: Arc<Mutex<Told>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    say(&mut write, "220 test").await?;
    let (mut to, mut manner) = (String::new(), Manner::Take);
    while let Some(line) = lines.next_line().await? {
        let upper = line.to_ascii_uppercase();
        if upper.starts_with("EHLO") {
            say(&mut write, "250-test\r\n250 SMTPUTF8").await?;
        } else if upper.starts_with("RCPT TO:<") {
            to = line["RCPT TO:<".len()..].split('>').next().unwrap_or_default().to_owned();
            manner = next(&told, &to);
            match manner {
                Manner::Refuse => say(&mut write, "550 no such mailbox").await?,
                Manner::Defer => say(&mut write, "451 later").await?,
                Manner::HangAtRecipient => std::future::pending().await,
                _ => say(&mut write, "250 ok").await?,
            }
        } else if upper == "DATA" {
            say(&mut write, "354 go on").await?;
            let mut text = String::new();
            while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push_str("\r\n");
            }
            let text = decoded(&text);
            told.lock().unwrap().received.push(Received { to: to.clone(), text });
            match manner {
                Manner::HangAfterText => std::future::pending().await,
                Manner::BreakAfterText => return Ok(()),
                Manner::DeferText => {
                    told.lock().unwrap().received.pop();
                    say(&mut write, "451 later").await?;
                }
                _ => say(&mut write, "250 taken").await?,
            }
        } else if upper == "QUIT" {
            return say(&mut write, "221 bye").await;
        } else {
            say(&mut write, "250 ok").await?;
        }
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> std::io::Result<()> {
    write.write_all(format!("{line}\r\n").as_bytes()).await
}

fn next(told: &Mutex<Told>, to: &str) -> Manner {
    let mut told = told.lock().unwrap();
    told.asked.push(to.to_owned());
    let next = told.manners.get_mut(to).and_then(VecDeque::pop_front);
    next.or_else(|| told.always.get(to).copied()).unwrap_or(Manner::Take)
}

/// Decodes quoted-printable, as the texts are sent.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'=', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'=', None) if after.starts_with(b"\r\n") => rest = &after[2..],
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
