//! The id of the request that is being served, for the log lines written meanwhile.
//!
//! It is kept beside the task and not in a span: a span for each request cost 5 % of a session check (`perf`), and most
//! requests write no line.

use std::fmt;
use std::future::Future;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// Serves a request of that id. It must be plain: letters, digits and `-_.:` need no escape in JSON.
pub async fn with_request_id<F: Future>(id: String, serving: F) -> F::Output {
    REQUEST_ID.scope(id, serving).await
}

/// Lines with `request_id` where a request is being served.
pub(super) struct WithRequestId<F> {
    pub(super) lines: F,
    pub(super) format: LogFormat,
}

impl<S, N, F> FormatEvent<S, N> for WithRequestId<F>
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
        let told = REQUEST_ID.try_with(|id| match self.format {
            LogFormat::Json => {
                let open = line.strip_suffix('}').unwrap_or(line);
                writeln!(writer, "{open},\"request_id\":\"{id}\"}}")
            }
            LogFormat::Text => writeln!(writer, "{line} request_id={id}"),
        });
        told.unwrap_or_else(|_| writeln!(writer, "{line}"))
    }
}
