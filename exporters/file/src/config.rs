use std::path::PathBuf;

use phoenix_config::{Described, GoDuration, PresentBlock, Problems, Settings};
use serde::Deserialize;

use crate::layout::Layout;

/// Settings of the `file` exporter: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// The file; with `group_by` a pattern with one `*`.
    #[described(required)]
    pub path: String,
    /// Whether what is in the file already stays.
    pub append: bool,
    /// How the file is replaced by a new one as it grows.
    pub rotation: PresentBlock<Rotation>,
    /// `json` (a request on each line) or `proto` (each request after its length).
    #[described(words("json", "proto"))]
    pub format: String,
    /// The extension that encodes instead.
    #[described(unsupported = "this distribution has no encoding extension")]
    pub encoding: Option<String>,
    /// `zstd`, or nothing: how each request is compressed.
    #[described(words("", "zstd"))]
    pub compression: String,
    /// How hard.
    pub compression_params: CompressionParams,
    /// Time between flushes.
    #[described(no_effect = "every request is written before it is answered")]
    pub flush_interval: GoDuration,
    /// One file for each value of an attribute.
    pub group_by: GroupBy,
    /// Whether missing folders are made.
    pub create_directory: bool,
    /// Their permissions in octal, less the process's umask.
    pub directory_permissions: String,
}

/// `rotation`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct Rotation {
    /// A file that a request would make larger than this is replaced first, in MiB; 0 is 100.
    pub max_megabytes: u32,
    /// Days after which a replaced file is removed; 0 is never.
    pub max_days: u32,
    /// Replaced files that are kept; 0 is all.
    pub max_backups: usize,
    /// Whether the names of replaced files carry local time instead of UTC.
    pub localtime: bool,
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionParams {
    /// 1 (fast) to 22 (small); 0 is 3.
    pub level: i32,
}

/// `group_by`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct GroupBy {
    /// Whether it is on.
    pub enabled: bool,
    /// The attribute of the resource whose value stands for the `*` of `path`.
    pub resource_attribute: String,
    /// Files that are open at a time.
    pub max_open_files: usize,
}

impl Default for FileConfig {
    fn default() -> FileConfig {
        FileConfig {
            path: String::new(),
            append: false,
            rotation: PresentBlock::off(),
            format: "json".to_owned(),
            encoding: None,
            compression: String::new(),
            compression_params: CompressionParams::default(),
            flush_interval: GoDuration::from_secs(1),
            group_by: GroupBy::default(),
            create_directory: false,
            directory_permissions: String::new(),
        }
    }
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false }
    }
}

impl Default for GroupBy {
    fn default() -> GroupBy {
        GroupBy {
            enabled: false,
            resource_attribute: "fileexporter.path_segment".to_owned(),
            max_open_files: 100,
        }
    }
}

impl FileConfig {
    /// The file, absolute, so that the same one has one name.
    pub(crate) fn absolute_path(&self) -> String {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| PathBuf::from(&self.path));
        path.to_string_lossy().into_owned()
    }

    /// What of the files is lost where one with the settings `new` takes this one's place.
    pub(crate) fn loss_to(&self, new: &FileConfig) -> Option<String> {
        let path = self.absolute_path();
        let (old_layout, new_layout) = (Layout::new(self), Layout::new(new));
        (path == new.absolute_path()).then(|| old_layout.loss_to(&new_layout, &path)).flatten()
    }

    /// The permissions of folders that are made.
    pub(crate) fn directory_mode(&self) -> u32 {
        u32::from_str_radix(&self.directory_permissions, 8).unwrap_or(0o755)
    }

    fn validate_modes(&self, problems: &mut Problems) {
        let appends = |what: &str| format!("append and {what} enabled at the same time is not supported");
        problems.require(!self.append || self.compression.is_empty(), "append", appends("compression"));
        problems.require(!self.append || !self.rotation.is_on(), "append", appends("rotation"));
        if !matches!(self.format.as_str(), "json" | "proto") {
            let message = format!("format type is not supported: {:?}", self.format);
            problems.error_with_help("format", message, "one of json, proto");
        }
        if !matches!(self.compression.as_str(), "" | "zstd") {
            let message = format!("compression is not supported: {:?}", self.compression);
            problems.error_with_help("compression", message, "zstd, or leave it out");
        }
        if let Some(encoding) = self.encoding.as_ref().filter(|encoding| !encoding.is_empty()) {
            problems.error_with_help(
                "encoding",
                format!("unknown encoding {encoding:?}: this distribution has no encoding extension"),
                "use `format`, which is json or proto",
            );
        }
    }

    fn validate_group(&self, problems: &mut Problems) {
        if !self.group_by.enabled {
            return;
        }
        problems.require(
            self.path.matches('*').count() == 1,
            "path",
            "path must contain exactly one * when group_by is enabled",
        );
        problems.require(
            !self.path.starts_with('*'),
            "path",
            "path must not start with * when group_by is enabled",
        );
        problems.require(
            !self.group_by.resource_attribute.is_empty(),
            "group_by::resource_attribute",
            "resource_attribute must not be empty when group_by is enabled",
        );
        problems.require(
            self.group_by.max_open_files > 0,
            "group_by::max_open_files",
            "must be greater than zero",
        );
    }
}

impl Settings for FileConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.path.is_empty(), "path", "path must be non-empty");
        self.validate_modes(problems);
        problems.require(
            !self.flush_interval.is_negative(),
            "flush_interval",
            "flush_interval must be larger than zero",
        );
        self.validate_group(problems);
        let permissions = &self.directory_permissions;
        if permissions.is_empty() {
            return;
        }
        problems.require(
            self.create_directory,
            "directory_permissions",
            "directory_permissions requires create_directory to be true",
        );
        match u32::from_str_radix(permissions, 8) {
            Ok(mode) if mode > 0o777 => problems.error(
                "directory_permissions",
                "directory_permissions contain invalid bits for file access: at most 0777",
            ),
            Ok(_) => {}
            Err(_) => problems.error_with_help(
                "directory_permissions",
                "directory_permissions value must be a valid octal representation",
                "for example \"0755\"",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 16] = [
            (r#"{"path": "x"}"#, &[]),
            (r#"{"path": "x", "rotation": null, "format": "proto", "compression": "zstd"}"#, &[]),
            (r#"{"path": "x*y", "group_by": {"enabled": true}, "append": true}"#, &[]),
            (r#"{"path": "x", "group_by": {"resource_attribute": ""}}"#, &[]),
            (r#"{"path": "x", "create_directory": true, "directory_permissions": "0700"}"#, &[]),
            ("{}", &["path"]),
            (
                r#"{"path": "x", "append": true, "compression": "zstd", "rotation": {}}"#,
                &["append", "append"],
            ),
            (r#"{"path": "x", "format": "text"}"#, &["format"]),
            (r#"{"path": "x", "compression": "gzip"}"#, &["compression"]),
            (r#"{"path": "x", "encoding": "otlp_encoding"}"#, &["encoding"]),
            (r#"{"path": "x", "flush_interval": "-1s"}"#, &["flush_interval"]),
            (r#"{"path": "x", "group_by": {"enabled": true}}"#, &["path"]),
            (
                r#"{"path": "*", "group_by": {"enabled": true, "max_open_files": 0}}"#,
                &["path", "group_by::max_open_files"],
            ),
            (r#"{"path": "x", "directory_permissions": "0755"}"#, &["directory_permissions"]),
            (
                r#"{"path": "x", "create_directory": true, "directory_permissions": "rwx"}"#,
                &["directory_permissions"],
            ),
            (
                r#"{"path": "x", "create_directory": true, "directory_permissions": "1777"}"#,
                &["directory_permissions"],
            ),
        ];
        for (settings, fields) in cases {
            let config: FileConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
        let rotation: FileConfig =
            serde_json::from_str(r#"{"path": "x", "rotation": {"max_days": 3}}"#).expect("read");
        let rotation = rotation.rotation.get().expect("on").clone();
        assert_eq!(rotation, Rotation { max_days: 3, ..Rotation::default() });
    }
}
