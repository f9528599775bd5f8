//! The HTTP interface: routes, extractors, responses. A handler extracts, converts, delegates and maps; it
//! decides nothing.
//!
//! In reading order: [`routes`] (the table), `route`, [`state`], [`server`] and `connection`, [`context`]
//! (request id, log line, metrics, headers), `head` and `cross_origin` (what is answered before a handler),
//! `trace`, [`problem`] (every error there is), [`extract`], [`view`] and [`cookie`], [`limits`]; then one
//! file per resource.

pub mod context;
pub mod cookie;
pub mod extract;
pub mod limits;
pub mod problem;
pub mod server;
pub mod state;
pub mod view;

mod activity;
mod admin;
mod codes;
mod config;
mod connection;
mod cross_origin;
mod discovery;
mod documentation;
mod email;
mod factors;
mod head;
mod health;
mod host;
mod introspect;
mod keys;
mod live;
mod login;
mod login_continue;
mod logout;
mod me;
mod metrics;
mod new_password;
mod notice;
mod own_password;
mod page;
mod password_change;
mod password_reset;
mod personal_data;
pub mod probe;
mod proof;
mod reauthenticate;
mod refresh;
mod revocations;
mod revoke;
mod route;
mod session;
mod sessions;
pub mod shown;
mod sign_in;
mod signed_in;
mod signup;
mod static_file;
mod trace;
mod verify;

use actix_web::{HttpResponse, web};

pub use documentation::OPENAPI;

use problem::Problem;
use route::{completing, needs, open_resource, resource};

/// The prefix that the gateway forwards unstripped; everything is served with and without it.
pub const PREFIX: &str = "/api/auth";

/// Every route, both under the prefix and without it; the devices page only without it.
pub fn routes(app: &mut web::ServiceConfig) {
    app.service(web::scope(PREFIX).configure(resources));
    app.configure(resources).configure(discovery::configure_under_issuer).configure(page::configure);
}

/// The router tries them in this order, so the most requested come first. A path with a parameter is a
/// regular expression, which every request pays for that is tried against it.
fn resources(scope: &mut web::ServiceConfig) {
    scope
        .configure(session::configure)
        .configure(activity::configure)
        .configure(verify::configure)
        .configure(config::configure)
        .configure(signup::configure)
        .configure(login::configure)
        .configure(login_continue::configure)
        .configure(refresh::configure)
        .configure(reauthenticate::configure)
        .configure(password_change::configure)
        .configure(me::configure)
        .configure(personal_data::configure)
        .configure(sessions::configure)
        .configure(logout::configure)
        .configure(factors::configure)
        .configure(live::configure)
        .configure(health::configure)
        .configure(metrics::configure)
        .configure(keys::configure)
        .configure(discovery::configure)
        .configure(revoke::configure)
        .configure(introspect::configure)
        .configure(revocations::configure)
        .configure(password_reset::configure)
        .configure(email::configure)
        .configure(admin::configure)
        .configure(documentation::configure)
        .default_service(web::to(no_such_route));
}

async fn no_such_route() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}
