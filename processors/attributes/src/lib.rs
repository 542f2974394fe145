//! Changes attributes of spans, log records and data points.
//!
//! One pass over the bytes: records that are not meant, or that no action changes, are copied as they are, and a request
//! in which nothing changes is not copied at all.

mod config;
mod processor;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Processor};

pub use config::AttributesConfig;

use processor::AttributesProcessor;

phoenix_component::processor_factory! {
    /// Makes `attributes` processors.
    AttributesFactory: "attributes", AttributesConfig;
    create: |config, _, pipeline| {
        Ok(Processor::Transform(Arc::new(AttributesProcessor::new(config, pipeline.signal())?)))
    },
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}
