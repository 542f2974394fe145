//! Kinds of metrics, and what each function makes of them.

use phoenix_pdata::view::{Data, Temporality};

use crate::config::{Function, MetricKind, TemporalityChoice};
use crate::stream::Meaning;

/// How many kinds there are.
pub(crate) const KINDS: usize = 11;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Counter { monotonic: bool, temporality: Temporality },
    UpDownCounter,
    Gauge,
    Explicit(Temporality),
    Exponential(Temporality),
    Summary,
}

/// What comes out of a function: the kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Gauge,
    Sum { monotonic: bool, temporality: Temporality },
    Explicit(Temporality),
    Exponential(Temporality),
    Summary,
}

impl Kind {
    /// The kind of a metric; none if the sender did not say how its data points relate in time.
    pub(crate) fn of(data: &Data<'_>) -> Option<Kind> {
        let known = |temporality| (temporality != Temporality::Unspecified).then_some(temporality);
        Some(match data {
            Data::Gauge(_) => Kind::Gauge,
            Data::Sum(sum) => match (known(sum.aggregation_temporality())?, sum.is_monotonic()) {
                (Temporality::Cumulative, false) => Kind::UpDownCounter,
                (temporality, monotonic) => Kind::Counter { monotonic, temporality },
            },
            Data::Histogram(histogram) => Kind::Explicit(known(histogram.aggregation_temporality())?),
            Data::ExponentialHistogram(histogram) => {
                Kind::Exponential(known(histogram.aggregation_temporality())?)
            }
            Data::Summary(_) => Kind::Summary,
        })
    }

    pub(crate) fn meaning(self) -> Option<Meaning> {
        match self {
            Kind::Counter { temporality, .. }
            | Kind::Explicit(temporality)
            | Kind::Exponential(temporality) => Meaning::of(temporality),
            Kind::UpDownCounter | Kind::Gauge | Kind::Summary => Some(Meaning::Levels),
        }
    }

    pub(crate) fn matches(self, kind: MetricKind) -> bool {
        match self {
            Kind::Counter { .. } => kind == MetricKind::Counter,
            Kind::UpDownCounter => kind == MetricKind::UpDownCounter,
            Kind::Gauge => kind == MetricKind::Gauge,
            Kind::Explicit(_) => kind == MetricKind::Histogram,
            Kind::Exponential(_) => kind == MetricKind::ExponentialHistogram,
            Kind::Summary => kind == MetricKind::Summary,
        }
    }

    /// The same, related in time as a rule wants it.
    pub(crate) fn with(self, choice: TemporalityChoice) -> Kind {
        let chosen = match choice {
            TemporalityChoice::Preserve => return self,
            TemporalityChoice::Delta => Temporality::Delta,
            TemporalityChoice::Cumulative => Temporality::Cumulative,
        };
        match self {
            Kind::Counter { monotonic, .. } => Kind::Counter { monotonic, temporality: chosen },
            Kind::Explicit(_) => Kind::Explicit(chosen),
            Kind::Exponential(_) => Kind::Exponential(chosen),
            other => other,
        }
    }

    /// The number of the field of attributes in its data points.
    pub(crate) fn attributes_field(self) -> u32 {
        match self {
            Kind::Counter { .. } | Kind::UpDownCounter | Kind::Gauge | Kind::Summary => 7,
            Kind::Explicit(_) => 9,
            Kind::Exponential(_) => 1,
        }
    }

    /// A number for it.
    pub(crate) fn number(self) -> u8 {
        let delta = |temporality| u8::from(temporality == Temporality::Delta);
        match self {
            Kind::Counter { monotonic, temporality } => delta(temporality) + 2 * u8::from(monotonic),
            Kind::UpDownCounter => 4,
            Kind::Gauge => 5,
            Kind::Explicit(temporality) => 6 + delta(temporality),
            Kind::Exponential(temporality) => 8 + delta(temporality),
            Kind::Summary => 10,
        }
    }

    /// The kind of a number.
    pub(crate) fn from_number(number: u8) -> Option<Kind> {
        let temporality = match number % 2 {
            1 => Temporality::Delta,
            _ => Temporality::Cumulative,
        };
        Some(match number {
            0..4 => Kind::Counter { monotonic: number >= 2, temporality },
            4 => Kind::UpDownCounter,
            5 => Kind::Gauge,
            6 | 7 => Kind::Explicit(temporality),
            8 | 9 => Kind::Exponential(temporality),
            10 => Kind::Summary,
            _ => return None,
        })
    }

    /// What a function makes of it in windows that overlap or not; none where it means nothing.
    pub(crate) fn form(self, function: Function, overlaps: bool) -> Option<Form> {
        use Function::*;
        let counts = if overlaps {
            Form::Gauge
        } else {
            Form::Sum { monotonic: true, temporality: Temporality::Delta }
        };
        match (self, function) {
            (_, Count) => Some(counts),
            (_, Series) => Some(Form::Gauge),
            (Kind::Counter { monotonic, temporality }, Sum | Increase | SumSamples | Total) => {
                Some(match function {
                    Sum | Increase | SumSamples if overlaps => Form::Gauge,
                    Increase | SumSamples => Form::Sum { monotonic, temporality: Temporality::Delta },
                    Total => Form::Sum { monotonic, temporality: Temporality::Cumulative },
                    _ => Form::Sum { monotonic, temporality },
                })
            }
            (Kind::Counter { .. }, Rate | RateSum | RateAvg) => Some(Form::Gauge),
            (Kind::UpDownCounter, Sum) => {
                Some(Form::Sum { monotonic: false, temporality: Temporality::Cumulative })
            }
            (Kind::Gauge, Histogram) if !overlaps => Some(Form::Exponential(Temporality::Delta)),
            (
                Kind::Gauge | Kind::UpDownCounter,
                Sum | SumSamples | Last | First | Min | Max | Avg | TimeWeightedAvg | Stddev | Stdvar
                | Unique | Quantile(_),
            ) => Some(Form::Gauge),
            (Kind::Explicit(_) | Kind::Exponential(_), Sum | Increase | Total) if !overlaps => {
                let temporality = match (function, self) {
                    (Increase, _) => Temporality::Delta,
                    (Total, _) => Temporality::Cumulative,
                    (_, Kind::Explicit(temporality) | Kind::Exponential(temporality)) => temporality,
                    _ => return None,
                };
                Some(match self {
                    Kind::Explicit(_) => Form::Explicit(temporality),
                    _ => Form::Exponential(temporality),
                })
            }
            (Kind::Explicit(_) | Kind::Exponential(_), Avg | Min | Max | Quantile(_)) => Some(Form::Gauge),
            (Kind::Summary, Last) => Some(Form::Summary),
            _ => None,
        }
    }

    /// What is made of it where a rule says nothing: what is right whatever the metric is about. Without attributes that
    /// go, the last level of a stream is; with some, only people can say what becomes of several levels.
    pub(crate) fn natural(self, keeps_identity: bool, overlaps: bool) -> Option<Function> {
        let function = match self {
            Kind::Counter { .. } | Kind::UpDownCounter | Kind::Explicit(_) | Kind::Exponential(_) => {
                Function::Sum
            }
            Kind::Gauge | Kind::Summary if keeps_identity => Function::Last,
            Kind::Gauge | Kind::Summary => return None,
        };
        self.form(function, overlaps).map(|_| function)
    }
}

impl Form {
    /// The number of its field in a metric.
    pub(crate) fn field(self) -> u32 {
        match self {
            Form::Gauge => 5,
            Form::Sum { .. } => 7,
            Form::Explicit(_) => 9,
            Form::Exponential(_) => 10,
            Form::Summary => 11,
        }
    }

    /// Whether data points of it add up: deltas do.
    pub(crate) fn adds_up(self) -> bool {
        !matches!(self, Form::Gauge | Form::Summary) && !self.is_cumulative()
    }

    pub(crate) fn is_cumulative(self) -> bool {
        matches!(
            self,
            Form::Sum { temporality: Temporality::Cumulative, .. }
                | Form::Explicit(Temporality::Cumulative)
                | Form::Exponential(Temporality::Cumulative)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_numbers() {
        for number in 0..=10 {
            assert_eq!(Kind::from_number(number).map(Kind::number), Some(number));
        }
        assert_eq!(Kind::from_number(11), None);
    }

    #[test]
    fn windows_that_overlap_give_no_sums() {
        let counter = Kind::Counter { monotonic: true, temporality: Temporality::Delta };
        assert_eq!(counter.form(Function::Sum, true), Some(Form::Gauge));
        assert_eq!(Kind::Explicit(Temporality::Delta).form(Function::Sum, true), None);
        assert_eq!(Kind::Explicit(Temporality::Delta).natural(true, true), None);
        assert_eq!(Kind::Gauge.natural(false, false), None, "nobody knows what becomes of several levels");
    }
}
