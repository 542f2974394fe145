//! The functions that only some components offer: those of the transform processor for metrics, points,
//! logs and spans, and those of the filter processor for metrics.

mod filter;
mod log;
mod metric;
mod point;
mod span;

use crate::function::{Family, Function};

/// What the transform processor offers besides editors and converters.
pub(super) const TRANSFORM: Family = &[log::TABLE, metric::TABLE, point::TABLE, span::TABLE];

/// What the filter processor offers besides converters.
pub(super) const FILTER: &[Function] = filter::TABLE;
