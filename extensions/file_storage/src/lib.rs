//! A directory in which other components keep what must survive a restart: sending queues.
//!
//! The log itself is `phoenix-storage`'s; what is here are otelcol's settings, and the directory's place among the
//! components: exporters find it by this extension's identifier.

mod config;
mod extension;

use std::sync::Arc;

use phoenix_component::factory::{
    AnySettings, CreateContext, Descriptor, ExtensionFactory, Factory, SharedSettings, Stability, Support,
    parse_settings, settings_of,
};
use phoenix_component::{Change, Extension, StartError, StateFate, Touch};
use phoenix_config::{Described, Node, Problems, Shape};

pub use config::{Compaction, FileStorageConfig};
pub use extension::FileStorage;

/// Makes `file_storage` extensions.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileStorageFactory;

const DESCRIPTOR: Descriptor = Descriptor {
    name: "file_storage",
    aliases: &[],
    signals: &Support::all(Stability::Beta),
    module: env!("CARGO_PKG_NAME"),
};

impl Factory for FileStorageFactory {
    fn descriptor(&self) -> &Descriptor {
        &DESCRIPTOR
    }

    fn parse(&self, section: &Node, problems: &mut Problems) -> Option<SharedSettings> {
        parse_settings::<FileStorageConfig>(section, problems)
    }

    /// What is in the directory stays there, also where another is named.
    fn change(&self, old: &dyn AnySettings, new: Option<&dyn AnySettings>) -> Change {
        let directory = |settings| &settings_of::<FileStorageConfig>(settings).directory;
        match new.filter(|new| directory(*new) != directory(old)) {
            None => Change::stateless(),
            Some(_) => Change::with(StateFate::Partly(format!(
                "exporters that do not change go on in {former} and begin in the new directory at the next start; what \
                 those that change do not deliver before the drain ends, and what {former} holds at the next start, \
                 stays there unsent",
                former = directory(old).display()
            ))),
        }
    }

    fn shape(&self) -> Shape {
        FileStorageConfig::shape()
    }

    fn touches(&self, settings: &dyn AnySettings) -> Vec<Touch> {
        settings_of::<FileStorageConfig>(settings).touches()
    }
}

impl ExtensionFactory for FileStorageFactory {
    fn create(
        &self,
        settings: &dyn AnySettings,
        cx: CreateContext<'_>,
    ) -> Result<Arc<dyn Extension>, StartError> {
        Ok(Arc::new(FileStorage::new(settings_of(settings), &cx)))
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::{KeyPath, Location, Resolver, YamlProvider};

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
        let readme = include_str!("../README.md");
        let yaml =
            readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let resolver = Resolver::new().with(YamlProvider);
        let root = resolver.resolve(&[format!("yaml:{yaml}")], &[]).expect("YAML").root;
        let path = KeyPath::parse("extensions::file_storage");
        let section = root.at(&path).expect("the section");
        let mut problems = Problems::in_section(path, section, &Location::nowhere());
        assert!(FileStorageFactory.parse(section, &mut problems).is_some(), "{problems}");
        assert!(problems.is_empty(), "{problems}");
    }
}
