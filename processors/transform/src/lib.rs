//! Changes telemetry by statements of the OpenTelemetry Transformation Language.
//!
//! Statements are compiled once and run over the bytes: what no statement touches is copied as it is, and a request in
//! which nothing changes is not copied. A request whose statement fails under `error_mode: propagate` is refused as it came.

mod config;
mod processor;
mod program;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, Processor};

pub use config::TransformConfig;

use processor::TransformProcessor;

phoenix_component::processor_factory! {
    /// Makes `transform` processors.
    TransformFactory: "transform", TransformConfig;
    create: |config, cx, pipeline| {
        Ok(Processor::Transform(Arc::new(TransformProcessor::new(config, pipeline.signal(), cx)?)))
    },
    signals: Support::all(Stability::Beta),
    change: |_, _| Change::stateless(),
}
