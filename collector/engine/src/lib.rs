//! Runs pipelines: graph, fan-out, admission, lifecycle and hot swap.
//!
//! The engine knows the contracts of `phoenix-component` and never a component. A configuration becomes a
//! [`Plan`]; [`Engine::apply`] builds a graph from it, carries over what has not changed, and puts it in
//! the place of the one that runs, in one step and without a pause; what was replaced drains behind it.
//!
//! Invariants:
//! - a request runs through the one graph in which it entered, inline in its receiver's task;
//! - a failed build changes nothing;
//! - a stage is asked before it is changed, and owns what it took;
//! - for each component `in + produced = out + dropped + absorbed + held`.

mod admission;
mod backoff;
mod books;
mod build;
mod chain;
mod changes;
mod clock;
mod connector_node;
mod drain;
mod engine;
mod exporter_node;
mod fan_out;
mod generation;
mod guard;
mod helper_meter;
mod listeners;
mod meter;
mod phase;
mod plan;
mod references;
mod spans;
mod stage_node;
mod timing;

pub use books::Book;
pub use build::BuildError;
pub use engine::{Applied, ApplyError, Draining, Engine, EngineOptions, SwapReport};
pub use listeners::Listener;
pub use plan::Plan;
