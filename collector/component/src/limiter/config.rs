use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;

/// Settings of `memory_limiter`, processor and extension: otelcol's keys.
///
/// One of `limit_mib` and `limit_percentage` must be given; the former wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryLimiterConfig {
    /// How often resident memory is looked at.
    pub check_interval: GoDuration,
    /// Resident memory that must not be exceeded, in MiB.
    pub limit_mib: u32,
    /// The same as a percentage of the memory that the process may use; `limit_mib` wins.
    #[described(max = 100)]
    pub limit_percentage: u32,
    /// What memory may grow by between two checks, in MiB; 0 for a fifth of the limit.
    pub spike_limit_mib: u32,
    /// The same as a percentage of the memory that the process may use.
    #[described(max = 100)]
    pub spike_limit_percentage: u32,
    /// Least time between forced collections above the soft limit.
    #[described(no_effect = NO_COLLECTOR)]
    pub min_gc_interval_when_soft_limited: Option<GoDuration>,
    /// Least time between forced collections above the hard limit.
    #[described(no_effect = NO_COLLECTOR)]
    pub min_gc_interval_when_hard_limited: Option<GoDuration>,
    /// Most time between forced collections above the soft limit.
    #[described(no_effect = NO_COLLECTOR)]
    pub max_gc_interval_when_soft_limited: Option<GoDuration>,
    /// Most time between forced collections above the hard limit.
    #[described(no_effect = NO_COLLECTOR)]
    pub max_gc_interval_when_hard_limited: Option<GoDuration>,
}

/// Why keys of the garbage collector change nothing.
const NO_COLLECTOR: &str = "there is no garbage collector to be forced";

/// otelcol's default for `min_gc_interval_when_soft_limited`.
const MIN_SOFT: GoDuration = GoDuration::from_secs(10);

impl MemoryLimiterConfig {
    fn collector_keys(&self) -> [(&'static str, Option<GoDuration>); 4] {
        [
            ("min_gc_interval_when_soft_limited", self.min_gc_interval_when_soft_limited),
            ("min_gc_interval_when_hard_limited", self.min_gc_interval_when_hard_limited),
            ("max_gc_interval_when_soft_limited", self.max_gc_interval_when_soft_limited),
            ("max_gc_interval_when_hard_limited", self.max_gc_interval_when_hard_limited),
        ]
    }

    fn validate_limits(&self, problems: &mut Problems) {
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            problems.error_with_help(
                "limit_mib",
                "'limit_mib' or 'limit_percentage' must be greater than zero",
                "for example `limit_percentage: 80`",
            );
        }
        for (key, percentage) in [
            ("limit_percentage", self.limit_percentage),
            ("spike_limit_percentage", self.spike_limit_percentage),
        ] {
            problems.require(percentage <= 100, key, "must be at most 100");
        }
        problems.require(
            self.limit_mib == 0 || self.spike_limit_mib < self.limit_mib,
            "spike_limit_mib",
            "must be smaller than `limit_mib`",
        );
        problems.require(
            self.limit_percentage == 0 || self.spike_limit_percentage < self.limit_percentage,
            "spike_limit_percentage",
            "must be smaller than `limit_percentage`",
        );
    }
}

impl Settings for MemoryLimiterConfig {
    fn validate(&self, problems: &mut Problems) {
        if !self.check_interval.is_positive() {
            problems.error_with_help(
                "check_interval",
                "must be greater than zero",
                "for example `check_interval: 1s`",
            );
        }
        self.validate_limits(problems);
        let hard = self.min_gc_interval_when_hard_limited.unwrap_or(GoDuration::ZERO);
        let soft = self.min_gc_interval_when_soft_limited.unwrap_or(MIN_SOFT);
        problems.require(
            hard <= soft,
            "min_gc_interval_when_hard_limited",
            "must be at most `min_gc_interval_when_soft_limited`",
        );
        for (key, value) in self.collector_keys() {
            let Some(value) = value else { continue };
            problems.require(!value.is_negative(), key, "must not be negative");
            problems.warn(key, "has no effect: there is no garbage collector to be forced");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 8] = [
            (r#"{"check_interval": "1s", "limit_mib": 100, "spike_limit_mib": 20}"#, &[]),
            (r#"{"check_interval": "5s", "limit_percentage": 80, "spike_limit_percentage": 25}"#, &[]),
            (r#"{"limit_mib": 100}"#, &["check_interval"]),
            (r#"{"check_interval": "-1s"}"#, &["check_interval", "limit_mib"]),
            (r#"{"check_interval": "1s", "limit_mib": 100, "spike_limit_mib": 100}"#, &["spike_limit_mib"]),
            (r#"{"check_interval": "1s", "limit_percentage": 101}"#, &["limit_percentage"]),
            (
                r#"{"check_interval": "1s", "limit_percentage": 50, "spike_limit_percentage": 60}"#,
                &["spike_limit_percentage"],
            ),
            (
                r#"{"check_interval": "1s", "limit_mib": 1, "min_gc_interval_when_hard_limited": "11s"}"#,
                &["min_gc_interval_when_hard_limited"],
            ),
        ];
        for (settings, fields) in cases {
            let config: MemoryLimiterConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
    }

    #[test]
    fn keys_of_the_garbage_collector_are_taken_with_a_warning() {
        let settings =
            r#"{"check_interval": "1s", "limit_mib": 1, "max_gc_interval_when_soft_limited": "1m"}"#;
        let config: MemoryLimiterConfig = serde_json::from_str(settings).expect(settings);
        let problems = Problems::of(|p| config.validate(p));
        assert!(!problems.has_errors());
        assert_eq!(problems.warnings().count(), 1);
    }
}
