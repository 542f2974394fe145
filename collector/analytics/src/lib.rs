//! What metrics cost: which are the heaviest, what each label multiplies, what grows, holds still or is there twice; and
//! rules for the `optimizer` processor that would save the most, with what they are predicted to save.
//!
//! - Input: OTLP metrics as bytes. Time is that of the points.
//! - Bounds: [`Bounds`]; what is beyond them is counted where a sketch can, and said in the report.
//! - Elsewhere: where the data comes from, and the rules engine itself.

mod count;
mod metric;
mod point;
mod proposal;
mod report;
mod survey;
mod table;

pub use proposal::{Proposal, Saving, yaml};
pub use report::{Label, MetricReport, Repeated, Report, Totals};
pub use survey::{Bounds, Survey};
