use phoenix_config::{Described, Problems, Settings};
use phoenix_sampling::Threshold;
use serde::Deserialize;

/// How it is decided what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// By a hash of the trace identifier, or of an attribute.
    HashSeed,
    /// So that everything was kept with the same probability, or a lower one that it came with.
    Equalizing,
    /// With the same probability, whatever it was kept with before.
    Proportional,
}

/// Where log records have their randomness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Described)]
pub enum AttributeSource {
    /// In the trace identifier; where there is none, in `from_attribute`.
    #[default]
    #[serde(rename = "traceID")]
    TraceId,
    /// In `from_attribute`.
    #[serde(rename = "record")]
    Record,
}

/// Settings of the `probabilistic_sampler` processor: otelcol's keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerConfig {
    /// The share that is kept, in percent; 0 keeps nothing, 100 and more everything.
    #[described(min = 0)]
    pub sampling_percentage: f32,
    /// What is hashed before the identifier: samplers behind each other need different ones.
    pub hash_seed: u32,
    /// How it is decided; without it `hash_seed`.
    pub mode: Option<Mode>,
    /// Whether what cannot be decided about is dropped: without randomness, or with a `tracestate` that is none.
    pub fail_closed: bool,
    /// Hexadecimal digits of the threshold that is noted.
    #[described(min = 1, max = 14)]
    pub sampling_precision: u32,
    /// Logs: where they have their randomness, with `hash_seed`.
    pub attribute_source: AttributeSource,
    /// Logs: the attribute whose value is hashed, with `hash_seed`.
    pub from_attribute: String,
    /// Logs: an attribute that holds the percentage with which that record is kept.
    pub sampling_priority: String,
}

impl Default for SamplerConfig {
    fn default() -> SamplerConfig {
        SamplerConfig {
            sampling_percentage: 0.0,
            hash_seed: 0,
            mode: None,
            fail_closed: true,
            sampling_precision: 4,
            attribute_source: AttributeSource::TraceId,
            from_attribute: String::new(),
            sampling_priority: String::new(),
        }
    }
}

impl Settings for SamplerConfig {
    fn validate(&self, problems: &mut Problems) {
        let percentage = f64::from(self.sampling_percentage);
        problems.require(percentage.is_finite(), "sampling_percentage", "must be a number");
        problems.require(
            percentage >= 0.0 || percentage.is_nan(),
            "sampling_percentage",
            "must not be negative",
        );
        problems.require(
            percentage <= 0.0 || percentage / 100.0 >= Threshold::LEAST_PROBABILITY || percentage.is_nan(),
            "sampling_percentage",
            "is too small: the least share that can be expressed is one in 2^56",
        );
        problems.require(
            (1..=14).contains(&self.sampling_precision),
            "sampling_precision",
            "must be from 1 to 14 hexadecimal digits",
        );
    }
}

#[cfg(test)]
mod tests {
    use phoenix_config::decode_text;

    use super::*;

    #[test]
    fn rejects_bad_settings_and_names_the_field() {
        // (settings, the field that the error names)
        let cases = [
            ("{sampling_percentage: -1}", "sampling_percentage"),
            ("{sampling_percentage: .inf}", "sampling_percentage"),
            ("{sampling_percentage: 1e-20}", "sampling_percentage"),
            ("{sampling_precision: 0}", "sampling_precision"),
            ("{sampling_precision: 15}", "sampling_precision"),
            ("{mode: random}", "mode"),
            ("{attribute_source: span}", "attribute_source"),
            ("{percentage: 5}", "percentage"),
        ];
        for (settings, field) in cases {
            let report = decode_text::<SamplerConfig>(settings).expect_err(settings);
            assert_eq!(report.keys(), [field], "{settings}");
        }
        for settings in ["{}", "{sampling_percentage: 15, mode: equalizing}", "{sampling_percentage: 1000}"] {
            decode_text::<SamplerConfig>(settings).expect(settings);
        }
    }
}
