//! Fewer data points of gauges that hardly change.

use phoenix_config::{Described, GoDuration, Problems};
use serde::Deserialize;

/// When a gauge is let out although little changed. What a store has is off by no more than the band at the end of each window.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct DeadBand {
    /// A change by more than this, in the unit of the metric, is let out.
    #[described(min = 0)]
    pub absolute: f64,
    /// A change by more than this share of the value that was let out last is let out. Of both bounds the wider counts.
    #[described(min = 0)]
    pub relative: f64,
    /// The longest time between two data points of a series that has some; less than the time after which the store takes a
    /// series for ended.
    pub heartbeat: GoDuration,
    /// How many windows in a row must stay within the band before some are held back: so a series has all of its windows while
    /// it moves, and one in each `heartbeat` once it is calm. It moves again with the first window that leaves the band.
    pub calm_windows: u32,
    /// Whether the smallest and the largest value of the window go out with each data point, as `min` and `max`, and count for
    /// whether a window stays within the band. Then every single value is within the band around what the store has, or
    /// between the two that came with its window.
    pub envelope: bool,
}

impl Default for DeadBand {
    fn default() -> DeadBand {
        DeadBand {
            absolute: 0.0,
            relative: 0.0,
            heartbeat: GoDuration::from_secs(240),
            calm_windows: 0,
            envelope: false,
        }
    }
}

impl DeadBand {
    pub(super) fn validate(&self, interval: i64, problems: &mut Problems) {
        for (key, bound) in [("absolute", self.absolute), ("relative", self.relative)] {
            problems.require(bound.is_finite() && bound >= 0.0, key, "must be a number from 0 on");
        }
        problems.require(
            self.heartbeat.as_nanos() >= interval,
            "heartbeat",
            "must be at least the `interval`: a series is let out once in a window at most",
        );
    }
}
