//! The server: workers, layers and time limits.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use actix_cors::Cors;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware::{Condition, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use socket2::SockRef;

use super::context::around_request;
use super::routes;
use super::state::AppState;
use crate::config::HttpConfig;

/// An idle connection is closed after this long; longer than the 60 s that gateways usually keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that has not sent its request's head by then is dropped.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections of one worker; the rest wait in the listener's backlog.
const CONNECTIONS_PER_WORKER: usize = 50_000;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// A server that listens, and where; signals are the application's to handle.
///
/// # Errors
/// When the address cannot be had.
pub fn serve(state: web::Data<AppState>) -> std::io::Result<(Server, Vec<SocketAddr>)> {
    let workers = state.config.http.workers;
    let address = (state.config.http.host.clone(), state.config.http.port);
    let grace = state.config.shutdown.timeout;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .wrap(Condition::new(
                !state.config.http.cors_origins.is_empty(),
                cross_origin(&state.config.http),
            ))
            .wrap(from_fn(around_request))
            .configure(routes)
    });
    let server = server
        .workers(workers)
        .keep_alive(KEEP_ALIVE)
        // Who closes an event stream gives its place back at once, and not when something is next written to it.
        .h1_allow_half_closed(false)
        .client_request_timeout(HEAD_TIMEOUT)
        .max_connections(CONNECTIONS_PER_WORKER)
        .shutdown_timeout(grace.as_secs().max(1))
        .on_connect(|connection, _| bound_silence(connection))
        .backlog(BACKLOG)
        .disable_signals()
        .bind(address)?;
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

/// A peer that acknowledges nothing for so long is gone; else a stream to it would stay open for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

fn bound_silence(connection: &dyn Any) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>() {
        let socket = SockRef::from(stream);
        // Other systems have no such option: there the peer is noticed later.
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let _ = socket.set_tcp_nodelay(true);
    }
}

/// Only origins that are named; credentials, because the refresh token is a cookie.
fn cross_origin(config: &HttpConfig) -> Cors {
    let cors = config.cors_origins.iter().fold(Cors::default(), |cors, origin| cors.allowed_origin(origin));
    cors.allowed_methods(["GET", "POST", "DELETE"])
        .allowed_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::HeaderName::from_static("x-request-id"),
        ])
        .expose_headers([header::RETRY_AFTER, header::HeaderName::from_static("x-request-id")])
        .supports_credentials()
        .max_age(600)
        .block_on_origin_mismatch(false)
}
