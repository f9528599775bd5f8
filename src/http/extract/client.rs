//! Where a request comes from: address, device, origin. None of it is proof of anything.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};

use super::origin;
use crate::http::state::AppState;
use crate::security::client_ip::{client_ip, is_among};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client, as far as it can be told.
#[derive(Clone, Debug)]
pub struct Client {
    /// Address; through trusted proxies the right-most that is none of theirs.
    pub address: Option<IpAddr>,
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// Whether the request has no `Origin`, or one that is allowed, or the service's own.
    pub origin_allowed: bool,
}

impl FromRequest for Client {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let config = request.app_data::<web::Data<AppState>>().map(|state| &state.config.http);
        let headers = request.headers();
        let trusted = config.map_or(&[][..], |config| &config.trusted_proxies);
        let allowed = config.map_or(&[][..], |config| &config.cors_origins);
        let peer = request.peer_addr().map(|peer| peer.ip());
        let by_proxy = peer.is_some_and(|peer| is_among(trusted, peer));
        let forwarded = headers.get_all(FORWARDED_FOR).map(|value| value.as_bytes());
        ready(Ok(Self {
            address: client_ip(peer, forwarded, trusted),
            user_agent: headers
                .get(USER_AGENT)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            origin_allowed: origin::is_allowed(headers, by_proxy, allowed),
        }))
    }
}
