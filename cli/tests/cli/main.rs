//! The command as a process of its own, against a real service.

mod events;
mod fleet;
mod git_ops;
mod lists;
mod rig;
mod session;
