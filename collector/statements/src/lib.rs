//! What components with OTTL share: the settings of statements and conditions, what a program is handed of the collector,
//! and what becomes of errors.
//!
//! The language itself is `phoenix-ottl`, which knows no configuration; this crate knows both.

mod compile;
mod runner;
mod settings;

pub use compile::{Source, context, report, sources};
pub use runner::Runner;
pub use settings::{ConditionGroup, ErrorMode, Groups, StatementGroup};
