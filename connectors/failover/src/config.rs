use phoenix_config::{Described, GoDuration, PipelineId, Problems, Settings};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the `failover` connector: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct FailoverConfig {
    /// The levels, best first: the pipelines of each get the same data, and one that refuses it makes the level fail.
    #[described(required)]
    pub priority_levels: Vec<Vec<String>>,
    /// How often a request tries the levels above the one in use.
    pub retry_interval: GoDuration,
    /// Time between trying one level and the next; where it is absent one request tries all of them.
    pub retry_gap: Option<GoDuration>,
    /// How often in a row a level is tried in vain before it is given up; zero or absent for any number.
    #[described(min = 0)]
    pub max_retries: Option<i64>,
    /// A queue in front.
    #[described(
        unsupported = "it answers when a level has answered, so that the sender's own queue does the same"
    )]
    pub sending_queue: Option<IgnoredAny>,
}

impl Default for FailoverConfig {
    fn default() -> FailoverConfig {
        FailoverConfig {
            priority_levels: Vec::new(),
            retry_interval: GoDuration::from_secs(600),
            retry_gap: None,
            max_retries: None,
            sending_queue: None,
        }
    }
}

impl FailoverConfig {
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
                } else if levels[..index].iter().flatten().chain(&level[..place]).any(|other| other == name) {
                    problems.error(&key, format!("pipeline {name:?} has a level already"));
                }
            }
        }
        problems.require(self.retry_interval.is_positive(), "retry_interval", "must be positive");
        if let Some(gap) = self.retry_gap {
            let count = i64::try_from(levels.len()).unwrap_or(i64::MAX);
            let all = gap.as_nanos().saturating_mul(count);
            problems.require(
                gap.is_positive() && all < self.retry_interval.as_nanos(),
                "retry_gap",
                "must be positive, and times the length of the priority list less than retry_interval",
            );
        }
        problems.require(self.max_retries.unwrap_or(0) >= 0, "max_retries", "must be non-negative");
        if self.sending_queue.is_some() {
            problems.error_with_help(
                "sending_queue",
                "`sending_queue` is not supported",
                "remove it: the connector answers when a level has answered, and senders have queues of their own",
            );
        }
    }
}
