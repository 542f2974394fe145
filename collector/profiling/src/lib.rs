//! Profiles of this process in the format of pprof: CPU time by sampling, resident memory by what it is mapped for.
//!
//! - Bounds: one CPU profile at a time; looking names up takes time and memory, and belongs on a thread that may block.
//! - Elsewhere: who may ask, and how a profile gets to them.

mod capture;
pub mod memory;
mod profile;

pub use capture::{Capture, CaptureError};
pub use profile::{Head, Place, Sample, encode};
