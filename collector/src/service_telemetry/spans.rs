//! Own traces of a program that has the collector as a library, sent as the collector sends its own.

use std::sync::Arc;

use phoenix_component::{BuildInfo, Cores, TelemetryDestination};
use phoenix_telemetry::Metrics;
use phoenix_telemetry::traces::{Tracer, TracerOptions, traces_request};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::export::{self, Export, Fan};
use super::otlp::{Processor, Signal};
use super::resource::ResourceSettings;
use super::{FLUSH, SPAN_DELAY, elsewhere};

/// Spans on their way to a backend.
pub struct SpanExport(Export);

impl SpanExport {
    /// Sends the spans of `tracer` to a backend that takes OTLP over HTTP, in batches. Spans that it has no room for are
    /// dropped and counted in `metrics`. Call within a runtime.
    ///
    /// # Errors
    /// What is wrong with the URL or the headers, in words.
    pub fn start(
        to: &TelemetryDestination,
        build: BuildInfo,
        tracer: &Tracer,
        metrics: &Metrics,
    ) -> Result<SpanExport, String> {
        let processor = Processor::to(elsewhere::url(to, "traces")?, &to.headers);
        let pusher = Arc::new(processor.pusher(Signal::Traces, &build, &Cores::current_runtime())?);
        let resource = ResourceSettings::default().attributes(&build);
        let (queue, export) = export::start(
            Signal::Traces,
            processor.rhythm(SPAN_DELAY),
            pusher,
            move |spans| traces_request(&resource, build.version, spans),
            metrics,
            &Handle::current(),
        );
        tracer.apply(TracerOptions { sink: Some(Arc::new(Fan(vec![queue]))), ..TracerOptions::default() });
        Ok(SpanExport(export))
    }

    /// Lets the rest go out, for a few seconds at the most.
    pub async fn stop(self) {
        self.0.stop(Instant::now() + FLUSH).await;
    }
}
