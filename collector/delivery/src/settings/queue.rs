use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use phoenix_component::Batch;
use phoenix_config::{
    Capability, ComponentId, Described, GoDuration, PresentBlock, Problems, Shape, Word, Written,
};
use phoenix_storage::Weight;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// What the size of a queue or of a batch counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// What `extent` counts for.
    pub(crate) fn size(self, extent: Extent) -> u64 {
        match self {
            Sizer::Requests => extent.requests,
            Sizer::Items => extent.items,
            Sizer::Bytes => extent.bytes,
        }
    }
}

impl AsRef<str> for Sizer {
    fn as_ref(&self) -> &str {
        match self {
            Sizer::Requests => "requests",
            Sizer::Items => "items",
            Sizer::Bytes => "bytes",
        }
    }
}

impl fmt::Display for Sizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
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

/// How much some data is, by each sizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) requests: u64,
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

impl Extent {
    /// Of a batch that `requests` requests became.
    pub(crate) fn of(batch: &Batch, requests: u64) -> Extent {
        Extent { requests, items: batch.items, bytes: batch.payload.len() as u64 }
    }

    pub(crate) fn add(&mut self, other: Extent) {
        self.requests += other.requests;
        self.items += other.items;
        self.bytes += other.bytes;
    }

    pub(crate) fn sub(&mut self, other: Extent) {
        self.requests -= other.requests;
        self.items -= other.items;
        self.bytes -= other.bytes;
    }

    /// Takes away what there is of it.
    pub(crate) fn sub_most(&mut self, other: Extent) {
        self.requests = self.requests.saturating_sub(other.requests);
        self.items = self.items.saturating_sub(other.items);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

impl From<Weight> for Extent {
    /// A record is a request.
    fn from(weight: Weight) -> Extent {
        Extent { requests: weight.records, items: weight.items, bytes: weight.bytes }
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
    /// What `queue_size` counts; `requests` where nothing is written.
    pub sizer: Option<Sizer>,
    /// Whether a sender waits for room, until its deadline, instead of being refused.
    pub block_on_overflow: bool,
    /// Whether a sender waits for the delivery and hears how it ended.
    pub wait_for_result: bool,
    /// The extension that keeps the queue on disk, for example `file_storage`.
    #[described(names = Capability::Storage)]
    pub storage: Option<ComponentId>,
    /// Batching in the queue.
    pub batch: PresentBlock<QueueBatchSettings>,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            num_consumers: 10,
            queue_size: 1000,
            sizer: None,
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
            problems.require(
                !self.wait_for_result,
                "wait_for_result",
                "`wait_for_result` is not supported with a persistent queue configured with `storage`",
            );
        }
        let Some(batch) = self.batch.get() else { return };
        problems.within("batch", |problems| batch.validate(self.sizer, problems));
        for (sizer, limits, place) in batch.limits(self.sizer) {
            problems.require(
                sizer == Sizer::Requests || sizer != self.sizer() || limits.min_size <= self.queue_size,
                &format!("batch::{place}min_size"),
                format!(
                    "for sizer {sizer}, `min_size` ({}) must be less than or equal to `queue_size` ({})",
                    limits.min_size, self.queue_size
                ),
            );
        }
    }

    /// What `queue_size` counts.
    pub fn sizer(&self) -> Sizer {
        self.sizer.unwrap_or_default()
    }

    /// How batches are made, where they are.
    pub(crate) fn batch_rules(&self) -> Option<BatchRules> {
        self.batch.get().map(|batch| batch.rules(self.sizer))
    }
}

/// Least and largest size of a batch, by one sizer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SizeLimits {
    /// Size from which a batch is sent.
    #[described(min = 0)]
    pub min_size: i64,
    /// Largest size of a batch; zero for any.
    #[described(min = 0)]
    pub max_size: i64,
}

/// Batching in the queue.
#[derive(Clone, Debug, PartialEq, Described)]
#[serde(deny_unknown_fields, default)]
pub struct QueueBatchSettings {
    /// Longest wait for a batch to fill, from its first data on.
    pub flush_timeout: GoDuration,
    /// Size from which a batch is sent; 8192 where nothing is written.
    #[described(min = 0)]
    pub min_size: Option<i64>,
    /// Largest size of a batch; zero, or nothing, for any.
    #[described(min = 0)]
    pub max_size: Option<i64>,
    /// What the sizes count: the queue's, where that is written and this block is, else items.
    pub sizer: Option<Sizer>,
    /// Sizes by several sizers at once, in the place of the three keys above.
    pub sizers: BTreeMap<Sizer, SizeLimits>,
    /// What keeps batches apart.
    pub partition: BatchPartition,
    /// Whether the block was written as a map, be it an empty one: otelcol tells that from nothing.
    #[described(skip)]
    pub is_map: bool,
}

impl Default for QueueBatchSettings {
    fn default() -> QueueBatchSettings {
        QueueBatchSettings {
            flush_timeout: GoDuration::from_millis(200),
            min_size: None,
            max_size: None,
            sizer: None,
            sizers: BTreeMap::new(),
            partition: BatchPartition::default(),
            is_map: false,
        }
    }
}

impl<'de> Deserialize<'de> for QueueBatchSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QueueBatchSettings, D::Error> {
        let Some(keys) = Option::<Keys>::deserialize(deserializer)? else {
            return Ok(QueueBatchSettings::default());
        };
        let Keys { flush_timeout, min_size, max_size, sizer, sizers, partition } = keys;
        Ok(QueueBatchSettings { flush_timeout, min_size, max_size, sizer, sizers, partition, is_map: true })
    }
}

/// The keys of [`QueueBatchSettings`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    flush_timeout: GoDuration,
    min_size: Option<i64>,
    max_size: Option<i64>,
    sizer: Option<Sizer>,
    sizers: BTreeMap<Sizer, SizeLimits>,
    partition: BatchPartition,
}

impl Default for Keys {
    fn default() -> Keys {
        let QueueBatchSettings { flush_timeout, min_size, max_size, sizer, sizers, partition, .. } =
            QueueBatchSettings::default();
        Keys { flush_timeout, min_size, max_size, sizer, sizers, partition }
    }
}

const DEFAULT_MIN_SIZE: i64 = 8192;

impl QueueBatchSettings {
    /// The sizes by their sizers, each with the place of its keys.
    fn limits(&self, of_queue: Option<Sizer>) -> Vec<(Sizer, SizeLimits, String)> {
        if self.sizers.is_empty() {
            let inherited = of_queue.filter(|_| self.is_map);
            let sizer = self.sizer.or(inherited).unwrap_or(Sizer::Items);
            let limits = SizeLimits {
                min_size: self.min_size.unwrap_or(DEFAULT_MIN_SIZE),
                max_size: self.max_size.unwrap_or_default(),
            };
            return vec![(sizer, limits, String::new())];
        }
        let of = |(sizer, limits): (&Sizer, &SizeLimits)| (*sizer, *limits, format!("sizers::{sizer}::"));
        self.sizers.iter().map(of).collect()
    }

    fn validate(&self, of_queue: Option<Sizer>, problems: &mut Problems) {
        let is_plain = self.min_size.is_none() && self.max_size.is_none() && self.sizer.is_none();
        problems.require(
            self.sizers.is_empty() || is_plain,
            "sizers",
            "cannot specify both `sizers` and legacy fields (`min_size`, `max_size`, `sizer`) in `batch`",
        );
        problems.require(
            self.flush_timeout.is_positive(),
            "flush_timeout",
            format!("`flush_timeout` must be positive, found {}", self.flush_timeout.as_nanos()),
        );
        for (sizer, SizeLimits { min_size, max_size }, place) in self.limits(of_queue) {
            let of_sizer = match place.is_empty() {
                true => String::new(),
                false => format!(" for sizer \"{sizer}\""),
            };
            let key = if place.is_empty() { "sizer".to_owned() } else { format!("sizers::{sizer}") };
            problems.require(
                sizer != Sizer::Requests,
                &key,
                format!("`batch` supports only `items` or `bytes` sizer, found \"{sizer}\""),
            );
            let min = format!("{place}min_size");
            let text = format!("`min_size` must be non-negative{of_sizer}, found {min_size}");
            problems.require(min_size >= 0, &min, text);
            let max = format!("{place}max_size");
            let text = format!("`max_size` must be non-negative{of_sizer}, found {max_size}");
            problems.require(max_size >= 0, &max, text);
            problems.require(
                max_size <= 0 || max_size >= min_size,
                &max,
                format!(
                    "`max_size` ({max_size}) must be greater or equal to `min_size` ({min_size}){of_sizer}"
                ),
            );
        }
        problems.within("partition", |problems| self.partition.validate(problems));
    }

    fn rules(&self, of_queue: Option<Sizer>) -> BatchRules {
        let any = Extent { requests: u64::MAX, items: u64::MAX, bytes: u64::MAX };
        let mut rules = BatchRules {
            min: any,
            max: any,
            flush_timeout: self.flush_timeout.as_duration(),
            keys: self.partition.metadata_keys.iter().map(|key| key.to_ascii_lowercase()).collect(),
        };
        let limits = self.limits(of_queue);
        // No least size by any sizer: nothing waits. By one of several: the others decide.
        if limits.iter().all(|(_, limits, _)| limits.min_size <= 0) {
            rules.min = Extent::default();
        }
        for (sizer, limits, _) in limits {
            let set = |extent: &mut Extent, size: i64| match (sizer, u64::try_from(size)) {
                (Sizer::Items, Ok(size @ 1..)) => extent.items = size,
                (Sizer::Bytes, Ok(size @ 1..)) => extent.bytes = size,
                _ => {}
            };
            set(&mut rules.min, limits.min_size);
            set(&mut rules.max, limits.max_size);
        }
        rules
    }
}

/// What keeps batches apart.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct BatchPartition {
    /// Names of client metadata whose values make a batch of their own; their case does not matter.
    pub metadata_keys: Vec<String>,
}

impl BatchPartition {
    fn validate(&self, problems: &mut Problems) {
        for (index, key) in self.metadata_keys.iter().enumerate() {
            let is_repeated = self.metadata_keys[..index].iter().any(|other| other.eq_ignore_ascii_case(key));
            problems.require(
                !is_repeated,
                &format!("metadata_keys::{index}"),
                format!(
                    "duplicate entry in metadata_keys: {:?} (case-insensitive)",
                    key.to_ascii_lowercase()
                ),
            );
        }
    }
}

/// The settings of batching in the form that is asked for with every request.
#[derive(Clone, Debug)]
pub(crate) struct BatchRules {
    /// A batch is sent once it reaches any of these.
    pub(crate) min: Extent,
    /// No batch is larger than any of these, but for single records.
    pub(crate) max: Extent,
    pub(crate) flush_timeout: Duration,
    /// In lower case.
    pub(crate) keys: Vec<String>,
}
