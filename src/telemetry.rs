//! Logs to stderr, and traces to a collector by OTLP over HTTP.
//!
//! Called by `main` before anything else runs. Logs have every span of a participant, so that its id stands in each line about
//! it; traces have the spans of the rooms: `session`, from coming to leaving, and in it `join`, until media flows, and
//! `negotiation`, of each offer until its answer. It never touches a room or a packet.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::{Request, Response, Uri};
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use crate::http_client;

/// How long a collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last spans may take when the server ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Where OTLP over HTTP takes traces, below the endpoint.
const TRACES_PATH: &str = "/v1/traces";

/// Whose spans are traced.
const TRACED: &str = "crosspoint::room";

/// Why nothing can be traced.
#[derive(Debug)]
pub struct TelemetryError(String);

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--otlp-endpoint cannot be used: {}", self.0)
    }
}

impl std::error::Error for TelemetryError {}

/// What is traced, until this is dropped.
#[derive(Debug, Default)]
pub struct Telemetry(Option<SdkTracerProvider>);

/// Starts logging, and with an endpoint tracing, for the rest of the process. The filter is one that
/// [`EnvFilter`] takes.
///
/// Spans are sent on `executor`, which must outlive what this returns.
pub fn start(
    filter: &str,
    format: LogFormat,
    endpoint: Option<&Uri>,
    executor: &Handle,
) -> Result<Telemetry, TelemetryError> {
    let log = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // A disk may be full. It would be said where it cannot be said, and that is a panic.
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    let log: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => Box::new(log),
        LogFormat::Json => Box::new(log.json()),
    };
    let log = log.with_filter(EnvFilter::new(filter));
    let Some(endpoint) = endpoint else {
        tracing_subscriber::registry().with(log).init();
        return Ok(Telemetry::default());
    };
    let provider = provider(endpoint, executor)?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("crosspoint"))
        .with_location(false)
        .with_threads(false)
        .with_filter(Targets::new().with_target(TRACED, LevelFilter::INFO));
    tracing_subscriber::registry().with(log).with(traces).init();
    Ok(Telemetry(Some(provider)))
}

fn provider(endpoint: &Uri, executor: &Handle) -> Result<SdkTracerProvider, TelemetryError> {
    let traces = traces_url(endpoint);
    let client = Client {
        client: http_client::HttpClient::new([endpoint], PATIENCE).map_err(|error| {
            TelemetryError(format!(
                "https needs the system's certificate authorities, install ca-certificates ({error})"
            ))
        })?,
        executor: executor.clone(),
        failing: Arc::default(),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(traces)
        .with_timeout(PATIENCE)
        .build()
        .map_err(|error| TelemetryError(error.to_string()))?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("crosspoint").build())
        .build())
}

/// As of the environment variable `OTEL_EXPORTER_OTLP_ENDPOINT`: the base, to which the path of traces is added.
fn traces_url(endpoint: &Uri) -> String {
    let base = endpoint.to_string();
    let base = base.trim_end_matches('/');
    match base.ends_with(TRACES_PATH) {
        true => base.to_owned(),
        false => format!("{base}{TRACES_PATH}"),
    }
}

impl Drop for Telemetry {
    /// Sends what is left, for a moment.
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // A collector that is not there was said already.
            let _ = provider.shutdown_with_timeout(LAST_PATIENCE);
        }
    }
}

/// The exporter's way to the collector. It is asked on a thread without an executor.
#[derive(Debug)]
struct Client {
    client: http_client::HttpClient,
    executor: Handle,
    /// Whether the last request failed: that is said once.
    failing: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let client = self.client.clone();
        let posted = async move { client.post(head.uri, head.headers, body).await };
        let answer = self.executor.spawn(posted).await?;
        let why = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(why) => Some(why.clone()),
        };
        let was_failing = self.failing.swap(why.is_some(), Ordering::Relaxed);
        if let Some(why) = why.filter(|_| !was_failing) {
            tracing::warn!(why, "the collector of --otlp-endpoint does not take traces");
        }
        Ok(answer?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_the_endpoint() {
        for (endpoint, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("https://a.example/otlp", "https://a.example/otlp/v1/traces"),
            ("https://a.example/v1/traces", "https://a.example/v1/traces"),
        ] {
            assert_eq!(traces_url(&endpoint.parse().unwrap()), url);
        }
    }
}
