//! One attempt over HTTP.

use std::time::SystemTime;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode, Uri, Version};
use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Budget, Host, Refusal, StartError};
use phoenix_delivery::{Delivered, Delivery, DeliveryContext, DeliverySettings, PartialSuccessLog, Push};
use phoenix_pdata::{Codings, Signal};
use phoenix_telemetry::traces::Tracer;
use phoenix_transport::compression::Compressor;
use phoenix_transport::http::Format;
use phoenix_transport::http::client::{self, Client, Destination};
use phoenix_transport::instrumentation::{HttpKey, HttpMetrics};
use phoenix_transport::settings::AuthSettings;
use phoenix_transport::trace;

use crate::OtlpHttpConfig;
use crate::answer::Answer;
use crate::config::parse_url;
use crate::format;

/// Said where no key gives a URL for a signal.
pub(crate) fn no_url(signal: Signal) -> String {
    format!("either endpoint or {signal}_endpoint must be specified")
}

/// The exporter of one signal. Nothing is connected before the first batch.
pub(crate) fn create(
    config: &OtlpHttpConfig,
    cx: &CreateContext<'_>,
    signal: Signal,
) -> Result<Delivery<HttpPush>, StartError> {
    let url = config.url(signal).ok_or_else(|| StartError::new(no_url(signal)))?;
    let parsed = parse_url(&url).map_err(|reason| StartError::new(format!("{url:?}: {reason}")))?;
    let is_secure = parsed.scheme_str() == Some("https");
    let default_port = if is_secure { 443 } else { 80 };
    let block = config.http();
    let options = block.options(cx.host).map_err(StartError::because)?;
    let client = Client::new(options, &cx.host.cores).map_err(StartError::because)?;
    let format = config.format();
    let push = HttpPush {
        destination: client.destination(&url).map_err(StartError::because)?,
        client,
        compressor: block.compressor(),
        headers: HeaderMap::from_iter([(CONTENT_TYPE, format.content_type())]),
        format,
        budget: cx.host.budget.clone(),
        tracer: cx.host.tracer.clone(),
        partial: PartialSuccessLog::new(cx.status.key(), signal),
        http: HttpMetrics::client(&cx.host.metrics),
        key: HttpKey::of_post(
            bare_host(&parsed),
            parsed.port_u16().unwrap_or(default_port),
            Version::HTTP_11,
        ),
        extra_codes: config.extra_codes(),
        url,
        auth: config.auth.get().cloned(),
    };
    push.http.set_secure(is_secure);
    let settings = DeliverySettings {
        // The client's own covers the same.
        timeout: None,
        retry: config.retry_on_failure.clone(),
        queue: config.sending_queue.get().cloned(),
    };
    let port = parsed.port_u16().unwrap_or(default_port).to_string();
    let host = bare_host(&parsed);
    let attributes = [("server.address", host), ("server.port", port.as_str()), ("url.path", parsed.path())];
    Ok(Delivery::new(push, settings, DeliveryContext::new(cx, signal, &attributes)))
}

/// The host without the brackets of IPv6.
fn bare_host(url: &Uri) -> &str {
    url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
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
    http: HttpMetrics,
    key: HttpKey,
    extra_codes: Vec<StatusCode>,
    url: String,
    auth: Option<AuthSettings>,
}

impl Push for HttpPush {
    async fn start(&self, host: &Host) -> Result<(), StartError> {
        if let Some(auth) = &self.auth {
            self.client.authorize_with(auth.client(&host.capabilities)?);
        }
        Ok(())
    }

    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let name = || "HTTP POST".to_owned();
        let mut attempt = trace::attempt(&self.tracer, batch.trace, name, &self.headers);
        let (begun, bytes) = (self.http.begin(), batch.payload.len() as u64);
        let body = match self.format {
            Format::Protobuf => self.compressor.message(batch.payload),
            Format::Json => format::body(self.format, batch.signal, batch.payload, &self.budget).await,
        };
        let headers = attempt.as_ref().map_or(&self.headers, |(_, headers)| headers);
        let client = batch.client.as_deref();
        let response = self.client.post_for(&self.destination, headers, body, client).await;
        if let Some(begun) = begun {
            let key = self.key.clone();
            let key = response.as_ref().map(|response| key.clone().answered(response.status)).unwrap_or(key);
            self.http.record(key, begun.elapsed(), bytes, 0);
        }
        let response = response.map_err(|error| {
            trace::failed(&mut attempt, &error);
            error.into_refusal()
        })?;
        if !response.status.is_success() {
            trace::failed(&mut attempt, &response.status);
        }
        let answer = Answer::new(response.status, &response.headers, response.body);
        Ok(match answer.outcome(&self.url, SystemTime::now(), &self.extra_codes)? {
            Some(partial) => self.partial.note(&partial),
            None => Delivered::whole(),
        })
    }

    fn forwards(&self) -> Codings {
        match self.format {
            Format::Protobuf => self.compressor.forwards(),
            Format::Json => Codings::NONE,
        }
    }

    fn timed_out(&self) -> Refusal {
        client::timed_out()
    }
}
