//! Forms: the bodies of OAuth's endpoints (RFC 6749, appendix B), and query strings, which have the same
//! format.

use actix_web::dev::Payload;
use actix_web::web::Query;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::json::read;
use crate::http::problem::{Code, Problem};

const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters in the order they came in.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameters of a query string, or of a form body.
    ///
    /// # Errors
    /// 400 `invalid_request` if the text is malformed.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(text);
        pairs.map(|pairs| Self(pairs.into_inner())).map_err(|_| Problem::new(Code::InvalidRequest))
    }

    /// The value of a parameter; an empty one counts as absent (RFC 6749, section 3.1).
    ///
    /// # Errors
    /// 400 `invalid_request` if it occurs more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        Ok(self.as_sent(name)?.filter(|value| !value.is_empty()))
    }

    /// The value of a parameter as it was sent, empty or not.
    ///
    /// # Errors
    /// 400 `invalid_request` if it occurs more than once.
    pub fn as_sent(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(Problem::new(Code::InvalidRequest)),
        }
    }

    /// The names, as often as they occur.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

/// A body that is a form.
#[derive(Debug)]
pub struct Form(pub Parameters);

impl FromRequest for Form {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request.clone(), payload.take(), FORM);
        Box::pin(async move {
            let body = body.await?;
            let text = std::str::from_utf8(&body).map_err(|_| Problem::new(Code::InvalidRequest))?;
            Parameters::parse(text).map(Self)
        })
    }
}
