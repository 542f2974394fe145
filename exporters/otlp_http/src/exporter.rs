//! One attempt over HTTP.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Budget, Refusal, StartError};
use phoenix_delivery::{Delivery, DeliveryContext, DeliverySettings, PartialSuccessLog, Push};
use phoenix_pdata::{Codings, Signal};
use phoenix_telemetry::traces::Tracer;
use phoenix_transport::compression::Compressor;
use phoenix_transport::http::client::{Client, Destination, Options, SendError};
use phoenix_transport::tls::{Alpn, TlsConnector};
use phoenix_transport::trace;

use crate::OtlpHttpConfig;
use crate::answer::Answer;
use crate::config::parse_url;
use crate::format::Format;

/// The exporter of one signal. Nothing is connected before the first batch.
pub(crate) fn create(
    config: &OtlpHttpConfig,
    cx: &CreateContext<'_>,
    signal: Signal,
) -> Result<Delivery<HttpPush>, StartError> {
    let url = config
        .url(signal)
        .ok_or_else(|| StartError::new(format!("either endpoint or {signal}_endpoint must be specified")))?;
    let parsed = parse_url(&url).map_err(|reason| StartError::new(format!("{url:?}: {reason}")))?;
    let headers =
        config.header_map().map_err(|name| StartError::new(format!("header {name:?} cannot be sent")))?;
    let alpn = if config.force_attempt_http2 { Alpn::H2OrHttp1 } else { Alpn::Http1 };
    let is_secure = parsed.scheme_str() == Some("https");
    let tls = match is_secure {
        true => Some(TlsConnector::new(&config.tls, alpn).map_err(StartError::because)?),
        false => None,
    };
    let options = Options {
        tls,
        timeout: config.timeout.is_positive().then(|| config.timeout.as_duration()),
        headers,
        user_agent: cx.host.build.user_agent(),
        compressor: config.compressor(),
        budget: cx.host.budget.clone(),
        max_idle_per_host: config.max_idle_per_core(cx.host.cores.count()),
        idle_timeout: config.idle_conn_timeout.is_positive().then(|| config.idle_conn_timeout.as_duration()),
        max_connections_per_host: usize::try_from(config.max_conns_per_host).ok().filter(|limit| *limit > 0),
        disable_keep_alives: config.disable_keep_alives,
    };
    let client = Client::new(options, &cx.host.cores).map_err(StartError::because)?;
    let format = config.format();
    let push = HttpPush {
        destination: client.destination(&url).map_err(StartError::because)?,
        client,
        compressor: config.compressor(),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, format.content_type())]),
        format,
        budget: cx.host.budget.clone(),
        tracer: cx.host.tracer.clone(),
        partial: PartialSuccessLog::new(cx.status.key(), signal),
        url,
    };
    let settings = DeliverySettings {
        // The client's own covers the same.
        timeout: None,
        retry: config.retry_on_failure.clone(),
        queue: config.sending_queue.get().cloned(),
    };
    let default_port = if is_secure { 443 } else { 80 };
    let port = parsed.port_u16().unwrap_or(default_port).to_string();
    let host = parsed.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let attributes = [("server.address", host), ("server.port", port.as_str()), ("url.path", parsed.path())];
    Ok(Delivery::new(push, settings, DeliveryContext::new(cx, signal, &attributes)))
}

/// Sends one signal to one URL.
pub(crate) struct HttpPush {
    client: Client,
    destination: Destination,
    compressor: Compressor,
    headers: HeaderMap,
    format: Format,
    budget: Budget,
    tracer: Tracer,
    partial: PartialSuccessLog,
    url: String,
}

impl Push for HttpPush {
    async fn push(&self, batch: Batch) -> Result<(), Refusal> {
        let name = || "HTTP POST".to_owned();
        let mut attempt = trace::attempt(&self.tracer, batch.trace, name, &self.headers);
        let body = match self.format {
            Format::Protobuf => self.compressor.message(batch.payload),
            Format::Json => self.format.body(batch.signal, batch.payload, &self.budget).await,
        };
        let headers = attempt.as_ref().map_or(&self.headers, |(_, headers)| headers);
        let response = self.client.post(&self.destination, headers, body).await.map_err(|error| {
            trace::failed(&mut attempt, &error);
            refusal(error)
        })?;
        if !response.status.is_success() {
            trace::failed(&mut attempt, &response.status);
        }
        let answer = Answer::new(response.status, &response.headers, response.body);
        if let Some(partial) = answer.outcome(&self.url, SystemTime::now())? {
            self.partial.warn(&partial);
        }
        Ok(())
    }

    fn forwards(&self) -> Codings {
        match self.format {
            Format::Protobuf => self.compressor.forwards(),
            Format::Json => Codings::NONE,
        }
    }

    fn timed_out(&self) -> Refusal {
        Refusal::retryable("timeout", "failed to make an HTTP request: context deadline exceeded")
    }
}

/// Whatever kept the backend from answering may pass.
fn refusal(error: SendError) -> Refusal {
    let reason = match &error {
        SendError::Timeout { .. } => "timeout",
        SendError::Connect { .. } => "connect",
        SendError::Exchange { .. } => "exchange",
        SendError::Compress(_) => return Refusal::permanent("compress", error.to_string()),
    };
    Refusal::retryable(reason, error.to_string())
}
