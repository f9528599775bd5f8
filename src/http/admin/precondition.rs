//! `If-Match` (RFC 9110, section 13.1.1): an operator changes only the state they last saw.

use actix_web::HttpRequest;
use actix_web::http::header::IF_MATCH;

/// The request's precondition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// There is no precondition.
    None,
    /// `*`: the resource must exist.
    Any,
    /// The resource's entity tag must be one of these.
    OneOf(Vec<String>),
}

impl Precondition {
    pub(super) fn of(request: &HttpRequest) -> Self {
        let values = request.headers().get_all(IF_MATCH).map(|value| value.to_str().unwrap_or_default());
        let tags: Vec<_> =
            values.flat_map(|value| value.split(',')).map(|tag| tag.trim().to_owned()).collect();
        match tags.as_slice() {
            [] => Self::None,
            tags if tags.iter().any(|tag| tag == "*") => Self::Any,
            _ => Self::OneOf(tags),
        }
    }

    /// The tag that must be the current one: `present` if it is listed, else the first listed one.
    pub(super) fn expected(&self, present: &str) -> Option<String> {
        match self {
            Self::None | Self::Any => None,
            // A weak tag never matches (section 8.8.3.2).
            Self::OneOf(tags) => tags.iter().find(|tag| *tag == present).or(tags.first()).cloned(),
        }
    }
}
