//! Structured logs in otelcol's two encodings, `console` and `json`.
//!
//! ```text
//! tracing event -> level -> sampling -> record -> line -> buffer -> writer thread -> output
//!                                         \-> exporter
//! ```
//!
//! Everything up to the buffer happens in the thread that speaks. Buffers are bounded: an output that
//! blocks loses records, which are counted, and holds up nobody. The process has one logger.

mod encode;
mod handle;
mod level;
mod otlp;
mod record;
mod sampling;
mod scope;
mod sink;
mod subscriber;
#[cfg(test)]
mod tests;

pub use encode::quoted;
pub use handle::{LevelState, LogHandle, OutputError};
pub use level::{LogLevel, UnknownLevel};
pub use otlp::logs_request;
pub use record::{Record, Value};
pub use sampling::Sampling;
pub use scope::{Scope, Scoped};
pub use sink::Output;
pub use subscriber::install;

use std::sync::Arc;

/// How a record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Tab-separated time, level, caller and message, then the fields as JSON.
    #[default]
    Console,
    /// One JSON object per line.
    Json,
}

/// Takes records besides the outputs. Called in the thread that speaks: it must neither block nor log.
pub trait RecordSink: Send + Sync {
    /// Takes a record.
    fn take(&self, record: &Record);
}

/// How the logger works.
#[derive(Clone)]
pub struct LogOptions {
    /// The lowest level that is written.
    pub level: LogLevel,
    /// How records are written.
    pub encoding: Encoding,
    /// Whether records say where in the program they come from.
    pub caller: bool,
    /// The lowest level that comes with a stack trace.
    pub stacktrace: Option<LogLevel>,
    /// How repeated records are thinned out.
    pub sampling: Option<Sampling>,
    /// Where to.
    pub outputs: Vec<Output>,
    /// Where it is said that an output cannot be written.
    pub error_outputs: Vec<Output>,
    /// Fields of every record, before its own.
    pub context: Vec<(String, Value)>,
    /// Who else takes records, without the context.
    pub also: Option<Arc<dyn RecordSink>>,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            level: LogLevel::Info,
            encoding: Encoding::Console,
            caller: true,
            stacktrace: None,
            sampling: Some(Sampling::default()),
            outputs: vec![Output::Stderr],
            error_outputs: vec![Output::Stderr],
            context: Vec::new(),
            also: None,
        }
    }
}
