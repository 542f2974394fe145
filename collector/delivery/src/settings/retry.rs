use std::fmt;

use phoenix_config::{Described, GoDuration, Problems, Shape, Written};
use serde::de::{Error, Visitor};
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
    /// Answers after which an attempt is repeated beside those of the OTLP specification: HTTP statuses by
    /// number, gRPC codes by name or number. Not in otelcol.
    pub extra_codes: Vec<RetryCode>,
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
            extra_codes: Vec::new(),
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

    /// `extra_codes` as the protocol knows them; `read` gives the code that a text stands for, if any. What
    /// it does not know is left out.
    pub fn read_codes<C>(&self, read: impl Fn(&str) -> Option<C>) -> Vec<C> {
        self.extra_codes.iter().filter_map(|code| read(code.as_str())).collect()
    }

    /// Reports, within `retry_on_failure`, entries of `extra_codes` that `read` does not know.
    pub fn validate_codes<C>(
        &self,
        problems: &mut Problems,
        read: impl Fn(&str) -> Option<C>,
        expected: &str,
    ) {
        for (index, code) in self.extra_codes.iter().enumerate() {
            problems.require(
                read(code.as_str()).is_some(),
                &format!("extra_codes::{index}"),
                format!("invalid code {:?}: {expected}", code.as_str()),
            );
        }
    }
}

/// An answer of a protocol, by name or number, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryCode(String);

impl RetryCode {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Described for RetryCode {
    fn shape() -> Shape {
        Shape::Any
    }

    fn written(&self) -> Option<Written> {
        Some(self.0.clone().into())
    }
}

impl<'de> Deserialize<'de> for RetryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RetryCode, D::Error> {
        deserializer.deserialize_any(NameOrNumber)
    }
}

struct NameOrNumber;

impl Visitor<'_> for NameOrNumber {
    type Value = RetryCode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name or the number of a code")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<RetryCode, E> {
        Ok(RetryCode(name.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<RetryCode, E> {
        Ok(RetryCode(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<RetryCode, E> {
        Ok(RetryCode(number.to_string()))
    }
}
