//! Points go into the store, scrapes come from it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, Response, StatusCode, request};
use phoenix_component::factory::CreateContext;
use phoenix_component::{Batch, Host, Refusal, StartError};
use phoenix_delivery::{Delivered, Delivery, DeliveryContext, DeliverySettings, Push, RetrySettings};
use phoenix_pdata::Signal;
use phoenix_prometheus::{Exemplar, Extra, Family, Kind, LabelSet, Native, Sample, Sink, Translator};
use phoenix_transport::http::server::{HttpService, Request};
use phoenix_transport::http::side::{SideServer, answer, only, text};
use tokio::runtime::Handle;

use crate::PrometheusConfig;
use crate::exposition;
use crate::metrics::Dropped;
use crate::negotiation::Format;
use crate::store::{Line, Moment, Rejection, Store};

/// How long scrapes under way may take when the exporter stops.
const PATIENCE: Duration = Duration::from_secs(2);

/// The exporter. It listens from its start on.
pub(crate) fn create(config: &PrometheusConfig, cx: &CreateContext<'_>) -> Delivery<Prometheus> {
    let id = cx.id.to_string();
    let max_series = usize::try_from(config.max_series).unwrap_or(usize::MAX);
    let push = Prometheus {
        translator: Mutex::new(Translator::new(config.translation(), rand::random())),
        store: Arc::new(Store::new(max_series, config.metric_expiration.into())),
        dropped: Dropped::new(&cx.host.metrics, &id),
        server: Arc::default(),
        control: cx.host.control.clone(),
        config: config.clone(),
        id,
    };
    let retry = RetrySettings { enabled: false, ..RetrySettings::default() };
    let settings = DeliverySettings { timeout: None, retry, queue: None };
    Delivery::new(push, settings, DeliveryContext::new(cx, Signal::Metrics, &[]))
}

/// Keeps the latest points, and shows them to whoever scrapes.
pub(crate) struct Prometheus {
    /// Held while a batch is translated, and never over a wait.
    translator: Mutex<Translator>,
    store: Arc<Store>,
    dropped: Dropped,
    server: Arc<SideServer>,
    control: Handle,
    config: PrometheusConfig,
    id: String,
}

impl Push for Prometheus {
    async fn start(&self, host: &Host) -> Result<(), StartError> {
        let settings = self.config.http();
        let service = Scrapes {
            store: self.store.clone(),
            control: self.control.clone(),
            open_metrics: self.config.enable_open_metrics,
            with_times: self.config.send_timestamps,
        };
        self.server.start(&settings, SideServer::options(&settings), service, &self.id, host)
    }

    async fn push(&self, batch: Batch) -> Result<Delivered, Refusal> {
        let mut translator = self.translator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut points = Points {
            store: &self.store,
            dropped: &self.dropped,
            now: Instant::now(),
            next: None,
            lines: Vec::new(),
            failed: 0,
        };
        let failed = translator.translate(&batch.payload, &mut points);
        Ok(Delivered::except(failed + points.failed))
    }

    fn stop(&self) {
        let server = self.server.clone();
        self.control.spawn(async move { server.stop(tokio::time::Instant::now() + PATIENCE).await });
    }
}

/// Puts together the samples of a point.
struct Points<'a> {
    store: &'a Store,
    dropped: &'a Dropped,
    now: Instant,
    /// The point whose samples come.
    next: Option<Next>,
    lines: Vec<Line>,
    failed: u64,
}

/// What the samples of a point have in common.
struct Next {
    name: Box<str>,
    help: Box<str>,
    kind: Kind,
    delta: bool,
    labels: LabelSet,
    stale: bool,
    at: Moment,
}

impl Points<'_> {
    fn line(
        &mut self,
        family: &Family<'_>,
        labels: &LabelSet,
        (start_ms, time_ms): (i64, i64),
        stale: bool,
        line: Line,
    ) {
        let at = Moment { start_ms, time_ms, now: self.now };
        let stale = stale || self.next.as_ref().is_some_and(|next| next.stale);
        let next = self.next.get_or_insert_with(|| Next {
            name: family.name.into(),
            help: family.help.into(),
            kind: family.kind,
            delta: family.delta,
            labels: labels.clone(),
            stale,
            at,
        });
        next.stale = stale;
        self.lines.push(line);
    }

    fn put(&mut self) -> Result<(), Rejection> {
        let lines = std::mem::take(&mut self.lines);
        let Some(next) = self.next.take() else { return Ok(()) };
        if next.stale {
            self.store.end(&next.name, &next.labels);
            return Ok(());
        }
        let family =
            Family { name: &next.name, kind: next.kind, help: &next.help, unit: "", delta: next.delta };
        let put = self.store.put(&family, &next.labels, lines, next.at);
        if let Err(rejection) = put {
            let counter = match rejection {
                Rejection::Late => &self.dropped.late,
                Rejection::Conflict => &self.dropped.conflict,
                Rejection::Full => &self.dropped.full,
            };
            counter.add(1);
        }
        put
    }
}

impl Sink for Points<'_> {
    fn sample(
        &mut self,
        family: &Family<'_>,
        suffix: &'static str,
        labels: &LabelSet,
        extra: Extra<'_>,
        sample: Sample,
        exemplars: &[Exemplar],
    ) {
        let extra = match extra {
            Extra::None => None,
            Extra::Bucket(bound) => Some(("le", bound.into())),
            Extra::Quantile(quantile) => Some(("quantile", quantile.into())),
        };
        let line = Line { suffix, extra, value: sample.value, exemplar: exemplars.last().cloned() };
        let stale = sample.is_stale();
        self.line(family, labels, (sample.start_ms, sample.time_ms), stale, line);
        // A series about a resource is no data point: none ends it, and none is lost with it.
        if family.kind == Kind::Info {
            let _ = self.put();
        }
    }

    /// The text has no native histograms: as in otelcol it shows their count and sum.
    fn native(
        &mut self,
        family: &Family<'_>,
        labels: &LabelSet,
        histogram: &Native,
        time_ms: i64,
        exemplars: &[Exemplar],
    ) {
        let stale = histogram.is_stale();
        let count = histogram.count() as f64;
        let infinite = Some(("le", "+Inf".into()));
        let exemplar = exemplars.last().cloned();
        let lines = [
            Line { suffix: "_sum", extra: None, value: histogram.sum(), exemplar: None },
            Line { suffix: "_count", extra: None, value: count, exemplar: None },
            Line { suffix: "_bucket", extra: infinite, value: count, exemplar },
        ];
        for line in lines {
            self.line(family, labels, (0, time_ms), stale, line);
        }
    }

    fn point_ends(&mut self) {
        self.failed += u64::from(self.put().is_err());
    }
}

/// Answers scrapes.
struct Scrapes {
    store: Arc<Store>,
    control: Handle,
    open_metrics: bool,
    with_times: bool,
}

impl HttpService for Scrapes {
    type Route = ();

    fn route(&self, head: &request::Parts) -> Result<(), Response<Bytes>> {
        match head.uri.path() {
            "/metrics" => only(head, &[Method::GET, Method::HEAD]),
            _ => Err(text(StatusCode::NOT_FOUND, "404 page not found\n")),
        }
    }

    async fn call(&self, (): (), request: Request) -> Response<Bytes> {
        let accepts = request.head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let format = Format::of(&accepts.collect::<Vec<_>>().join(","), self.open_metrics);
        let (store, with_times) = (self.store.clone(), self.with_times);
        // Many series take long, for which the other servers of this thread shall not wait.
        let written = self.control.spawn_blocking(move || {
            let mut out = String::new();
            store.each(Instant::now(), |name, series| {
                exposition::put(&mut out, name, series, format, with_times);
            });
            exposition::end(&mut out, format);
            out
        });
        match written.await {
            Ok(out) => answer(StatusCode::OK, format.content_type(), out),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the text could not be written\n"),
        }
    }
}
