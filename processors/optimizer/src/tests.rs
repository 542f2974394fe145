//! The stage as the engine runs it, with the clock in the test's hands.

mod aggregation;
mod conformance;
mod data;
mod histograms;
mod hostile;
mod levels;
mod limits;
mod model;
mod passing;
mod places;
mod processes;
mod properties;
mod shadow;
mod verdicts;
