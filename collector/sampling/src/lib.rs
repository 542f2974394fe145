//! Consistent probability sampling, as OpenTelemetry specifies it: thresholds, randomness, and where `tracestate`
//! carries them.
//!
//! A span is kept where its randomness `R` is at least the threshold `T`, both 56-bit numbers; whoever keeps it notes
//! `T` in `tracestate` (`ot=th:…`), so that everybody behind knows how many spans it stands for. See
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>.
//!
//! Formatting and rounding are those of the Go collector, digit by digit.

mod digits;
mod threshold;
mod trace_state;

pub use digits::Digits;
pub use threshold::{Randomness, Threshold};
pub use trace_state::{TraceState, TraceStateError};
