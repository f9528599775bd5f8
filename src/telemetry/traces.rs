//! Spans of requests and of what they wait for, if a collector is configured. Otherwise none is ever
//! made.
//!
//! A span carries only what a caller cannot choose, and ids: no token, no query, no email and no address
//! of a person.
//!
//! Bound: spans that have ended wait in a queue (`OTEL_BSP_MAX_QUEUE_SIZE`, 2,048); one more is dropped.
//! `otlp` sends them.

mod otlp;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::serving::begin_child;
use crate::config::TraceConfig;
use crate::io::Io;

/// Spans cannot be sent to the collector. The message is for an operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot send traces to OTEL_EXPORTER_OTLP_ENDPOINT: {0}")]
pub struct TraceError(#[from] opentelemetry_otlp::ExporterBuildError);

/// Makes the spans of requests; clones share everything.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts the thread that sends, if a collector is configured. The collector need not be reachable.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn start(config: &TraceConfig, io: &Io) -> Result<Option<Self>, TraceError> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let provider = otlp::provider(endpoint, config, io.clone())?;
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        // Dropping the last provider would wait seconds for the collector, even if a second signal ends
        // the process at once; only `finish` may wait. So one lives as long as the process.
        std::mem::forget(provider.clone());
        Ok(Some(Self { provider, tracer }))
    }

    /// Begins the span of a request; it continues the trace of the caller's `traceparent`, if there is a
    /// valid one.
    #[must_use]
    pub fn request(&self, method: Option<&'static str>, headers: &dyn Extractor) -> Span {
        let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
        let method = KeyValue::new("http.request.method", method.unwrap_or("_OTHER"));
        let builder = SpanBuilder::from_name("HTTP").with_kind(SpanKind::Server);
        Span::begin(
            &self.tracer,
            builder.with_attributes([method, KeyValue::new("url.scheme", "http")]),
            &caller,
        )
    }

    /// Sends what waits and ends the thread; what cannot be sent in that time is lost.
    pub async fn finish(&self, patience: Duration) {
        let provider = self.provider.clone();
        // It blocks. A join error is a panic in there.
        let finished = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(patience)).await;
        if !matches!(finished, Ok(Ok(()))) {
            tracing::warn!("traces.lost");
        }
    }
}

/// A span that has begun; it ends explicitly, or with its last clone. Displayed as its trace's id.
#[derive(Clone, Debug)]
pub struct Span(Arc<Begun>);

#[derive(Debug)]
struct Begun {
    tracer: SdkTracer,
    /// Holds the span itself.
    context: Context,
}

/// How a request was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// One of the known methods.
    pub method: Option<&'static str>,
    /// The pattern of the route, if one matched.
    pub route: Option<&'static str>,
    /// The path without a query, if it holds nothing that a caller could choose.
    pub path: Option<&'a str>,
    /// The status of the answer.
    pub status: u16,
}

impl Span {
    fn begin(tracer: &SdkTracer, builder: SpanBuilder, parent: &Context) -> Self {
        let context = parent.with_span(tracer.build_with_context(builder, parent));
        Self(Arc::new(Begun { tracer: tracer.clone(), context }))
    }

    pub(super) fn child(&self, name: &'static str) -> Self {
        Self::begin(&self.0.tracer, SpanBuilder::from_name(name), &self.0.context)
    }

    /// Ends the span of a request.
    pub fn answered(&self, answered: &Answered<'_>) {
        let span = self.0.context.span();
        let method = answered.method.unwrap_or("HTTP");
        match answered.route {
            Some(route) => {
                span.update_name(format!("{method} {route}"));
                span.set_attribute(KeyValue::new("http.route", route));
            }
            None => span.update_name(method),
        }
        if let Some(path) = answered.path {
            span.set_attribute(KeyValue::new("url.path", path.to_owned()));
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(answered.status)));
        if answered.status >= 500 {
            span.set_attribute(KeyValue::new("error.type", answered.status.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.context.span().span_context().trace_id().fmt(f)
    }
}

/// One step of a request: a span that ends with this value. It does nothing if no request is traced.
#[must_use = "the span ends with it"]
#[derive(Debug)]
pub struct Step(Option<Span>);

impl Step {
    /// Begins the step.
    pub fn begin(name: &'static str) -> Self {
        Self(begin_child(name))
    }

    /// Adds an attribute; the value must come from the program and not from a caller.
    pub fn with(self, key: &'static str, value: impl FnOnce() -> &'static str) -> Self {
        if let Some(Span(begun)) = &self.0 {
            begun.context.span().set_attribute(KeyValue::new(key, value()));
        }
        self
    }

    /// Notes a failure.
    pub fn note<T, E>(&self, result: &Result<T, E>) {
        if let (Some(Span(begun)), Err(_)) = (&self.0, result) {
            begun.context.span().set_status(Status::error(""));
        }
    }

    /// Its span, for work done elsewhere.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.0.clone()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(Span(begun)) = &self.0 {
            begun.context.span().end();
        }
    }
}
