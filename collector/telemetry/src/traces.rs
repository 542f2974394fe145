//! Traces of the collector's own work, off by default.
//!
//! A [`Tracer`] that is off costs one branch for each request and component. On, it makes a [`Span`] for
//! each, hands finished ones to a [`SpanSink`] (an exporter) and keeps some of them for people to look at.

mod context;
mod otlp;
mod recent;
mod sampler;
mod span;
#[cfg(test)]
mod tests;
mod tracer;

pub use context::{Propagator, SpanContext};
pub use otlp::traces_request;
pub use recent::{LATENCIES, RecentSpans, Running, Samples, Summary};
pub use sampler::ParentBased;
pub use sampler::Sampler;
pub use span::{FinishedSpan, Kind, Span};
pub use tracer::{SpanSink, Tracer, TracerOptions, Watch};
