use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::glob::Glob;
use crate::size::ByteSize;

const NO_EFFECT: &str = "has no effect here, nor in otelcol's receiver of this type";
const NO_STORAGE: &str = "`file_storage` keeps queues only so far; positions are kept over changes of the configuration, not over restarts";
const ONE_LINE: &str = "a request is one line of JSON";
const NEVER_REMOVED: &str = "files are never removed";
const NO_LOCKS: &str = "files are read without locks";
const AS_THEY_ARE: &str = "files are read as they are";
const NO_ORDER: &str = "use `include` and `exclude`";

/// The least that a fingerprint may have.
const LEAST_FINGERPRINT: usize = 16;

/// Where reading begins in files that are there at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At their beginning.
    Beginning,
    /// At their end: only what is added is read.
    #[default]
    End,
}

/// Settings of the `otlp_json_file` receiver: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpJsonFileConfig {
    /// Patterns of the files to be read.
    pub include: Vec<String>,
    /// Patterns of files among them that are not.
    pub exclude: Vec<String>,
    /// Files that were not written for longer are not read; 0 is no limit.
    pub exclude_older_than: GoDuration,
    /// Where reading begins in files that are there at the start.
    pub start_at: StartAt,
    /// How often files are looked at.
    pub poll_interval: GoDuration,
    /// Bytes at the beginning of a file by which it is known.
    pub fingerprint_size: ByteSize,
    /// The longest line.
    pub max_log_size: ByteSize,
    /// Half as many files are open and read at a time.
    pub max_concurrent_files: usize,
    /// Batches of that many files that are read in a round; 0 is no limit.
    pub max_batches: usize,
    /// After which a line without an end is taken, where it is a whole request; 0 is never.
    pub force_flush_period: GoDuration,
    /// Reads every file from its beginning in every round.
    pub replay_file: bool,
    /// `utf-8` or `nop`.
    pub encoding: String,
    /// Bytes of a new buffer.
    #[described(no_effect = NO_EFFECT)]
    pub initial_buffer_size: Option<ByteSize>,
    /// Adds the name of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_name: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_path: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_name_resolved: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_path_resolved: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_owner_name: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_owner_group_name: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_record_number: Option<bool>,
    /// Adds what is known of the file.
    #[described(no_effect = NO_EFFECT)]
    pub include_file_record_offset: Option<bool>,
    /// Keeps space before a line.
    #[described(no_effect = NO_EFFECT)]
    pub preserve_leading_whitespaces: Option<bool>,
    /// Keeps space after a line.
    #[described(no_effect = NO_EFFECT)]
    pub preserve_trailing_whitespaces: Option<bool>,
    /// Removes files that were read.
    #[described(unsupported = NEVER_REMOVED)]
    pub delete_after_read: bool,
    /// Locks files while they are read.
    #[described(unsupported = NO_LOCKS)]
    pub acquire_fs_lock: bool,
    /// How files are compressed.
    #[described(unsupported = AS_THEY_ARE)]
    pub compression: String,
    /// Rounds that are remembered in the storage.
    #[described(unsupported = NO_STORAGE)]
    pub polls_to_archive: i64,
    /// The extension that remembers positions.
    #[described(unsupported = NO_STORAGE)]
    pub storage: Option<IgnoredAny>,
    /// Which files come first.
    #[described(unsupported = NO_ORDER)]
    pub ordering_criteria: Option<IgnoredAny>,
    /// Lines at the beginning that are no requests.
    #[described(unsupported = ONE_LINE)]
    pub header: Option<IgnoredAny>,
    /// Where requests begin or end.
    #[described(unsupported = ONE_LINE)]
    pub multiline: Option<IgnoredAny>,
    /// What is left out of lines.
    #[described(unsupported = ONE_LINE)]
    pub omit_pattern: Option<IgnoredAny>,
}

impl Default for OtlpJsonFileConfig {
    fn default() -> OtlpJsonFileConfig {
        OtlpJsonFileConfig {
            include: Vec::new(),
            exclude: Vec::new(),
            exclude_older_than: GoDuration::ZERO,
            start_at: StartAt::End,
            poll_interval: GoDuration::from_millis(200),
            fingerprint_size: ByteSize(1000),
            max_log_size: ByteSize(1 << 20),
            max_concurrent_files: 1024,
            max_batches: 0,
            force_flush_period: GoDuration::from_millis(500),
            replay_file: false,
            encoding: "utf-8".to_owned(),
            initial_buffer_size: None,
            include_file_name: None,
            include_file_path: None,
            include_file_name_resolved: None,
            include_file_path_resolved: None,
            include_file_owner_name: None,
            include_file_owner_group_name: None,
            include_file_record_number: None,
            include_file_record_offset: None,
            preserve_leading_whitespaces: None,
            preserve_trailing_whitespaces: None,
            delete_after_read: false,
            acquire_fs_lock: false,
            compression: String::new(),
            polls_to_archive: 0,
            storage: None,
            ordering_criteria: None,
            header: None,
            multiline: None,
            omit_pattern: None,
        }
    }
}

impl OtlpJsonFileConfig {
    fn validate_patterns(&self, problems: &mut Problems) {
        if self.include.is_empty() {
            problems.error_with_help(
                "include",
                "required argument `include` is empty",
                "for example `include: [/var/log/otlp/*.json]`",
            );
        }
        for (key, patterns) in [("include", &self.include), ("exclude", &self.exclude)] {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(error) = Glob::parse(pattern) {
                    problems.error(&format!("{key}::{index}"), format!("{pattern:?}: {error}"));
                }
            }
        }
    }

    fn validate_unsupported(&self, problems: &mut Problems) {
        let unsupported = [
            ("delete_after_read", self.delete_after_read, NEVER_REMOVED),
            ("acquire_fs_lock", self.acquire_fs_lock, NO_LOCKS),
            ("compression", !self.compression.is_empty(), AS_THEY_ARE),
            ("polls_to_archive", self.polls_to_archive != 0, NO_STORAGE),
            ("storage", self.storage.is_some(), NO_STORAGE),
            ("ordering_criteria", self.ordering_criteria.is_some(), NO_ORDER),
            ("header", self.header.is_some(), ONE_LINE),
            ("multiline", self.multiline.is_some(), ONE_LINE),
            ("omit_pattern", self.omit_pattern.is_some(), ONE_LINE),
        ];
        for (key, is_set, reason) in unsupported {
            problems.require(!is_set, key, format!("`{key}` is not supported: {reason}"));
        }
        if !matches!(self.encoding.to_ascii_lowercase().as_str(), "" | "utf-8" | "utf8" | "nop" | "utf-8-raw")
        {
            problems.error_with_help(
                "encoding",
                format!("unsupported encoding {:?}", self.encoding),
                "JSON is utf-8",
            );
        }
    }

    fn warn_of_effectless(&self, problems: &mut Problems) {
        let effectless = [
            ("initial_buffer_size", self.initial_buffer_size.is_some()),
            ("include_file_name", self.include_file_name == Some(true)),
            ("include_file_path", self.include_file_path == Some(true)),
            ("include_file_name_resolved", self.include_file_name_resolved == Some(true)),
            ("include_file_path_resolved", self.include_file_path_resolved == Some(true)),
            ("include_file_owner_name", self.include_file_owner_name == Some(true)),
            ("include_file_owner_group_name", self.include_file_owner_group_name == Some(true)),
            ("include_file_record_number", self.include_file_record_number == Some(true)),
            ("include_file_record_offset", self.include_file_record_offset == Some(true)),
            ("preserve_leading_whitespaces", self.preserve_leading_whitespaces == Some(true)),
            ("preserve_trailing_whitespaces", self.preserve_trailing_whitespaces == Some(true)),
        ];
        for (key, _) in effectless.into_iter().filter(|(_, is_set)| *is_set) {
            problems.warn(key, NO_EFFECT);
        }
    }
}

impl Settings for OtlpJsonFileConfig {
    fn validate(&self, problems: &mut Problems) {
        self.validate_patterns(problems);
        problems.require(self.poll_interval.is_positive(), "poll_interval", "must be greater than zero");
        for (key, duration) in
            [("exclude_older_than", self.exclude_older_than), ("force_flush_period", self.force_flush_period)]
        {
            problems.require(!duration.is_negative(), key, "must not be negative");
        }
        problems.require(
            self.fingerprint_size.0 >= LEAST_FINGERPRINT,
            "fingerprint_size",
            format!("`fingerprint_size` must be at least {LEAST_FINGERPRINT} bytes"),
        );
        problems.require(self.max_log_size.0 > 0, "max_log_size", "`max_log_size` must be positive");
        problems.require(
            self.max_concurrent_files > 0,
            "max_concurrent_files",
            "`max_concurrent_files` must be positive",
        );
        self.validate_unsupported(problems);
        self.warn_of_effectless(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 8] = [
            (r#"{"include": ["/var/log/*.log"], "exclude": ["/var/log/example.log"]}"#, &[]),
            (r#"{"include": ["x"], "start_at": "beginning", "max_log_size": "4MiB", "storage": null}"#, &[]),
            ("{}", &["include"]),
            (r#"{"include": ["a["], "exclude": ["b", "{"]}"#, &["include::0", "exclude::1"]),
            (
                r#"{"include": ["x"], "fingerprint_size": 15, "max_log_size": 0, "max_concurrent_files": 0}"#,
                &["fingerprint_size", "max_log_size", "max_concurrent_files"],
            ),
            (
                r#"{"include": ["x"], "poll_interval": "0s", "force_flush_period": "-1s"}"#,
                &["poll_interval", "force_flush_period"],
            ),
            (
                r#"{"include": ["x"], "storage": "file_storage", "header": {"pattern": "^#"}, "compression": "gzip"}"#,
                &["compression", "storage", "header"],
            ),
            (r#"{"include": ["x"], "encoding": "utf-16le"}"#, &["encoding"]),
        ];
        for (settings, fields) in cases {
            let config: OtlpJsonFileConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
        let settings = r#"{"include": ["x"], "include_file_path": true, "include_file_name": false}"#;
        let config: OtlpJsonFileConfig = serde_json::from_str(settings).expect(settings);
        assert_eq!(Problems::of(|p| config.validate(p)).warnings().count(), 1);
        serde_json::from_str::<OtlpJsonFileConfig>(r#"{"start_at": "middle"}"#).expect_err("no such place");
    }
}
