//! A durable queue: what is appended is there after a crash, until it is marked as done.
//!
//! A [`Store`] is a directory with one append-only log for each of its clients. A thread for each directory
//! writes what all of them append at the same time in one go (group commit); with `fsync` it then waits for the disk
//! once for all of it. Reading goes segment by segment, so a long queue needs no more memory than a short one.
//!
//! - Promise: an append that was answered is read again until it is marked, whatever happens to the process;
//!   with `fsync` whatever happens to the power as well. What was marked may come again after a crash.
//! - Bounds: bytes by [`Options::max_bytes`], what waits to be written by whoever waits for the answer.
//! - Damage costs what is damaged, is counted, and keeps nothing from starting.
//! - Elsewhere: what records mean, how long a queue may be, and when to read.

mod client;
mod commit;
pub mod disk;
mod error;
mod log;
mod marks;
mod ranges;
mod segment;
mod store;

pub use client::{Claim, Client, Place};
pub use error::{AppendError, OpenError};
pub use log::{Chunk, Damage, Entry, Log, Options, Record};
#[doc(hidden)]
pub use segment::inspect;
pub use segment::{VERSION, Weight};
pub use store::{Store, client_name};
