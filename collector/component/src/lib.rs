//! The contracts between the engine and the components.

mod budget;
mod cores;
mod refusal;

pub use budget::{Budget, Charge};
pub use cores::{ConnectionGuard, Core, CoreThreads, Cores};
pub use refusal::{Code, Refusal, UpstreamStatus};
