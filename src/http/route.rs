//! The route that handles a request: its responses are counted under the route's pattern, never under the
//! path, which may contain anything.

use std::cell::OnceCell;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::{self, Guard};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, Resource, web};
use prometheus::{Histogram, IntCounter};

use super::problem::Problem;
use super::state::AppState;
use crate::config::Feature;
use crate::telemetry::metrics::{Metrics, OPERATIONS};
use crate::telemetry::serving::run_to_completion;
use crate::telemetry::spread::SpreadHistogram;

/// A resource that answers 405 to every method it has no route for.
pub(super) fn resource(path: &'static str, allow: &'static str) -> Resource {
    let refuse = move || async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allow)) };
    web::resource(path).app_data(Route::new(path)).default_service(web::to(refuse))
}

/// A route for a method, for what is requested most. Unlike the framework's guard it does not record the
/// methods that it compared: [`resource`] answers 405 itself.
pub(super) fn on(method: Method) -> actix_web::Route {
    web::route().guard(guard::fn_guard(move |context| context.head().method == method))
}

/// A resource that needs no credentials. No quota counts its requests, but a client that asks without end
/// has to wait: see [`super::limits`].
pub(super) fn open_resource(path: &'static str, allow: &'static str) -> Resource {
    resource(path, allow).app_data(Route { is_open: true, ..Route::new(path) })
}

/// A resource whose requests run to completion even if the client disconnects: their handlers go on after a
/// commit, for instance to withdraw a snapshot. What an actor does needs no such care, because the actor
/// outlives the request.
pub(super) fn completing(
    path: &'static str,
    allow: &'static str,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    resource(path, allow).wrap(from_fn(to_its_end))
}

async fn to_its_end(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let serving = run_to_completion(next.call(request)).await;
    serving.unwrap_or_else(|| Err(Problem::unavailable_for_now().into()))
}

/// A resource that answers every method alike.
pub(super) fn any_method(path: &'static str) -> Resource {
    web::resource(path).app_data(Route::new(path))
}

/// Lets requests through if that feature is on; otherwise there is no such route.
pub(super) fn needs(feature: Feature) -> impl Guard {
    guard::fn_guard(move |context| {
        context.app_data::<web::Data<AppState>>().is_some_and(|state| state.config.has(feature))
    })
}

/// A route, as one worker has it.
#[derive(Debug)]
pub(super) struct Route {
    /// Its pattern, without the prefix.
    pub(super) pattern: &'static str,
    /// Whether it needs no credentials.
    pub(super) is_open: bool,
    usual: OnceCell<Usual>,
}

/// The metric series of nearly all responses, which are this worker's own. Looking them up by their labels
/// took 1 % of a session check (`perf`).
#[derive(Debug)]
struct Usual {
    method: &'static str,
    series: Series,
}

#[derive(Clone, Debug)]
struct Series {
    duration: Histogram,
    operation: Option<IntCounter>,
}

impl Route {
    fn new(pattern: &'static str) -> Self {
        Self { pattern, is_open: false, usual: OnceCell::new() }
    }

    /// Counts a response that took this long.
    pub(super) fn count(&self, metrics: &Metrics, method: &'static str, status: u16, took: Duration) {
        if status != 200 {
            return count(metrics, method, self.pattern, status, took);
        }
        let usual = self.usual.get_or_init(|| Usual {
            method,
            series: Series::of(metrics, method, self.pattern, status, SpreadHistogram::own_series),
        });
        match usual.method == method {
            true => usual.series.count(took),
            false => count(metrics, method, self.pattern, status, took),
        }
    }
}

/// Counts a response of no known route, or a rare one.
pub(super) fn count(metrics: &Metrics, method: &str, route: &str, status: u16, took: Duration) {
    Series::of(metrics, method, route, status, SpreadHistogram::shared_series).count(took);
}

impl Series {
    fn of(
        metrics: &Metrics,
        method: &str,
        route: &str,
        status: u16,
        duration: impl FnOnce(&SpreadHistogram, &[&str]) -> Histogram,
    ) -> Self {
        let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let labels = [method, route, code.as_str()];
        let outcome = if status < 400 { "success" } else { "failure" };
        let counter = |operation| metrics.operations.with_label_values(&[operation, outcome]);
        Self {
            duration: duration(&metrics.http_duration, &labels),
            operation: operation(method, route).map(counter),
        }
    }

    fn count(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
        self.operation.iter().for_each(IntCounter::inc);
    }
}

/// Methods outside this list share one label: a client must not be able to create series.
pub(super) fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::HEAD => "HEAD",
        _ => "OTHER",
    }
}

/// The name under which a route is counted as an operation, if it is.
fn operation(method: &str, route: &str) -> Option<&'static str> {
    let counted =
        OPERATIONS.iter().find(|(of_method, of_route, _)| *of_method == method && *of_route == route);
    counted.map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_under_its_own_labels() {
        let metrics = Metrics::new().unwrap();
        let route = Route::new("/activity");
        for (method, status) in [("POST", 200), ("POST", 200), ("HEAD", 200), ("POST", 401), ("GET", 405)] {
            route.count(&metrics, method, status, Duration::from_millis(1));
        }
        let text = metrics.render();
        let counted = |method, status| {
            let series = format!("{{method=\"{method}\",route=\"/activity\",status=\"{status}\"}} ");
            let start = format!("auth_http_request_duration_seconds_count{series}");
            text.lines().find_map(|line| line.strip_prefix(&start)?.parse::<u64>().ok()).unwrap_or_default()
        };
        assert_eq!(
            [("POST", "200"), ("HEAD", "200"), ("POST", "401"), ("GET", "405")].map(|(m, s)| counted(m, s)),
            [2, 1, 1, 1]
        );
        let operations = |outcome| metrics.operations.with_label_values(&["activity", outcome]).get();
        assert_eq!((operations("success"), operations("failure")), (2, 1));
    }
}
