//! `buffer::spill` as it is written.

use phoenix_config::{Capability, ComponentId, Described, Problems};
use serde::Deserialize;

/// Spans on disk, where memory is too small for all that waits.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SpillConfig {
    /// The extension that keeps them, for example `file_storage`.
    #[described(required, names = Capability::Storage)]
    pub storage: Option<ComponentId>,
    /// The most bytes on disk, over all shards; compressed, as they are there. Beyond that memory is the limit.
    #[described(min = 1048576)]
    pub max_bytes: u64,
    /// The part of `buffer::max_bytes` from which on spans go to the disk.
    #[described(min = 0, max = 1)]
    pub memory_share: f64,
    /// What becomes of traces that wait when the collector ends.
    pub on_shutdown: OnShutdown,
}

/// What becomes of traces that wait at an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum OnShutdown {
    /// They are decided by what has come of them, as without a disk.
    #[default]
    Decide,
    /// They stay on the disk, all of them, and go on to wait after the next start.
    Keep,
}

/// The smallest disk that is of use: a few segments of 256 KiB.
const LEAST_BYTES: u64 = 1 << 20;
/// From seven tenths on waits shrink, so that spans have to go to the disk before.
const LARGEST_SHARE: f64 = 0.7;

impl Default for SpillConfig {
    fn default() -> SpillConfig {
        SpillConfig { storage: None, max_bytes: 10 << 30, memory_share: 0.5, on_shutdown: OnShutdown::Decide }
    }
}

impl SpillConfig {
    pub(super) fn validate(&self, drops_pending: bool, problems: &mut Problems) {
        let key = |name: &str| format!("buffer::spill::{name}");
        problems.require(
            self.storage.is_some(),
            &key("storage"),
            "must name an extension that stores, for example file_storage",
        );
        problems.require(self.max_bytes >= LEAST_BYTES, &key("max_bytes"), "must be at least 1048576");
        problems.require(
            self.memory_share > 0.0 && self.memory_share <= LARGEST_SHARE,
            &key("memory_share"),
            "must be above 0 and at most 0.7: from there on waits shrink",
        );
        problems.require(
            !(drops_pending && self.on_shutdown == OnShutdown::Keep),
            &key("on_shutdown"),
            "cannot keep what drop_pending_traces_on_shutdown drops: set one of them",
        );
    }
}
