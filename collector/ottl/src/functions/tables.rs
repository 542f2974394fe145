//! The tables of converters and of the editors of single components: what is registered.

mod converters;
mod transform;

use crate::function::Family;

/// Converters that all components have.
pub(crate) const CONVERTERS: Family = converters::TABLES;
/// What the `transform` processor has besides.
pub(crate) const TRANSFORM: Family = transform::TRANSFORM;
/// What the `filter` processor has besides.
pub(crate) const FILTER: Family = &[transform::FILTER];
