//! Writes requests to files: as lines of OTLP/JSON, or each after its length.
//!
//! - [`layout`]: the settings as the writing needs them, and how one request becomes one record.
//! - [`groups`]: which file each resource of a request belongs to.
//! - [`sink`]: the files of one path, written whole record by whole record. It belongs to the engine's
//!   leases, so exporters of all signals, and those of the former and the next configuration, share it.
//! - [`rotation`]: the names of replaced files, and which of them go.
//! - [`storage`]: the file system, which tests replace.
//!
//! A request is answered once the operating system has taken its record, and a record that was not taken
//! whole is cut off again: what is accepted is in the file, and the file holds nothing else.

mod config;
mod exporter;
mod groups;
mod layout;
mod metrics;
mod rotation;
mod sink;
mod storage;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, StateFate};

pub use config::{CompressionParams, FileConfig, GroupBy, Rotation};
pub use exporter::FileExporter;

phoenix_component::exporter_factory! {
    /// Makes `file` exporters.
    FileFactory: "file", FileConfig;
    create: |config, cx, signal| Ok(Arc::new(FileExporter::new(config, cx, signal))),
    signals: Support::all(Stability::Alpha),
    // Nothing is held, and the files are not an exporter's: at the most they begin anew.
    change: |old, new| {
        let loss = new.and_then(|new| old.loss_to(new));
        loss.map_or_else(Change::stateless, |loss| Change::with(StateFate::Partly(loss)))
    },
}
