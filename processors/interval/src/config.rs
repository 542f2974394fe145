use phoenix_config::{Described, GoDuration, Problems, Settings};
use serde::Deserialize;

/// Settings of the `interval` processor: otelcol's keys, and Phoenix's own for a bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct IntervalConfig {
    /// How often the newest data point of each stream is let out.
    pub interval: GoDuration,
    /// What passes at once, although it could be thinned out.
    pub pass_through: PassThrough,
    /// The most streams that are held between two exports; data points of further ones pass at once, and are counted.
    pub max_streams: usize,
}

/// What passes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct PassThrough {
    /// Gauges.
    pub gauge: bool,
    /// Summaries.
    pub summary: bool,
}

impl Default for IntervalConfig {
    fn default() -> IntervalConfig {
        IntervalConfig {
            interval: GoDuration::from_secs(60),
            pass_through: PassThrough::default(),
            max_streams: 2_000_000,
        }
    }
}

impl Settings for IntervalConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.interval.is_positive(), "interval", "must be greater than zero");
        problems.require(self.max_streams > 0, "max_streams", "must be at least 1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, fields that the errors name)
        let cases: [(&str, &[&str]); 5] = [
            ("{}", &[]),
            (r#"{"interval": "1ms", "pass_through": {"gauge": true, "summary": true}}"#, &[]),
            (r#"{"interval": "0s"}"#, &["interval"]),
            (r#"{"interval": "-1s"}"#, &["interval"]),
            (r#"{"max_streams": 0}"#, &["max_streams"]),
        ];
        for (settings, fields) in cases {
            let config: IntervalConfig = serde_json::from_str(settings).expect(settings);
            assert_eq!(Problems::of(|p| config.validate(p)).keys(), fields, "{settings}");
        }
        let unknown = serde_json::from_str::<IntervalConfig>(r#"{"pass_through": {"histogram": true}}"#);
        assert!(unknown.expect_err("an unknown key").to_string().contains("histogram"));
    }
}
