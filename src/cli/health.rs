//! Asking the service on this machine, without a client library: for container health checks.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::CommandError;
use crate::config::HttpConfig;

/// Longer than this and it does not count as healthy.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the service answers that it is ready.
///
/// # Errors
/// When it is not, or does not answer.
pub fn ask_health(config: &HttpConfig) -> Result<(), CommandError> {
    // A service that listens on every address listens on this one.
    let host = match config.host.as_str() {
        "0.0.0.0" | "::" => "localhost",
        host => host,
    };
    let mut answer = Err("no address to ask".into());
    for address in (host, config.port).to_socket_addrs()? {
        answer = ask(&address).map_err(|error| CommandError::from(format!("{address}: {error}")));
        if answer.is_ok() {
            break;
        }
    }
    let answer = answer?;
    match answer.split_ascii_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(status) => Err(format!("the service answers {status}").into()),
        None => Err("the service did not answer with HTTP".into()),
    }
}

fn ask(address: &std::net::SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0; 64];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}
