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

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, Factory, ProcessorFactory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Processor, StartError};
use phoenix_config::{Described, Node, PipelineId, Problems, Shape};
use phoenix_pdata::Signal;

pub use config::{AttributeSource, Mode, SamplerConfig};

use logs::LogSampler;
use traces::TraceSampler;

/// Makes `probabilistic_sampler` processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct SamplerFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "probabilistic_sampler",
    aliases: &[],
    signals: &[
        Support { from: Signal::Traces, to: Signal::Traces, stability: Stability::Beta },
        Support { from: Signal::Logs, to: Signal::Logs, stability: Stability::Beta },
    ],
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for SamplerFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<SamplerConfig>(section, problems)
    }

    fn change(&self, _old: &dyn AnySettings, _new: Option<&dyn AnySettings>) -> Change {
        Change::stateless()
    }

    fn shape(&self) -> Shape {
        SamplerConfig::shape()
    }
}

impl ProcessorFactory for SamplerFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
        pipeline: &PipelineId,
    ) -> Result<Processor, StartError> {
        let config: &SamplerConfig = settings_of(settings);
        let metrics = &cx.host.metrics;
        Ok(match pipeline.signal() {
            Signal::Traces => Processor::Transform(Arc::new(TraceSampler::new(config, metrics))),
            Signal::Logs => Processor::Transform(Arc::new(LogSampler::new(config, metrics))),
            Signal::Metrics => return Err(StartError::new("does not sample metrics")),
        })
    }
}
