//! Programs: what components compile once and run over every batch.

mod filter;
mod group;
mod matches;
mod route;
mod session;
mod statements;

pub use filter::{FilterProgram, Filtered};
pub use group::{ConditionGroup, Group};
pub use matches::{MatchProgram, Record};
pub use route::{RouteProgram, Routed};
pub use session::{Scratch, SpanMatcher, SpanSession};
pub use statements::StatementProgram;
