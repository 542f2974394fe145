use std::time::Duration;

use phoenix_config::{Described, GoDuration, PipelineId, PresentBlock, Problems, Settings};
use phoenix_delivery::QueueSettings;
use serde::Deserialize;

/// Settings of the `failover` connector: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FailoverConfig {
    /// The levels, best first: the pipelines of each get the same data, and one that refuses it makes the level fail.
    #[described(required)]
    pub priority_levels: Vec<Vec<String>>,
    /// How often a request tries the levels above the one in use.
    pub retry_interval: GoDuration,
    /// Time between trying one level and the next; where it is zero or absent one request tries all of them.
    pub retry_gap: Option<GoDuration>,
    /// How often in a row a level is tried in vain before it is given up; zero or absent for any number.
    #[described(min = 0)]
    pub max_retries: Option<i64>,
    /// A queue in front: data is taken before a level has taken it, and waits here while none does. Without one its sender hears
    /// what the levels answer.
    pub sending_queue: PresentBlock<QueueSettings>,
}

impl Default for FailoverConfig {
    fn default() -> FailoverConfig {
        FailoverConfig {
            priority_levels: Vec::new(),
            retry_interval: GoDuration::from_secs(600),
            retry_gap: None,
            max_retries: None,
            sending_queue: PresentBlock::off(),
        }
    }
}

impl FailoverConfig {
    /// The pipelines of all levels, each behind its key.
    pub(crate) fn pipelines(&self) -> Vec<(String, String)> {
        let levels = self.priority_levels.iter().enumerate();
        let named = levels.flat_map(|(level, names)| {
            let names = names.iter().enumerate();
            names.map(move |(place, name)| (format!("priority_levels::{level}::{place}"), name.clone()))
        });
        named.collect()
    }

    /// Time between trying one level and the next.
    pub(crate) fn retry_gap(&self) -> Option<Duration> {
        self.retry_gap.filter(|gap| gap.is_positive()).map(|gap| gap.as_duration())
    }

    /// The most that a level is tried in vain.
    pub(crate) fn max_retries(&self) -> Option<u32> {
        self.max_retries.filter(|most| *most > 0).map(|most| u32::try_from(most).unwrap_or(u32::MAX))
    }
}

impl Settings for FailoverConfig {
    fn validate(&self, problems: &mut Problems) {
        let levels = &self.priority_levels;
        problems.require(
            !levels.is_empty(),
            "priority_levels",
            "No pipelines are defined in the priority list",
        );
        for (index, level) in levels.iter().enumerate() {
            let key = format!("priority_levels::{index}");
            problems.require(!level.is_empty(), &key, "a level must have at least one pipeline");
            for (place, name) in level.iter().enumerate() {
                let key = format!("{key}::{place}");
                if let Err(error) = PipelineId::parse(name) {
                    problems.error(&key, error.to_string());
                } else if level[..place].contains(name) {
                    problems.error(&key, format!("pipeline {name:?} is in this level already"));
                }
            }
        }
        problems.require(self.retry_interval.is_positive(), "retry_interval", "must be positive");
        if let Some(gap) = self.retry_gap {
            problems.require(!gap.is_negative(), "retry_gap", "must be non-negative");
            let count = i64::try_from(levels.len()).unwrap_or(i64::MAX);
            if gap.as_nanos().saturating_mul(count) > self.retry_interval.as_nanos() {
                problems.warn("retry_gap", "going through all levels takes longer than `retry_interval`");
            }
        }
        problems.require(self.max_retries.unwrap_or(0) >= 0, "max_retries", "must be non-negative");
        if let Some(queue) = self.sending_queue.get() {
            problems.within("sending_queue", |problems| queue.validate(problems));
        }
    }
}
