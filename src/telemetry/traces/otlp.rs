//! Sends spans to a collector: OTLP over HTTP, as protobuf, in batches and from a thread of its own.
//!
//! It must never make a request wait. If a collector is unreachable or hangs, the spans it would have got
//! are lost, with one line in the log when that begins and one when it is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use crate::config::{TraceConfig, TraceSampler};
use crate::io::Io;

/// How long the collector may take for one batch, retries included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The provider that makes spans and sends them. Its queue and batches are the SDK's, with their
/// variables (`OTEL_BSP_…`).
pub(super) fn provider(
    endpoint: &str,
    config: &TraceConfig,
    io: Io,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let http = Client::builder(TokioExecutor::new()).build(connector);
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector { http, io, is_away: AtomicBool::new(false) })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .with_headers(config.headers().into_iter().collect())
        .with_timeout(TIMEOUT)
        .build()?;
    let resource = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let builder = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler(config));
    Ok(builder.with_batch_exporter(exporter).build())
}

fn sampler(config: &TraceConfig) -> Sampler {
    let parent_or = |root| Sampler::ParentBased(Box::new(root));
    match config.sampler {
        TraceSampler::AlwaysOn => Sampler::AlwaysOn,
        TraceSampler::AlwaysOff => Sampler::AlwaysOff,
        TraceSampler::Ratio => Sampler::TraceIdRatioBased(config.ratio),
        TraceSampler::ParentAlwaysOn => parent_or(Sampler::AlwaysOn),
        TraceSampler::ParentAlwaysOff => parent_or(Sampler::AlwaysOff),
        TraceSampler::ParentRatio => parent_or(Sampler::TraceIdRatioBased(config.ratio)),
    }
}

/// The connection to the collector. The thread that sends has no runtime, so the sockets live on the I/O
/// runtime.
#[derive(Debug)]
struct Collector {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    io: Io,
    /// Whether the latest attempt failed.
    is_away: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let exchange = async move {
            let (head, body) = http.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        // The timer too belongs to that runtime, so the timeout is created there.
        let in_time = async { tokio::time::timeout(TIMEOUT, exchange).await? };
        let answer = self.io.run(in_time).await.unwrap_or_else(|gone| Err(gone.into()));
        self.tell(&answer);
        answer
    }
}

impl Collector {
    /// Logs only a change: a collector may be unreachable for days.
    fn tell(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let status = answer.as_ref().map(|answer| answer.status());
        let is_away = !status.as_ref().is_ok_and(|status| status.is_success());
        if self.is_away.swap(is_away, Ordering::Relaxed) == is_away {
            return;
        }
        match status {
            Err(error) => {
                tracing::warn!(error = error.as_ref() as &dyn std::error::Error, "traces.export_failed")
            }
            Ok(status) if is_away => tracing::warn!(status = status.as_u16(), "traces.export_failed"),
            Ok(_) => tracing::info!("traces.export_resumed"),
        }
    }
}
