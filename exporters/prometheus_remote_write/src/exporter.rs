//! One attempt: a batch becomes requests, and each is posted.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Budget, ClientInfo, Host, Refusal, StartError};
use phoenix_delivery::{Delivered, Delivery, DeliveryContext, DeliverySettings, Push};
use phoenix_pdata::Signal;
use phoenix_prometheus::Translator;
use phoenix_telemetry::traces::Tracer;
use phoenix_transport::compression::encode_snappy;
use phoenix_transport::endpoint::http_url;
use phoenix_transport::http::client::{self, Client, Destination, SendError};
use phoenix_transport::settings::AuthSettings;
use phoenix_transport::trace;

use crate::RemoteWriteConfig;
use crate::answer::{judge, written};
use crate::metrics::RemoteWriteMetrics;
use crate::requests::{Version, Writer, Written};

/// The exporter. Nothing is connected before the first batch.
pub(crate) fn create(
    config: &RemoteWriteConfig,
    cx: &CreateContext<'_>,
) -> Result<Delivery<RemoteWrite>, StartError> {
    let parsed = http_url(&config.endpoint)
        .map_err(|reason| StartError::new(format!("{:?}: {reason}", config.endpoint)))?;
    let options = config.http().options(cx.host).map_err(StartError::because)?;
    let client = Client::new(options, &cx.host.cores).map_err(StartError::because)?;
    let push = RemoteWrite {
        destination: client.destination(&config.endpoint).map_err(StartError::because)?,
        client,
        is_one: AtomicBool::new(config.version() != Some(Version::Two)),
        max_bytes: usize::try_from(config.max_batch_size_bytes).unwrap_or(usize::MAX),
        parallelism: config.max_batch_request_parallelism.map_or(1, |number| number.clamp(1, 1024) as usize),
        usual: [AtomicUsize::new(0), AtomicUsize::new(0)],
        with_metadata: config.send_metadata,
        translator: Mutex::new(Translator::new(config.translation(), rand::random())),
        metrics: RemoteWriteMetrics::new(&cx.host.metrics, &cx.id.to_string()),
        budget: cx.host.budget.clone(),
        tracer: cx.host.tracer.clone(),
        auth: config.auth.get().cloned(),
        id: cx.id.to_string(),
    };
    let settings = DeliverySettings {
        // The client's own covers the same.
        timeout: None,
        retry: config.retry_on_failure.clone(),
        queue: config.queue(),
    };
    let port =
        parsed.port_u16().unwrap_or(if parsed.scheme_str() == Some("https") { 443 } else { 80 }).to_string();
    let host = parsed.host().unwrap_or_default().trim_matches(['[', ']']);
    let attributes = [("server.address", host), ("server.port", port.as_str()), ("url.path", parsed.path())];
    Ok(Delivery::new(push, settings, DeliveryContext::new(cx, Signal::Metrics, &attributes)))
}

/// Posts metrics to a receiver of remote write.
pub(crate) struct RemoteWrite {
    client: Client,
    destination: Destination,
    /// Whether version 1 is spoken: as it was set, or since the receiver understands no other.
    is_one: AtomicBool,
    max_bytes: usize,
    parallelism: usize,
    /// How many bytes the body and the elements of the last batch's first request had.
    usual: [AtomicUsize; 2],
    with_metadata: bool,
    /// Held while a batch is translated, and never over a wait.
    translator: Mutex<Translator>,
    metrics: RemoteWriteMetrics,
    budget: Budget,
    tracer: Tracer,
    auth: Option<AuthSettings>,
    id: String,
}

impl RemoteWrite {
    fn version(&self) -> Version {
        if self.is_one.load(Relaxed) { Version::One } else { Version::Two }
    }

    /// The requests of a batch, and how many of its data points have no translation.
    fn translate(&self, batch: &Batch, version: Version) -> (Vec<Written>, u64) {
        let usual = (self.usual[0].load(Relaxed), self.usual[1].load(Relaxed));
        let mut writer = Writer::new(version, self.max_bytes, usual, self.with_metadata);
        let mut translator = self.translator.lock().unwrap_or_else(PoisonError::into_inner);
        let before = translator.forgotten();
        let failed = translator.translate(&batch.payload, &mut writer);
        self.metrics.forgotten.add(translator.forgotten() - before);
        drop(translator);
        let requests = writer.finish();
        if let Some(first) = requests.first() {
            for (usual, bytes) in self.usual.iter().zip([first.body.len(), first.elements.len()]) {
                usual.store(bytes + bytes / 8, Relaxed);
            }
        }
        self.metrics.failed_translations.add(failed);
        self.metrics.translated_series.add(requests.iter().map(|request| request.series).sum());
        (requests, failed)
    }

    async fn post(
        &self,
        request: Written,
        version: Version,
        headers: &HeaderMap,
        client: Option<&ClientInfo>,
    ) -> Result<(), Refusal> {
        let charged = |bytes: Vec<u8>| self.budget.charge_reserve(bytes.capacity()).attach(bytes);
        let (body, elements) = (charged(request.body), charged(request.elements));
        let body = encode_snappy(body, elements, request.stand_for, &self.budget).await;
        let body = body.map_err(|error| SendError::Compress(error).into_refusal())?;
        let response = self.client.post_for(&self.destination, headers, body, client).await;
        self.metrics.sent_batches.add(1);
        let response = response.map_err(SendError::into_refusal)?;
        let told = written(&response.headers);
        let is_unknown = response.status == StatusCode::UNSUPPORTED_MEDIA_TYPE
            || (response.status.is_success() && told.is_none());
        if version == Version::Two && is_unknown {
            if !self.is_one.swap(true, Relaxed) {
                tracing::warn!(
                    exporter = self.id,
                    status = response.status.as_u16(),
                    "the receiver does not understand remote write 2.0; going on with 1.0"
                );
            }
            let text = "the receiver does not understand remote write 2.0";
            return Err(Refusal::retryable("unsupported_version", text));
        }
        judge(response.status, &response.headers, &response.body, SystemTime::now())?;
        if let Some([samples, histograms, exemplars]) = told {
            self.metrics.written_samples.add(samples);
            self.metrics.written_histograms.add(histograms);
            self.metrics.written_exemplars.add(exemplars);
        }
        Ok(())
    }

    async fn attempt(&self, batch: &Batch, headers: &HeaderMap) -> Result<Delivered, Refusal> {
        let version = self.version();
        let (requests, mut failed) = self.translate(batch, version);
        let client = batch.client.as_deref();
        let all = requests.len();
        let mut refused = Vec::new();
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let together = requests.by_ref().take(self.parallelism).map(|request| async move {
                let items = request.items;
                (items, self.post(request, version, headers, client).await)
            });
            for (items, outcome) in futures_util::future::join_all(together).await {
                match outcome {
                    Ok(()) => {}
                    // Receivers take twice what they have already, so that the whole batch can be sent again.
                    Err(refusal) if refusal.is_retryable() => return Err(refusal),
                    Err(refusal) => {
                        failed += items;
                        refused.push(refusal);
                    }
                }
            }
        }
        match refused.pop() {
            Some(refusal) if refused.len() + 1 == all => Err(refusal),
            Some(refusal) => {
                tracing::warn!(exporter = self.id, error = %refusal, "a part of a batch was rejected");
                Ok(Delivered::except(failed))
            }
            None => Ok(Delivered::except(failed)),
        }
    }
}

impl Push for RemoteWrite {
    async fn start(&self, host: &Host) -> Result<(), StartError> {
        if let Some(auth) = &self.auth {
            self.client.authorize_with(auth.client(&host.capabilities)?);
        }
        Ok(())
    }

    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let headers = headers_of(self.version());
        let name = || "HTTP POST".to_owned();
        let mut attempt = trace::attempt(&self.tracer, batch.trace, name, &headers);
        let traced = attempt.as_ref().map_or(&headers, |(_, headers)| headers).clone();
        let outcome = self.attempt(&batch, &traced).await;
        outcome.inspect_err(|refusal| trace::failed(&mut attempt, refusal))
    }

    fn timed_out(&self) -> Refusal {
        client::timed_out()
    }
}

fn headers_of(version: Version) -> HeaderMap {
    let (content_type, number) = match version {
        Version::One => ("application/x-protobuf", "0.1.0"),
        Version::Two => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
    };
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (HeaderName::from_static("x-prometheus-remote-write-version"), HeaderValue::from_static(number)),
    ])
}
