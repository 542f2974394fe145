//! Sampling with known probabilities: what OpenTelemetry specifies, and the algorithms that choose.
//!
//! A span is kept where its randomness `R` is at least the threshold `T`, both 56-bit numbers; whoever keeps it notes
//! `T` in `tracestate` (`ot=th:…`), so that everybody behind knows how many spans it stands for. See
//! <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>. Formatting and rounding are those of
//! the Go collector, digit by digit.
//!
//! The algorithms answer with thresholds wherever they can, so that what they keep can be counted up to what there was;
//! [`Vote`] puts the answers of several together. Nothing here does I/O: time, randomness and keys are handed in. Each has
//! a bound on memory, and a test with fixed seeds of what it promises.

mod bottom_k;
mod bucket;
mod buckets;
#[cfg(test)]
mod chance;
mod demand;
mod digits;
mod ema;
#[cfg(test)]
mod estimates;
mod fingerprint;
mod novelty;
mod rank;
mod recent;
mod share;
mod sketch;
mod slow;
mod spending;
mod threshold;
mod trace_state;
mod vote;

pub use bottom_k::BottomK;
pub use bucket::{Bucket, Lease, Limit};
pub use buckets::Buckets;
pub use demand::{Demand, Part};
pub use digits::Digits;
pub use ema::{EmaRates, EmaSettings, Goal, OTHER_KEYS};
pub use fingerprint::{Repeats, top_frame};
pub use novelty::Novelty;
pub use rank::{Rank, Weight};
pub use recent::Recent;
pub use share::{max_min_fair, max_min_fair_weighted};
pub use sketch::Sketch;
pub use slow::{Slow, SlowSettings};
pub use spending::{Allowance, Closed, Sharing, Slot, Spending};
pub use threshold::{Randomness, Threshold};
pub use trace_state::{TraceState, TraceStateError};
pub use vote::{Vote, stated};
