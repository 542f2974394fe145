//! The sets of functions that components offer.

use crate::editors::{DELETE, EDITORS};
use crate::function::{Family, FunctionSet};
use crate::functions::tables;
use crate::native;

const EDITING: Family = &[EDITORS];
const CONVERTING: Family = &[native::CONVERTERS];

/// What statements of the `transform` processor may call.
pub const TRANSFORM: FunctionSet =
    FunctionSet::new(&[EDITING, CONVERTING, tables::CONVERTERS, tables::TRANSFORM]);
/// What conditions of the `filter` processor may call.
pub const FILTER: FunctionSet = FunctionSet::new(&[CONVERTING, tables::CONVERTERS, tables::FILTER]);
/// What statements of the `routing` connector may call.
pub const ROUTING: FunctionSet =
    FunctionSet::new(&[&[native::ROUTE, DELETE], CONVERTING, tables::CONVERTERS]);
/// What conditions of other components may call: the converters, and what the `filter` processor has.
pub const CONDITIONS: FunctionSet = FILTER;
/// All functions of all components.
pub const ALL: FunctionSet =
    FunctionSet::new(&[EDITING, CONVERTING, tables::CONVERTERS, tables::TRANSFORM, tables::FILTER]);
