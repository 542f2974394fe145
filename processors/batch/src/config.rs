use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;

/// Settings of the `batch` processor: otelcol's keys, and Phoenix's own for bytes and acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// The longest that data waits for more; 0 sends at once.
    pub timeout: GoDuration,
    /// Items from which on a batch is sent; 0 for no such number.
    pub send_batch_size: u32,
    /// The most items of a batch, at least `send_batch_size`; 0 for no limit.
    pub send_batch_max_size: u32,
    /// Bytes from which on a batch is sent; 0 for no such number.
    pub send_batch_bytes: usize,
    /// The most bytes of a batch, at least `send_batch_bytes`; 0 for no limit.
    pub send_batch_max_bytes: usize,
    /// Client metadata by which batches are kept apart. Case does not matter.
    pub metadata_keys: Vec<String>,
    /// The most combinations of their values; 0 for no limit.
    pub metadata_cardinality_limit: usize,
    /// When senders are answered.
    pub acknowledge: Acknowledgement,
}

/// When senders are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledgement {
    /// As soon as the bytes are held.
    #[default]
    Held,
    /// When they were delivered.
    Delivered,
}

impl Default for BatchConfig {
    fn default() -> BatchConfig {
        BatchConfig {
            timeout: GoDuration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            send_batch_bytes: 0,
            send_batch_max_bytes: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
            acknowledge: Acknowledgement::Held,
        }
    }
}

impl Settings for BatchConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(!self.timeout.is_negative(), "timeout", "must not be negative");
        problems.require(
            self.send_batch_max_size == 0 || self.send_batch_max_size >= self.send_batch_size,
            "send_batch_max_size",
            format!(
                "must be greater or equal to send_batch_size, which is {}, or 0 for no limit",
                self.send_batch_size
            ),
        );
        problems.require(
            self.send_batch_max_bytes == 0 || self.send_batch_max_bytes >= self.send_batch_bytes,
            "send_batch_max_bytes",
            format!(
                "must be greater or equal to send_batch_bytes, which is {}, or 0 for no limit",
                self.send_batch_bytes
            ),
        );
        for (index, key) in self.metadata_keys.iter().enumerate() {
            let is_repeated =
                self.metadata_keys.iter().take(index).any(|other| other.eq_ignore_ascii_case(key));
            problems.require(
                !is_repeated,
                &format!("metadata_keys::{index}"),
                format!("duplicate entry in metadata_keys: {key:?} (case-insensitive)"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 9] = [
            ("{}", &[]),
            (r#"{"timeout": "0s", "send_batch_size": 0}"#, &[]),
            (r#"{"send_batch_size": 100, "send_batch_max_size": 100, "acknowledge": "delivered"}"#, &[]),
            (r#"{"send_batch_bytes": 100, "send_batch_max_bytes": 200}"#, &[]),
            (r#"{"send_batch_max_size": 100}"#, &["send_batch_max_size"]),
            (r#"{"send_batch_bytes": 100, "send_batch_max_bytes": 99}"#, &["send_batch_max_bytes"]),
            (r#"{"timeout": "-1s"}"#, &["timeout"]),
            (r#"{"metadata_keys": ["tenant", "b", "Tenant"]}"#, &["metadata_keys::2"]),
            (
                r#"{"timeout": "-1s", "send_batch_max_size": 1, "metadata_keys": ["a", "A"]}"#,
                &["timeout", "send_batch_max_size", "metadata_keys::1"],
            ),
        ];
        for (settings, fields) in cases {
            let config: BatchConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
    }
}
