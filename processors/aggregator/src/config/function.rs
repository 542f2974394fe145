//! What is made of the data points of a window.

use std::fmt;

use phoenix_config::{Described, Shape, Written};
use serde::Deserialize;

/// What is made of the data points of a window. Where a function means nothing for a kind of metric it is not applied.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Function {
    /// Counters: the sum of all increments. Histograms: merged. Gauges and up-down counters: the sum of the last value of
    /// each stream.
    Sum,
    /// The same as a delta, for counters and histograms.
    Increase,
    /// The same as a cumulative series, for counters and histograms.
    Total,
    /// Increments a second, over the length of the window, for counters: a gauge.
    Rate,
    /// The sum of what each stream grew in a second, over the time between its data points, for counters: a gauge.
    RateSum,
    /// The mean of the same over all streams.
    RateAvg,
    /// Gauges and up-down counters: the sum of the values of all data points. Counters: the same as `increase`.
    SumSamples,
    /// How many data points there were.
    Count,
    /// How many streams had data points.
    Series,
    /// The last value.
    Last,
    /// The first value.
    First,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The mean.
    Avg,
    /// The mean over time: each value counts for as long as it held.
    TimeWeightedAvg,
    /// The standard deviation of the population.
    Stddev,
    /// The variance of the population.
    Stdvar,
    /// How many different values there were: exact up to 256, within 1.6 % beyond.
    Unique,
    /// An exponential histogram of the values, for gauges.
    Histogram,
    /// A quantile, from 0 to 1.
    Quantile(f64),
}

/// The names of those that have no parameter.
const NAMES: [(&str, Function); 19] = [
    ("sum", Function::Sum),
    ("increase", Function::Increase),
    ("total", Function::Total),
    ("rate", Function::Rate),
    ("rate_sum", Function::RateSum),
    ("rate_avg", Function::RateAvg),
    ("sum_samples", Function::SumSamples),
    ("count", Function::Count),
    ("series", Function::Series),
    ("last", Function::Last),
    ("first", Function::First),
    ("min", Function::Min),
    ("max", Function::Max),
    ("avg", Function::Avg),
    ("time_weighted_avg", Function::TimeWeightedAvg),
    ("stddev", Function::Stddev),
    ("stdvar", Function::Stdvar),
    ("unique", Function::Unique),
    ("histogram", Function::Histogram),
];

/// The name is that of no function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFunction(String);

impl fmt::Display for UnknownFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown output {:?}; there are ", self.0)?;
        for (name, _) in NAMES {
            write!(f, "{name}, ")?;
        }
        f.write_str("and quantiles such as p50 or p99.9")
    }
}

impl std::error::Error for UnknownFunction {}

impl TryFrom<String> for Function {
    type Error = UnknownFunction;

    fn try_from(text: String) -> Result<Function, UnknownFunction> {
        if let Some((_, function)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*function);
        }
        let percent = text.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
        match percent.filter(|percent| (0.0..=100.0).contains(percent)) {
            Some(percent) => Ok(Function::Quantile(percent / 100.0)),
            None => Err(UnknownFunction(text)),
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Rounded as far as a percentage of 15 digits is told apart.
            Function::Quantile(q) => write!(f, "p{}", (q * 1e14).round() / 1e12),
            other => {
                let found = NAMES.iter().find(|(_, function)| function == other);
                f.write_str(found.map_or("", |(name, _)| name))
            }
        }
    }
}

impl Described for Function {
    fn shape() -> Shape {
        String::shape()
    }

    fn written(&self) -> Option<Written> {
        Some(self.to_string().into())
    }
}
