//! The server: workers, layers and time limits.
//!
//! It is assembled from the framework's parts rather than by its `HttpServer`, which gives no control over
//! how a connection is read and written: see [`super::connection`].

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::BoxBody;
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::connection::{Connection, Watched};
use super::context::around_request;
use super::routes;
use super::state::{AppState, WorkerState};

/// An idle connection is closed after this long; longer than the 60 s that gateways usually keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that has begun a request's head and has not completed it after this long is dropped.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that does not close a connection that the service has closed is abandoned after this long.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Most connections of one worker; the rest wait in the listener's backlog.
const CONNECTIONS_PER_WORKER: usize = 50_000;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// The most that the system buffers of responses for a client that does not read, in bytes. By default the
/// buffer would grow to several MB.
const SEND_BUFFER: usize = 128 * 1024;
/// A peer counts as gone after this long without an acknowledgement; by default a stream would stay open for
/// 15 minutes.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A listening server, and its addresses. The application handles signals.
///
/// # Errors
/// If the address cannot be bound.
pub fn serve(state: &web::Data<AppState>) -> io::Result<(Server, Vec<SocketAddr>)> {
    let (http, grace) = (&state.config.http, state.config.shutdown.timeout);
    let listeners = listen(&http.host, http.port)?;
    let mut server = Server::build()
        .workers(http.workers)
        .max_concurrent_connections(CONNECTIONS_PER_WORKER)
        .shutdown_timeout(grace.as_secs().max(1))
        .disable_signals();
    let mut addresses = Vec::new();
    for listener in listeners {
        addresses.push(listener.local_addr()?);
        let (state, stopping) = (state.clone(), server.graceful_shutdown_signal());
        server = server.listen("http", listener, move || worker(state.clone(), stopping.clone()))?;
    }
    Ok((server.run(), addresses))
}

/// The service that handles the connections of one worker.
fn worker(
    state: web::Data<AppState>,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let of_worker = WorkerState::new(state.clone());
    let around = of_worker.clone();
    let around = from_fn(move |request, next| around_request(around.clone(), request, next));
    let app = App::new().app_data(state).app_data(of_worker).wrap(around).configure(routes);
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    let watched = Rc::new(Watched::default());
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(KEEP_ALIVE)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        // A client that closes an event stream frees its slot at once, and not when something is next written
        // to it.
        .h1_allow_half_closed(false)
        .on_connect_ext(|connection: &Connection, data| {
            data.insert(Rc::clone(connection.state()));
        })
        .h1::<_, BoxBody>(map_config(app, |()| AppConfig::default()));
    fn_service(move |stream: TcpStream| {
        bound(&stream);
        let peer = stream.peer_addr().ok();
        let connection = Connection::new(stream);
        watched.add(connection.state());
        ready(Ok((connection, peer)))
    })
    .and_then(http)
}

/// Listens on every address of the host; it is enough if one succeeds.
fn listen(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut listeners = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        match listen_at(address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => failure = error,
        }
    }
    if listeners.is_empty() { Err(failure) } else { Ok(listeners) }
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bound(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // Other systems have no such option: there the peer is noticed later.
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let _ = socket.set_tcp_nodelay(true);
}
