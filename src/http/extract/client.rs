//! Where a request comes from: address, device, origin. None of it proves anything.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};
use ipnet::IpNet;

use super::origin;
use crate::http::state::AppState;
use crate::security::client_ip::{client_ip, is_among};
use crate::telemetry::serving;

const PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");
const PLATFORM_VERSION: HeaderName = HeaderName::from_static("sec-ch-ua-platform-version");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client, as far as it is known.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address; behind trusted proxies, the rightmost address that is not a proxy's.
    pub address: Option<IpAddr>,
    /// The User-Agent header.
    pub user_agent: Option<String>,
    /// The version of the operating system, if a browser on Windows sends it (a client hint).
    pub platform_version: Option<String>,
    /// Whether the request has no `Origin`, or one that is allowed, or the service's own.
    pub origin_allowed: bool,
}

impl FromRequest for Client {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let config = request.app_data::<web::Data<AppState>>().map(|state| &state.config.http);
        let headers = request.headers();
        let allowed = config.map_or(&[][..], |config| &config.cors_origins);
        let peer = request.peer_addr().map(|peer| peer.ip());
        let by_proxy = peer.is_some_and(|peer| is_among(trusted_proxies(request), peer));
        note_network(request);
        ready(Ok(Self {
            address: address_of(request),
            user_agent: headers
                .get(USER_AGENT)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            platform_version: platform_version(headers),
            origin_allowed: origin::is_allowed(headers, by_proxy, allowed),
        }))
    }
}

/// Lets the audit lines of this request say where it came from.
pub(in crate::http) fn note_network(request: &HttpRequest) {
    serving::note_network(|| {
        let state = request.app_data::<web::Data<AppState>>()?;
        Some(state.limits.pseudonyms().network(address_of(request)?, state.now()))
    });
}

/// The client's address; behind trusted proxies, the rightmost that is not a proxy's.
pub(in crate::http) fn address_of(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let forwarded = request.headers().get_all(FORWARDED_FOR).map(|value| value.as_bytes());
    client_ip(peer, forwarded, trusted_proxies(request))
}

fn trusted_proxies(request: &HttpRequest) -> &[IpNet] {
    request.app_data::<web::Data<AppState>>().map_or(&[], |state| &state.config.http.trusted_proxies)
}

fn platform_version(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    text(PLATFORM).filter(|platform| platform.trim().eq_ignore_ascii_case("\"Windows\""))?;
    text(PLATFORM_VERSION).map(str::to_owned)
}
