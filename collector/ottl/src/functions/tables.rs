//! The tables of converters and of the editors of single components: what is registered.

use crate::function::Family;

/// Converters that all components have.
pub(crate) const CONVERTERS: Family = &[];
/// What the `transform` processor has besides.
pub(crate) const TRANSFORM: Family = &[];
/// What the `filter` processor has besides.
pub(crate) const FILTER: Family = &[];
