//! Functions that rebuild metrics: conversions, extractions, scaling and aggregation.
//!
//! They are rare in statements and change the structure of what they touch, so that they decode the one
//! metric into the owned messages of [`model`] and encode the result.

pub mod aggregate;
pub mod buckets;
pub mod convert;
pub mod exponential;
pub mod extract;
pub mod model;
pub mod percentile;
pub mod scale;

pub use model::Metric;

use std::str::FromStr;

use crate::EvalError;

/// How points of successive times relate, by the number of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Each point tells of its own time.
    Delta = 1,
    /// Each point tells of all time since the start.
    Cumulative = 2,
}

impl FromStr for Temporality {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "delta" => Ok(Self::Delta),
            "cumulative" => Ok(Self::Cumulative),
            _ => Err(EvalError::new(format!(
                "unknown aggregation temporality: {name}, expected delta or cumulative"
            ))),
        }
    }
}
