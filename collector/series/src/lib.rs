//! What components that aggregate metrics share: the identity of series, the meaning of their points in time, and
//! values that add up.
//!
//! - Input: views of data points. Time, where it matters, is that of the points.
//! - Bounds: a [`Table`] has a capacity, a histogram at most [`MAX_BUCKETS`] buckets.
//! - Elsewhere: what is matched, when results are let out, and what is counted belong to the components.

mod chart;
mod distinct;
mod explicit;
mod exponential;
mod identity;
mod mapping;
mod place;
mod shortcut;
mod table;
mod total;

pub use chart::{Point, lttb, m4};
pub use distinct::Distinct;
pub use explicit::{Explicit, KnownBounds, Mismatch, Placement, QuantileBudget, needed_bounds};
pub use exponential::{Buckets, Exponential, MAX_BUCKETS};
pub use identity::{BuildThrough, Fingerprint, FingerprintMap, Hasher};
pub use mapping::{base, index_of, least_scale, lower_bound, relative_error};
pub use place::{Place, Step};
pub use shortcut::{Came, Shortcuts};
pub use table::{Slot, Table};
pub use total::{Total, difference};

/// The bits of the NaN by which Prometheus marks a series that ended.
pub const STALE_NAN: u64 = 0x7ff0_0000_0000_0002;

/// The bit in the flags of a data point that says: no recorded value.
pub const NO_RECORDED_VALUE: u32 = 1;
