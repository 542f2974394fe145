//! What components with OTTL share: the settings of statements and conditions, what a program is handed of the collector,
//! and what becomes of errors.

mod settings;

pub use settings::{ConditionGroup, ErrorMode, Groups, StatementGroup};
