//! The OpAMP server: agents over WebSocket and plain HTTP.

mod listener;
mod message;
mod offers;

pub(crate) use listener::note_seen;
pub use listener::router;
pub(crate) use offers::{drive_tasks, reconcile};
