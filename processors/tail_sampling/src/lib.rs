//! Keeps whole traces by what they turn out to be.

mod conditions;
mod config;
mod facts;
mod plan;
mod policies;
mod policy;

pub use config::*;
