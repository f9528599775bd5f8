//! Passwords known from breaches, queried by range (as Pwned Passwords answers): only 5 of a hash's 40
//! digits leave the service.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, Request};

use crate::io::Io;

/// How long the list may take; after that the password is accepted.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Longest answer that is read, in bytes: a range has about 40 KiB.
const MAX_RESPONSE_BYTES: usize = 1024 * 1024;
/// Digits that are sent.
const SENT: usize = 5;

/// The list.
#[derive(Debug)]
pub(super) struct Breaches {
    url: String,
    http: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    io: Io,
}

impl Breaches {
    pub(super) fn new(url: String, io: Io) -> Self {
        let connector =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
        Self { url, http: Client::builder(TokioExecutor::new()).build(connector), io }
    }

    /// Whether the list has that password; an error message if it did not answer in time.
    pub(super) async fn holds(&self, password: &str) -> Result<bool, String> {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        let (sent, kept) = hash.split_at(SENT);
        let request = Request::get(format!("{}/{sent}", self.url))
            // Answers then have the same size, whatever the range.
            .header("Add-Padding", "true")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let asking = self.http.request(request);
        let exchange = async move {
            let answer = asking.await.map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(format!("status {}", answer.status().as_u16()));
            }
            let body = Limited::new(answer.into_body(), MAX_RESPONSE_BYTES).collect();
            Ok(body.await.map_err(|error| error.to_string())?.to_bytes())
        };
        let in_time = async { tokio::time::timeout(TIMEOUT, exchange).await };
        let body = self.io.run(in_time).await.map_err(|gone| gone.to_string())?;
        let body = body.unwrap_or_else(|_| Err("no answer in time".to_owned()))?;
        Ok(String::from_utf8_lossy(&body).lines().any(|line| is_of(line, kept)))
    }
}

/// `SUFFIX:COUNT`; a count of 0 is padding.
fn is_of(line: &str, suffix: &str) -> bool {
    let parts = line.trim().split_once(':');
    parts.is_some_and(|(found, count)| found.eq_ignore_ascii_case(suffix) && count.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn padding_is_not_a_breach() {
        assert!(is_of(
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8:3730471\r",
            "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
        ));
        assert!(!is_of("1E4C9B93F3F0682250B6CF8331B7EE68FD8:0", "1E4C9B93F3F0682250B6CF8331B7EE68FD8"));
        assert!(!is_of("", "") && !is_of("1E:1", "1F"));
    }
}
