//! The library itself refuses what is not HTTP, or a head that is too large or too slow, with a response that
//! has no body. Such a response is the last on its connection; it is rewritten here in the form of every
//! other problem of the service.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::rt::net::TcpStream;
use tokio::io::AsyncWrite;
use uuid::Uuid;

use crate::http::problem::{Code, Problem};

/// Longest such response, in bytes: status, length, date, and whether the connection ends.
const BARE_MAX: usize = 256;
const STATUS_LINE: &[u8] = b"HTTP/1.1 ";
const NO_BODY: &[u8] = b"\r\ncontent-length: 0\r\n";
/// Every response of the service itself has this header.
const OWN: &[u8] = b"\r\nx-request-id: ";

/// Writes to a connection, rewriting such a response.
#[derive(Debug, Default)]
pub(super) struct Rewriting {
    /// What is still to be written, in place of a response of that many bytes.
    instead: Option<(Vec<u8>, usize)>,
}

impl Rewriting {
    pub(super) fn poll_write(
        &mut self,
        stream: &mut TcpStream,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            match Bare::at_end_of(bytes) {
                None => return Pin::new(stream).poll_write(context, bytes),
                // First write the bytes that precede it.
                Some(bare) if bare.begins > 0 => {
                    return Pin::new(stream).poll_write(context, bytes.get(..bare.begins).unwrap_or(bytes));
                }
                Some(bare) => self.instead = Some((bare.in_other_words(), bytes.len())),
            }
        }
        while let Some((instead, stands_for)) = &mut self.instead {
            if instead.is_empty() {
                let written = *stands_for;
                self.instead = None;
                return Poll::Ready(Ok(written));
            }
            match Pin::new(&mut *stream).poll_write(context, instead) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(instead.drain(..written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Pending
    }
}

/// A response that the library produced by itself.
#[derive(Debug, PartialEq, Eq)]
struct Bare {
    /// Offset at which it begins.
    begins: usize,
    code: Code,
}

impl Bare {
    /// Finds one at the end of `bytes`. The last byte nearly always rules it out.
    fn at_end_of(bytes: &[u8]) -> Option<Self> {
        if !bytes.ends_with(b"\r\n\r\n") {
            return None;
        }
        let tail_begins = bytes.len().saturating_sub(BARE_MAX);
        let tail = bytes.get(tail_begins..)?;
        let begins = tail.windows(STATUS_LINE.len()).rposition(|window| window == STATUS_LINE)?;
        let head = tail.get(begins..)?;
        let code = match head.get(STATUS_LINE.len()..STATUS_LINE.len() + 3)? {
            b"400" => Code::BadRequest,
            b"408" => Code::RequestTimeout,
            b"431" => Code::HeaderFieldsTooLarge,
            _ => return None,
        };
        let has = |part: &[u8]| head.windows(part.len()).any(|window| window == part);
        (has(NO_BODY) && !has(OWN)).then_some(Self { begins: tail_begins + begins, code })
    }

    fn in_other_words(&self) -> Vec<u8> {
        let id = Uuid::new_v4().to_string();
        let body = Problem::new(self.code).body(&id);
        let (status, title) = (self.code.status().as_u16(), self.code.title());
        format!(
            "HTTP/1.1 {status} {title}\r\n\
             content-type: application/problem+json\r\n\
             content-length: {}\r\n\
             connection: close\r\n\
             cache-control: no-store\r\n\
             referrer-policy: no-referrer\r\n\
             x-content-type-options: nosniff\r\n\
             x-frame-options: DENY\r\n\
             x-request-id: {id}\r\n\
             \r\n\
             {body}",
            body.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\
                        date: Fri, 27 Nov 2026 12:00:00 GMT\r\n\r\n";

    #[test]
    fn an_answer_of_the_librarys_own_is_known_wherever_it_begins() {
        let found = |text: &str| Bare::at_end_of(text.as_bytes()).map(|bare| (bare.begins, bare.code));
        assert_eq!(found(BARE), Some((0, Code::BadRequest)));
        let before = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-request-id: a\r\n\r\n{}";
        assert_eq!(found(&format!("{before}{BARE}")), Some((before.len(), Code::BadRequest)));
        let too_large = BARE.replace("400 Bad Request", "431 Request Header Fields Too Large");
        assert_eq!(found(&too_large), Some((0, Code::HeaderFieldsTooLarge)));
    }

    #[test]
    fn no_other_answer_is_taken_for_one() {
        for other in [
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: a\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            "data: HTTP/1.1 400\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert_eq!(Bare::at_end_of(other.as_bytes()), None, "{other}");
        }
    }
}
