//! What Phoenix says of itself: counters and gauges that cost nothing to update, and structured logs.
//!
//! Counters are spread over cells, one for each thread in turn, and summed when they are read; nothing
//! on a hot path looks an instrument up or builds an attribute set. Instruments are identified by name
//! and attributes: asking twice gives the same one, so a component's counters go on over a hot swap.

pub mod logs;
mod metrics;
pub mod traces;
mod wire;

pub use metrics::{Attribute, Counter, Description, Gauge, InstrumentKind, Metrics, Sample};
