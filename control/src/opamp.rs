//! The OpAMP server: agents over WebSocket and plain HTTP.

mod listener;
mod message;
mod offers;
mod public_url;

pub(crate) use listener::note_gone;
pub use listener::router;
pub(crate) use offers::{drive_tasks, reconcile};
pub use public_url::PublicUrl;
