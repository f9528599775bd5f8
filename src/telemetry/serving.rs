//! The request that is being served: its id and its trace, for the log lines written meanwhile and for the
//! spans of what it waits for.
//!
//! Both are stored in a task-local value and not in a span of the log: a span for each request cost 5 %
//! of a session check (`perf`), and most requests write no line.

use std::cell::Cell;
use std::fmt;
use std::future::Future;

use actix_web::http::header::HeaderValue;
use futures_util::future::Either;
use tokio::task::futures::TaskLocalFuture;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::pseudonyms::Pseudonym;
use super::traces::Span;
use crate::config::LogFormat;

/// What is known of the request.
#[derive(Clone, Debug)]
pub struct Serving {
    id: Option<HeaderValue>,
    /// Present if traces are collected.
    span: Option<Span>,
    /// The pseudonym of the network the request came from, once that was determined.
    network: Cell<Option<Pseudonym>>,
}

tokio::task_local! {
    static SERVING: Serving;
}

/// Serves a request with that id, which must be plain: letters, digits and `-_.:` need no escape in JSON.
pub fn serve_request<F: Future>(
    id: HeaderValue,
    span: Option<Span>,
    serving: F,
) -> TaskLocalFuture<Serving, F> {
    SERVING.scope(Serving { id: Some(id), span, network: Cell::new(None) }, serving)
}

/// Adds the network it came from to the lines of this request. `network` is called the first time only.
pub fn note_network(network: impl FnOnce() -> Option<Pseudonym>) {
    let _ = SERVING.try_with(|serving| {
        if serving.network.get().is_none() {
            serving.network.set(network());
        }
    });
}

/// The request that is being served here, for work done for it elsewhere, with that step of its trace.
#[must_use]
pub fn current(step: Option<Span>) -> Option<Serving> {
    let serving = SERVING.try_with(Clone::clone).ok();
    serving.map(|serving| Serving { span: step, ..serving })
}

/// Does work for a request elsewhere than where it is served; without a request it is just the work.
pub fn work_within<F: Future>(serving: Option<Serving>, work: F) -> Either<F, TaskLocalFuture<Serving, F>> {
    match serving {
        None => Either::Left(work),
        Some(serving) => Either::Right(SERVING.scope(serving, work)),
    }
}

/// Runs a part of the request that is being served to completion, even if the client goes away and the
/// rest is dropped: the change is stored all the same, and must be announced. `None` if the process ends
/// in the middle.
pub async fn run_to_completion<F>(part: F) -> Option<F::Output>
where
    F: Future + 'static,
{
    let serving = SERVING.try_with(Clone::clone).ok();
    let part = async move {
        match serving {
            Some(serving) => SERVING.scope(serving, part).await,
            None => part.await,
        }
    };
    match tokio::task::spawn_local(part).await {
        Ok(output) => Some(output),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

/// Begins a span of the request that is being served here, if there is one and traces are collected.
pub(super) fn begin_child(name: &'static str) -> Option<Span> {
    SERVING.try_with(|serving| serving.span.as_ref().map(|span| span.child(name))).ok().flatten()
}

/// The id of the trace that the work here belongs to, if it belongs to one.
#[must_use]
pub fn trace_id() -> Option<String> {
    SERVING.try_with(|serving| serving.span.as_ref().map(Span::to_string)).ok().flatten()
}

/// Adds `request_id`, `trace_id` and `network` to lines that are written while a request is being served.
pub(super) struct WithRequest<F> {
    pub(super) lines: F,
    pub(super) format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithRequest<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.lines.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        let told = SERVING.try_with(|serving| {
            let id = serving.id.as_ref().and_then(|id| id.to_str().ok());
            let id = id.as_ref().map(|id| ("request_id", id as &dyn fmt::Display));
            let trace = serving.span.as_ref().map(|span| ("trace_id", span as &dyn fmt::Display));
            let network = serving.network.get();
            let network = network.as_ref().map(|network| ("network", network as &dyn fmt::Display));
            let fields = [id, trace, network].into_iter().flatten();
            match self.format {
                LogFormat::Json => {
                    write!(writer, "{}", line.strip_suffix('}').unwrap_or(line))?;
                    for (name, value) in fields {
                        write!(writer, ",\"{name}\":\"{value}\"")?;
                    }
                    writeln!(writer, "}}")
                }
                LogFormat::Text => {
                    write!(writer, "{line}")?;
                    for (name, value) in fields {
                        write!(writer, " {name}={value}")?;
                    }
                    writeln!(writer)
                }
            }
        });
        told.unwrap_or_else(|_| writeln!(writer, "{line}"))
    }
}
