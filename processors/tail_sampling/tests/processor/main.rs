//! The whole processor, with the clock in hand.

mod bad_input;
mod beyond;
mod conformance;
mod extension;
mod hot_swap;
mod memory;
mod otelcol;
mod properties;
mod support;
mod truncation;
mod votes;
