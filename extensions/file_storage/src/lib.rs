//! A directory in which other components keep what must survive a restart: sending queues.
//!
//! The log itself is `phoenix-storage`'s; what is here are otelcol's settings, and the directory's place among the
//! components: exporters find it by this extension's identifier.

mod config;
mod extension;

use std::sync::Arc;

use phoenix_component::factory::{Stability, Support};
use phoenix_component::{Change, StateFate};
use phoenix_config::Capability;

pub use config::{Compaction, FileStorageConfig};
pub use extension::FileStorage;

phoenix_component::extension_factory! {
    /// Makes `file_storage` extensions.
    FileStorageFactory: "file_storage", FileStorageConfig;
    create: |config, cx| Ok(Arc::new(FileStorage::new(config, cx))),
    signals: Support::all(Stability::Beta),
    // What is in the directory stays there, also where another is named.
    change: |old, new| match new.filter(|new| new.directory != old.directory) {
        None => Change::stateless(),
        Some(_) => Change::with(StateFate::Partly(format!(
            "exporters that do not change go on in {former} and begin in the new directory at the next start; what \
             those that change do not deliver before the drain ends, and what {former} holds at the next start, \
             stays there unsent",
            former = old.directory.display()
        ))),
    },
    touches: FileStorageConfig::touches,
    offers: |_| vec![Capability::Storage],
}

#[cfg(test)]
mod tests {
    use phoenix_component::factory::{AnySettings, Factory as _};
    use phoenix_component::harness::assert_example_is_valid;

    use super::*;

    #[test]
    fn another_directory_takes_no_queue_along_and_says_so() {
        let config = |directory: &str, fsync| FileStorageConfig {
            directory: directory.into(),
            fsync,
            ..FileStorageConfig::default()
        };
        let change = |new: FileStorageConfig| {
            FileStorageFactory.change(&config("/a", false), Some(&new as &dyn AnySettings))
        };
        assert_eq!(change(config("/a", true)), Change::stateless());
        let loss = change(config("/b", false)).state.loss().map(str::to_owned).expect("said");
        assert!(loss.contains("go on in /a"), "{loss}");
        assert_eq!(FileStorageFactory.change(&config("/a", false), None), Change::stateless());
    }

    #[test]
    fn the_example_of_the_readme_is_valid() {
        assert_example_is_valid(
            &FileStorageFactory,
            include_str!("../README.md"),
            "extensions::file_storage",
        );
    }
}
