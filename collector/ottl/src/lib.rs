//! The OpenTelemetry Transformation Language: parsed, type-checked, compiled, and run over OTLP as bytes.

pub mod functions;
pub mod value;

mod error;

pub use error::EvalError;
pub use value::{Map, Time, Value, Zone};
