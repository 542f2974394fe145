//! Keeps a share of traces or log records, consistently.
//!
//! Three modes, byte by byte those of otelcol: `hash_seed` hashes the trace identifier, `equalizing` and
//! `proportional` follow OpenTelemetry's specification of consistent sampling by what `tracestate` says. Whatever is kept
//! carries the threshold with which it was, so that what is behind can count what is not.
//!
//! Deciding about a span reads its identifier, its `tracestate` and the keys of its attributes; what is kept is copied.

mod config;
mod hash;
mod logs;
mod metrics;
mod mode;
mod traces;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Processor, StartError};
use phoenix_pdata::Signal;

pub use config::{AttributeSource, Mode, SamplerConfig};

use logs::LogSampler;
use traces::TraceSampler;

phoenix_component::processor_factory! {
    /// Makes `probabilistic_sampler` processors.
    SamplerFactory: "probabilistic_sampler", SamplerConfig;
    create: |config, cx, pipeline| {
        let metrics = &cx.host.metrics;
        Ok(match pipeline.signal() {
            Signal::Traces => Processor::Transform(Arc::new(TraceSampler::new(config, metrics))),
            Signal::Logs => Processor::Transform(Arc::new(LogSampler::new(config, metrics))),
            Signal::Metrics => return Err(StartError::new("does not sample metrics")),
        })
    },
    signals: [
        Support { from: Signal::Traces, to: Signal::Traces, stability: Stability::Beta },
        Support { from: Signal::Logs, to: Signal::Logs, stability: Stability::Beta },
    ],
    change: |_, _| Change::stateless(),
}
