//! The settings of otelcol's exporter helper, under their keys and with their defaults.

use std::fmt;
use std::time::Duration;

use phoenix_component::Batch;
use phoenix_config::{Described, GoDuration, PresentBlock, Problems, Shape, Word, Written};
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer};

/// How often, and for how long, a failed attempt is repeated.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// Whether attempts are repeated at all.
    pub enabled: bool,
    /// Wait after the first failure.
    pub initial_interval: GoDuration,
    /// Spread of each wait, as a share of it.
    #[described(min = 0, max = 1)]
    pub randomization_factor: f64,
    /// Growth of the wait from one failure to the next.
    #[described(min = 0)]
    pub multiplier: f64,
    /// Longest wait, before it is spread.
    pub max_interval: GoDuration,
    /// Time after which a batch is given up; zero for never.
    pub max_elapsed_time: GoDuration,
}

impl Default for RetrySettings {
    fn default() -> RetrySettings {
        RetrySettings {
            enabled: true,
            initial_interval: GoDuration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: GoDuration::from_secs(30),
            max_elapsed_time: GoDuration::from_secs(300),
        }
    }
}

impl RetrySettings {
    /// Reports what the types cannot say; nothing where retries are off, as in otelcol.
    pub fn validate(&self, problems: &mut Problems) {
        if !self.enabled {
            return;
        }
        let mut not_negative = |holds: bool, key: &str| {
            problems.require(holds, key, format!("'{key}' must be non-negative"));
        };
        not_negative(!self.initial_interval.is_negative(), "initial_interval");
        not_negative(self.multiplier >= 0.0, "multiplier");
        not_negative(!self.max_interval.is_negative(), "max_interval");
        not_negative(!self.max_elapsed_time.is_negative(), "max_elapsed_time");
        problems.require(
            (0.0..=1.0).contains(&self.randomization_factor),
            "randomization_factor",
            "'randomization_factor' must be within [0, 1]",
        );
        if self.max_elapsed_time.is_positive() {
            for (interval, name) in
                [(self.initial_interval, "initial_interval"), (self.max_interval, "max_interval")]
            {
                problems.require(
                    self.max_elapsed_time >= interval,
                    "max_elapsed_time",
                    format!("'max_elapsed_time' must not be less than '{name}'"),
                );
            }
        }
    }
}

/// What the size of a queue counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sizer {
    /// Batches, as they come.
    #[default]
    Requests,
    /// Spans, data points or log records.
    Items,
    /// Bytes of OTLP protobuf.
    Bytes,
}

impl Sizer {
    /// What `batch` counts for.
    pub(crate) fn size(self, batch: &Batch) -> u64 {
        match self {
            Sizer::Requests => 1,
            Sizer::Items => batch.items,
            Sizer::Bytes => batch.payload.len() as u64,
        }
    }
}

impl fmt::Display for Sizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sizer::Requests => "requests",
            Sizer::Items => "items",
            Sizer::Bytes => "bytes",
        })
    }
}

impl Described for Sizer {
    fn shape() -> Shape {
        let words = [
            Word::new("requests", &["Batches, as they come."], &[]),
            Word::new("items", &["Spans, data points or log records."], &[]),
            Word::new("bytes", &["Bytes of OTLP protobuf."], &[]),
        ];
        Shape::Words { words: words.into(), any_case: false }
    }

    fn written(&self) -> Option<Written> {
        Some(self.to_string().into())
    }
}

impl<'de> Deserialize<'de> for Sizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sizer, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.as_str() {
            "requests" => Ok(Sizer::Requests),
            "items" => Ok(Sizer::Items),
            "bytes" => Ok(Sizer::Bytes),
            _ => Err(D::Error::custom(format!("invalid sizer: {name:?}"))),
        }
    }
}

/// The queue in front of the sends.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct QueueSettings {
    /// Sends under way at once.
    #[described(min = 1)]
    pub num_consumers: i64,
    /// What the queue holds at most, sends under way included; in units of `sizer`.
    #[described(min = 1)]
    pub queue_size: i64,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// Whether a sender waits for room, until its deadline, instead of being refused.
    pub block_on_overflow: bool,
    /// Whether a sender waits for the delivery and hears how it ended.
    pub wait_for_result: bool,
    /// An extension that keeps the queue on disk.
    #[described(unsupported = "it comes with durable queues")]
    pub storage: Option<IgnoredAny>,
    /// Batching behind the queue.
    #[described(unsupported = "it comes with batching in the queue")]
    pub batch: PresentBlock<QueueBatchSettings>,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            num_consumers: 10,
            queue_size: 1000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            wait_for_result: false,
            storage: None,
            batch: PresentBlock::off(),
        }
    }
}

impl QueueSettings {
    /// Reports what the types cannot say, and what is not there yet.
    pub fn validate(&self, problems: &mut Problems) {
        problems.require(self.num_consumers > 0, "num_consumers", "`num_consumers` must be positive");
        problems.require(self.queue_size > 0, "queue_size", "`queue_size` must be positive");
        if self.storage.is_some() {
            problems.error("storage", "`storage` is not supported yet: it comes with durable queues");
            problems.require(
                !self.wait_for_result,
                "wait_for_result",
                "`wait_for_result` is not supported with a persistent queue configured with `storage`",
            );
        }
        if self.batch.is_on() {
            problems.error_with_help(
                "batch",
                "`batch` is not supported yet: it comes with batching in the queue",
                "use the `batch` processor",
            );
        }
    }
}

/// Batching behind the queue: read so that its keys are checked, and refused.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct QueueBatchSettings {
    /// Longest wait for a batch to fill.
    pub flush_timeout: GoDuration,
    /// Size from which a batch is sent.
    pub min_size: i64,
    /// Largest size of a batch; zero for any.
    pub max_size: i64,
    /// What the sizes count.
    pub sizer: Option<Sizer>,
    /// What keeps batches apart.
    pub partition: BatchPartition,
}

impl Default for QueueBatchSettings {
    fn default() -> QueueBatchSettings {
        QueueBatchSettings {
            flush_timeout: GoDuration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            partition: BatchPartition::default(),
        }
    }
}

/// What keeps batches apart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BatchPartition {
    /// Names of client metadata whose values make a batch of their own.
    pub metadata_keys: Vec<String>,
}

/// Reports a `timeout` that otelcol refuses.
pub fn validate_timeout(timeout: GoDuration, problems: &mut Problems) {
    problems.require(!timeout.is_negative(), "timeout", "'timeout' must be non-negative");
}

/// What a [`crate::Delivery`] works by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeliverySettings {
    /// Longest time of one attempt; none for any.
    pub timeout: Option<Duration>,
    /// Repetition of attempts.
    pub retry: RetrySettings,
    /// The queue; without one a sender waits for the delivery.
    pub queue: Option<QueueSettings>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_at_their_key() {
        // (case, settings, key that the error names, its text)
        let cases = [
            (r#"{"initial_interval": "-1s"}"#, "initial_interval", "'initial_interval' must be non-negative"),
            (
                r#"{"randomization_factor": 1.5}"#,
                "randomization_factor",
                "'randomization_factor' must be within [0, 1]",
            ),
            (
                r#"{"max_elapsed_time": "10s", "max_interval": "10s", "initial_interval": "11s"}"#,
                "max_elapsed_time",
                "'max_elapsed_time' must not be less than 'initial_interval'",
            ),
            (
                r#"{"max_elapsed_time": "20s"}"#,
                "max_elapsed_time",
                "'max_elapsed_time' must not be less than 'max_interval'",
            ),
        ];
        for (settings, key, text) in cases {
            let settings: RetrySettings = serde_json::from_str(settings).expect(settings);
            let problems = Problems::of(|p| settings.validate(p));
            assert_eq!(problems.keys(), [key]);
            assert!(problems.to_string().contains(text), "{problems}");
        }
        let off: RetrySettings = serde_json::from_str(r#"{"enabled": false, "multiplier": -1}"#).unwrap();
        assert!(!Problems::of(|p| off.validate(p)).has_errors());
        let forever: RetrySettings = serde_json::from_str(r#"{"max_elapsed_time": "0s"}"#).unwrap();
        assert!(!Problems::of(|p| forever.validate(p)).has_errors());
    }

    #[test]
    fn a_queue_refuses_what_it_cannot_do() {
        let cases = [
            (r#"{"num_consumers": 0}"#, "num_consumers", "`num_consumers` must be positive"),
            (r#"{"queue_size": -1}"#, "queue_size", "`queue_size` must be positive"),
            (r#"{"storage": "file_storage"}"#, "storage", "it comes with durable queues"),
            (r#"{"batch": null}"#, "batch", "use the `batch` processor"),
            (r#"{"batch": {"min_size": 100}}"#, "batch", "not supported yet"),
        ];
        for (settings, key, text) in cases {
            let settings: QueueSettings = serde_json::from_str(settings).expect(settings);
            let problems = Problems::of(|p| settings.validate(p));
            assert_eq!(problems.keys(), [key]);
            assert!(problems.to_string().contains(text), "{problems}");
        }
        for fine in [r#"{"storage": null, "batch": {"enabled": false}}"#, r#"{"sizer": "bytes"}"#, "{}"] {
            let settings: QueueSettings = serde_json::from_str(fine).expect(fine);
            assert!(!Problems::of(|p| settings.validate(p)).has_errors(), "{fine}");
        }
        let error = serde_json::from_str::<QueueSettings>(r#"{"sizer": "spans"}"#).unwrap_err();
        assert!(error.to_string().starts_with(r#"invalid sizer: "spans""#), "{error}");
        assert!(serde_json::from_str::<QueueSettings>(r#"{"batch": {"nope": 1}}"#).is_err());
    }
}
