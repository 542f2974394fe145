use std::path::PathBuf;

use phoenix_component::{Action, Touch};
use phoenix_config::{Described, GoDuration, Problems, Settings};
use phoenix_storage::Options;
use serde::Deserialize;

/// Settings of the `file_storage` extension: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FileStorageConfig {
    /// The directory. No other process may use it.
    pub directory: PathBuf,
    /// Whether the directory is made where there is none.
    pub create_directory: bool,
    /// Its permissions then in octal, less the process's umask.
    pub directory_permissions: String,
    /// How long a start waits for another process to let go of the directory.
    pub timeout: GoDuration,
    /// Whether data is only accepted once it is on the disk; else once the kernel has it, which survives
    /// everything but the loss of the machine.
    pub fsync: bool,
    /// Most bytes on disk of the queue of one exporter and signal; 0 for as many as there are.
    pub max_size: u64,
    /// Whether damaged files are replaced.
    #[described(no_effect = "what is damaged is always set aside, and the rest goes on")]
    pub recreate: bool,
    /// How files are made smaller.
    pub compaction: Compaction,
}

/// `compaction`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Compaction {
    /// Whether files are compacted at the start.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub on_start: bool,
    /// Whether files are compacted once a queue has become short.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub on_rebound: bool,
    /// Where compaction keeps its temporary files.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub directory: PathBuf,
    /// Most items that compaction moves at once.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub max_transaction_size: i64,
    /// Size from which on compaction is considered.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub rebound_needed_threshold_mib: i64,
    /// Size below which compaction begins then.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub rebound_trigger_threshold_mib: i64,
    /// Time between two looks.
    #[described(no_effect = "a log gives back the disk as it is read")]
    pub check_interval: GoDuration,
    /// Whether temporary files of a former compaction are removed at the start.
    #[described(no_effect = "there are none")]
    pub cleanup_on_start: bool,
}

const DEFAULT_DIRECTORY: &str = "/var/lib/otelcol/file_storage";

impl Default for FileStorageConfig {
    fn default() -> FileStorageConfig {
        FileStorageConfig {
            directory: DEFAULT_DIRECTORY.into(),
            create_directory: false,
            directory_permissions: "0750".to_owned(),
            timeout: GoDuration::from_secs(1),
            fsync: false,
            max_size: 0,
            recreate: false,
            compaction: Compaction::default(),
        }
    }
}

impl Default for Compaction {
    fn default() -> Compaction {
        Compaction {
            on_start: false,
            on_rebound: false,
            directory: DEFAULT_DIRECTORY.into(),
            max_transaction_size: 65_536,
            rebound_needed_threshold_mib: 100,
            rebound_trigger_threshold_mib: 10,
            check_interval: GoDuration::from_secs(5),
            cleanup_on_start: false,
        }
    }
}

/// Least `max_size`: what is given back is a part of it at a time.
const LEAST_MAX_SIZE: u64 = 1 << 20;

impl Settings for FileStorageConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.directory.as_os_str().is_empty(), "directory", "must name a directory");
        problems.require(
            self.mode().is_some(),
            "directory_permissions",
            format!(
                "{:?} are no permissions: write octal digits, for example \"0750\"",
                self.directory_permissions
            ),
        );
        problems.require(!self.timeout.is_negative(), "timeout", "must not be negative");
        problems.require(
            self.max_size == 0 || self.max_size >= LEAST_MAX_SIZE,
            "max_size",
            format!("must be 0 (any size) or at least {LEAST_MAX_SIZE} bytes"),
        );
    }
}

impl FileStorageConfig {
    fn mode(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok().filter(|mode| *mode <= 0o7777)
    }

    /// The mode of a directory that is to be made.
    pub(crate) fn create(&self) -> Option<u32> {
        self.create_directory.then(|| self.mode().unwrap_or(0o750))
    }

    /// How the logs in it work.
    pub(crate) fn options(&self) -> Options {
        let defaults = Options::default();
        let max_bytes = (self.max_size > 0).then_some(self.max_size);
        // An eighth is given back at a time, where that is less than usual.
        let share = usize::try_from(self.max_size / 8).unwrap_or(usize::MAX);
        let segment_bytes = max_bytes.map_or(defaults.segment_bytes, |_| share.min(defaults.segment_bytes));
        Options { fsync: self.fsync, max_bytes, segment_bytes, ..defaults }
    }

    /// What a start would reach out to.
    pub(crate) fn touches(&self) -> Vec<Touch> {
        let (directory, creates) = (self.directory.clone(), self.create_directory);
        let target = directory.display().to_string();
        let probe = move || async move {
            match std::fs::metadata(&directory) {
                Ok(found) if found.is_dir() && !found.permissions().readonly() => Ok("there".to_owned()),
                Ok(found) if found.is_dir() => Err("may not be written".to_owned()),
                Ok(_) => Err("is no directory".to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && creates => {
                    Ok("would be made".to_owned())
                }
                Err(error) => Err(error.to_string()),
            }
        };
        vec![Touch::new("directory", Action::Write, target, probe)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_key() {
        // (settings, key that the error names)
        let cases = [
            (r#"{"directory": ""}"#, "directory"),
            (r#"{"directory_permissions": "0999"}"#, "directory_permissions"),
            (r#"{"directory_permissions": "77777"}"#, "directory_permissions"),
            (r#"{"timeout": "-1s"}"#, "timeout"),
            (r#"{"max_size": 1000}"#, "max_size"),
        ];
        for (settings, key) in cases {
            let config: FileStorageConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|problems| config.validate(problems)).keys(), [key], "{settings}");
        }
    }

    #[test]
    fn settings_of_otelcol_are_understood() {
        let config: FileStorageConfig = serde_json::from_str(
            r#"{"directory": "/d", "create_directory": true, "directory_permissions": "700", "fsync": true,
                "timeout": "2s", "max_size": 16777216,
                "compaction": {"on_start": true, "directory": "/tmp", "max_transaction_size": 10}}"#,
        )
        .expect("settings");
        assert_eq!(Problems::of(|problems| config.validate(problems)).keys(), [""; 0]);
        assert_eq!((config.create(), config.timeout.as_duration().as_secs()), (Some(0o700), 2));
        let options = config.options();
        assert_eq!(
            (options.fsync, options.max_bytes, options.segment_bytes),
            (true, Some(16 << 20), 2 << 20)
        );
        assert_eq!(FileStorageConfig::default().options(), Options::default());
        assert!(FileStorageConfig::default().create().is_none());
    }
}
