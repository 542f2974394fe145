//! What Phoenix says of itself: metrics that cost next to nothing to update, and structured logs.
//!
//! - [`Metrics`] is the registry. Instruments are identified by name and attributes: asking twice gives the
//!   same one, so a component's counters go on over a hot swap.
//! - Counters and histograms are spread over cells, one for each thread in turn, and summed when they are
//!   read; nothing on a hot path takes a lock, looks an instrument up or builds an attribute set.
//! - An instrument exists from a [`Level`] on ([`Metrics::at`]); below it is neither recorded nor shown.
//! - [`Metrics::streams`] is what is shown, after level and views; [`prometheus`] and [`otlp`] encode it.
//!   Who serves or sends that is the binary.

mod instruments;
mod level;
pub mod logs;
mod metrics;
pub mod otlp;
pub mod prometheus;
mod resource;
mod scope;
pub mod traces;
pub mod view;
mod wire;

pub use instruments::{Counter, Gauge, Histogram, HistogramValue, Measure, TimeCounter};
pub use level::Level;
pub use metrics::{Attribute, Description, InstrumentKind, Metrics, Point, Sample, Stream, Value};
pub use resource::Resource;
