//! The OpenTelemetry Transformation Language: parsed, type-checked, compiled, and run over OTLP as bytes.

mod check;
mod context;
#[cfg(test)]
mod corpus;
mod diagnostic;
mod editors;
mod env;
mod error;
mod eval;
pub mod function;
pub mod functions;
mod infer;
mod matcher;
mod native;
mod path;
mod plan;
pub mod playground;
mod program;
#[cfg(test)]
mod properties;
mod run;
pub mod sets;
mod syntax;
mod trace_state;
pub mod value;

pub use context::{Context, Contexts, ErrorMode, UnknownContext};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use env::{Client, Env, Report};
pub use error::EvalError;
pub use function::{Call, Edit, Function, FunctionSet, Kind, Literals, Parameter};
pub use program::{
    ConditionGroup, FilterProgram, Filtered, Group, MatchProgram, Record, RouteProgram, Routed, Scratch,
    SpanMatcher, SpanSession, StatementProgram,
};
pub use value::{Map, Time, Value, Zone};
