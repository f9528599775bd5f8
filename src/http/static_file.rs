//! Files embedded in the binary. Each is held once, compressed once, identified by an entity tag, and sent in
//! pieces: a client that does not read costs one piece and not the file.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use aws_lc_rs::digest::{SHA256, digest};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::connection::{ConnectionState, Serving};

/// How much is handed to the connection at a time, in bytes.
const PIECE: usize = 16 * 1024;
/// Shortest content worth compressing, in bytes.
const COMPRESSED_FROM: usize = 1024;

/// A file, ready to be sent.
#[derive(Debug)]
pub(super) struct StaticFile {
    content_type: String,
    plain: Variant,
    gzip: Option<Variant>,
}

#[derive(Debug)]
struct Variant {
    content: Bytes,
    tag: HeaderValue,
}

impl StaticFile {
    pub(super) fn new(content_type: String, content: Vec<u8>) -> Self {
        let compressed = compressed(&content, Compression::best());
        let is_worth_it = content.len() >= COMPRESSED_FROM && compressed.len() < content.len();
        let gzip = is_worth_it.then(|| Variant::new(compressed));
        Self { content_type, plain: Variant::new(content), gzip }
    }

    /// Completes a response on which the caller has set its own headers: with the file, or with 304 if the
    /// client already has it.
    pub(super) fn answer(&self, request: &HttpRequest, mut answer: HttpResponseBuilder) -> HttpResponse {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request.headers()));
        let variant = gzip.unwrap_or(&self.plain);
        answer.insert_header((ETAG, variant.tag.clone()));
        if self.gzip.is_some() {
            answer.append_header((VARY, "Accept-Encoding"));
        }
        let variants = [Some(&self.plain), self.gzip.as_ref()];
        if variants.into_iter().flatten().any(|variant| is_known(request.headers(), &variant.tag)) {
            return answer.status(actix_web::http::StatusCode::NOT_MODIFIED).finish();
        }
        if gzip.is_some() {
            answer.insert_header((CONTENT_ENCODING, "gzip"));
        }
        let serving = request.conn_data::<std::rc::Rc<ConnectionState>>().map(ConnectionState::begin);
        answer
            .content_type(self.content_type.as_str())
            .body(Pieces { rest: variant.content.clone(), _serving: serving })
    }
}

impl Variant {
    fn new(content: Vec<u8>) -> Self {
        let hash = digest(&SHA256, &content);
        let hex: String = hash.as_ref().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { content: content.into(), tag }
    }
}

/// Files that are created on first request, then kept.
#[derive(Debug, Default)]
pub(super) struct StaticFiles(dashmap::DashMap<String, Arc<StaticFile>>);

impl StaticFiles {
    /// The file of that name. `make` is called once for each that exists, and each time for one that does
    /// not.
    pub(super) fn get(
        &self,
        name: &str,
        make: impl FnOnce() -> Option<StaticFile>,
    ) -> Option<Arc<StaticFile>> {
        if let Some(known) = self.0.get(name) {
            return Some(Arc::clone(&known));
        }
        let made = Arc::new(make()?);
        self.0.insert(name.to_owned(), Arc::clone(&made));
        Some(made)
    }
}

/// A text generated for each response, compressed if the client accepts that. Not for responses with secrets:
/// their length would leak them (BREACH).
pub(super) fn compressed_answer(
    request: &HttpRequest,
    mut answer: HttpResponseBuilder,
    text: String,
) -> HttpResponse {
    answer.append_header((VARY, "Accept-Encoding"));
    if text.len() < COMPRESSED_FROM || !accepts_gzip(request.headers()) {
        return answer.body(text);
    }
    answer.insert_header((CONTENT_ENCODING, "gzip"));
    answer.body(compressed(text.as_bytes(), Compression::fast()))
}

fn compressed(content: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    // Writing to a vector cannot fail.
    let _ = encoder.write_all(content);
    encoder.finish().unwrap_or_default()
}

/// RFC 9110, section 12.5.3: listed by name, or by `*`, with a weight above zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    let mut by_name = None;
    let mut by_star = None;
    for coding in listed.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let wanted = weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0));
        match name {
            name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                by_name = Some(wanted);
            }
            "*" => by_star = Some(wanted),
            _ => {}
        }
    }
    by_name.or(by_star).unwrap_or(false)
}

/// RFC 9110, section 13.1.2: the weak comparison.
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let listed = headers.get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = listed.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

/// A body of known length, sent piece by piece. Until it is sent, the request counts as being served.
struct Pieces {
    rest: Bytes,
    _serving: Option<Serving>,
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().rest;
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = rest.split_to(rest.len().min(PIECE));
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it() {
        let accepts = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            accepts_gzip(&headers)
        };
        for value in ["gzip", "br, GZIP;q=0.5", "*", "deflate, *;q=0.1", "x-gzip", "gzip;q=1, *;q=0"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["", "identity", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzipped"] {
            assert!(!accepts(value), "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_known_in_a_list_weak_or_by_star() {
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, &HeaderValue::from_static("\"abc\""))
        };
        assert!(["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"].into_iter().all(known));
        assert!(["\"ab\"", "abc", "", "W/\"x\""].into_iter().all(|value| !known(value)));
    }

    #[test]
    fn a_body_comes_whole_in_pieces() {
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut body = Pieces { rest: content.clone().into(), _serving: None };
        assert_eq!(body.size(), BodySize::Sized(content.len() as u64));
        let mut sent = Vec::new();
        let mut context = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut body).poll_next(&mut context) {
            assert!(piece.len() <= PIECE);
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, content);
    }
}
