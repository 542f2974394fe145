//! Pushes own metrics to one backend.
//!
//! Sums are cumulative, so an attempt that failed needs no repetition: the next one says everything again.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};
use phoenix_component::{Cores, Host};
use phoenix_telemetry::{Counter, Description, Metrics, Resource, otlp, prometheus};
use phoenix_transport::compression::{Compressor, Encoding};
use phoenix_transport::endpoint::{Scheme, Target};
use phoenix_transport::grpc::client as grpc;
use phoenix_transport::http::client as http_client;
use phoenix_transport::settings::TlsClientSettings;
use phoenix_transport::tls::{Alpn, TlsConnector};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::service_telemetry::{OtlpTarget, PushTarget};

const PUSHES: Description = Description {
    name: "phoenix_own_metrics_pushes",
    unit: "{push}",
    text: "Pushes of own metrics to a backend, by outcome.",
};
/// Longest answer that is read.
const MAX_RESPONSE_BYTES: usize = 64 << 10;
const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

pub(super) struct Pusher {
    way: Way,
    delivered: Counter,
    failed: Counter,
    /// Whether the last attempt failed: only changes are logged.
    failing: bool,
    /// Of the instrumentation scopes.
    version: &'static str,
}

enum Way {
    Console,
    Grpc { client: grpc::Client, method: grpc::Method, timeout: Duration },
    Http { client: http_client::Client, destination: http_client::Destination },
}

impl Pusher {
    /// A client that connects with the first push, from the control thread.
    pub(super) fn new(target: &PushTarget, host: &Host, here: &Cores) -> anyhow::Result<Pusher> {
        let way = match target {
            PushTarget::Console => Way::Console,
            PushTarget::Otlp(target) if target.over_http => over_http(target, host, here)?,
            PushTarget::Otlp(target) => over_grpc(target, host, here)?,
        };
        let pushes = |outcome| host.metrics.quiet_counter(PUSHES, &[("outcome", outcome)]);
        Ok(Pusher {
            way,
            delivered: pushes("delivered"),
            failed: pushes("failed"),
            failing: false,
            version: host.build.version,
        })
    }

    /// Pushes once per interval until `stop`, and then once more.
    pub(super) async fn run(
        mut self,
        metrics: Metrics,
        resource: Arc<Resource>,
        interval: Duration,
        timeout: Duration,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + interval, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let goes_on = stop.run_until_cancelled(ticks.tick()).await.is_some();
            let pushed = tokio::time::timeout(timeout, self.push(&metrics, &resource)).await;
            self.note(pushed.unwrap_or_else(|_| Err(format!("not done within {timeout:?}"))));
            if !goes_on {
                return;
            }
        }
    }

    fn note(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => {
                self.delivered.add(1);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("own metrics are delivered again");
                }
            }
            Err(error) => {
                self.failed.add(1);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(error, "failed to upload metrics; the next upload has everything again");
                }
            }
        }
    }

    async fn push(&self, metrics: &Metrics, resource: &Resource) -> Result<(), String> {
        let streams = metrics.streams();
        let times = otlp::Times { started: metrics.started(), now: SystemTime::now() };
        let encoded = || Bytes::from(otlp::encode(&streams, resource, self.version, times).0);
        match &self.way {
            Way::Console => {
                let options = prometheus::Options::default();
                let text = prometheus::render(&streams, resource, self.version, &options);
                let written =
                    tokio::task::spawn_blocking(move || std::io::stdout().write_all(text.as_bytes()));
                written.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
            }
            Way::Grpc { client, method, timeout } => {
                let answer = client.call(method, encoded().into(), Some(*timeout), &HeaderMap::new()).await;
                answer.map(drop).map_err(|status| status.to_string())
            }
            Way::Http { client, destination } => {
                let response = client.post(destination, &HeaderMap::new(), encoded().into()).await;
                let status = response.map_err(|error| error.to_string())?.status;
                match status.is_success() {
                    true => Ok(()),
                    false => Err(format!("the backend answered {status}")),
                }
            }
        }
    }
}

fn headers(target: &OtlpTarget) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &target.headers {
        let cannot = || format!("header {name:?} cannot be sent");
        let header = HeaderName::from_bytes(name.as_bytes()).with_context(cannot)?;
        headers.append(header, HeaderValue::from_str(value.reveal()).with_context(cannot)?);
    }
    Ok(headers)
}

fn tls(target: &OtlpTarget, alpn: Alpn) -> anyhow::Result<TlsConnector> {
    let settings = TlsClientSettings {
        ca_file: target.certificate.clone(),
        cert_file: target.client_certificate.clone(),
        key_file: target.client_key.clone(),
        ..TlsClientSettings::default()
    };
    Ok(TlsConnector::new(&settings, alpn)?)
}

fn compressor(target: &OtlpTarget) -> Compressor {
    Compressor::new(if target.gzip { Encoding::Gzip } else { Encoding::Identity }, 0)
}

fn over_grpc(target: &OtlpTarget, host: &Host, here: &Cores) -> anyhow::Result<Way> {
    let (scheme, to) = Target::parse_grpc(&target.endpoint)?;
    let mut options = grpc::Options::new(to);
    if scheme != Scheme::Http {
        options.tls = Some(tls(target, Alpn::H2)?);
    }
    options.user_agent = host.build.user_agent();
    options.metadata = headers(target)?;
    options.compressor = compressor(target);
    options.max_response_bytes = MAX_RESPONSE_BYTES;
    let client = grpc::Client::new(options, here)?;
    Ok(Way::Grpc { method: client.method(PATH), client, timeout: target.timeout })
}

fn over_http(target: &OtlpTarget, host: &Host, here: &Cores) -> anyhow::Result<Way> {
    let mut headers = headers(target)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let is_secure = target.endpoint.starts_with("https://");
    let options = http_client::Options {
        tls: if is_secure { Some(tls(target, Alpn::Http1)?) } else { None },
        timeout: Some(target.timeout),
        headers,
        user_agent: host.build.user_agent(),
        compressor: compressor(target),
        max_idle_per_host: 1,
        ..http_client::Options::default()
    };
    let client = http_client::Client::new(options, here)?;
    Ok(Way::Http { destination: client.destination(&target.endpoint)?, client })
}
