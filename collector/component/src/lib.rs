//! The contracts between the engine and the components.

mod budget;
mod cores;
mod leases;
mod refusal;

pub use budget::{Budget, Charge};
pub use cores::{ConnectionGuard, Core, CoreThreads, Cores};
pub use leases::{Acceptor, LeaseError, Leases, ListenerLease};
pub use refusal::{Code, Refusal, UpstreamStatus};
