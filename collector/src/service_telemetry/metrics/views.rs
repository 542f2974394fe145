//! Views: which of the collector's own instruments are told, and how.

use phoenix_config::{Described, Problems};
use phoenix_telemetry::InstrumentKind;
use phoenix_telemetry::view::{Aggregation, Selection, Selector, View};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{FIXED_LIMIT, SelectionSettings, refuse_unless_none};

/// What is told of some instruments.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ViewSettings {
    /// Which instruments; one key at least.
    selector: Option<SelectorSettings>,
    /// What becomes of them.
    stream: Option<StreamSettings>,
}

/// Which instruments.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct SelectorSettings {
    /// A pattern of names, with `*` and `?`.
    instrument_name: Option<String>,
    /// The type.
    instrument_type: Option<InstrumentType>,
    /// The unit.
    unit: Option<String>,
    /// The name of the scope.
    meter_name: Option<String>,
    /// The version of the scope.
    meter_version: Option<String>,
    /// The schema of the scope.
    meter_schema_url: Option<String>,
}

/// A type of instruments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Described)]
#[serde(rename_all = "snake_case")]
enum InstrumentType {
    Counter,
    Gauge,
    Histogram,
    ObservableCounter,
    ObservableGauge,
    ObservableUpDownCounter,
    UpDownCounter,
}

/// What becomes of an instrument.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct StreamSettings {
    /// Another name.
    name: Option<String>,
    /// Another description.
    description: Option<String>,
    /// How values are put together.
    aggregation: Option<AggregationSettings>,
    /// Most series of an instrument.
    #[described(unsupported = "the series of own metrics are bounded by the configuration")]
    aggregation_cardinality_limit: Option<IgnoredAny>,
    /// Which attributes stay.
    attribute_keys: Option<SelectionSettings>,
}

/// One of these keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct AggregationSettings {
    /// As the instrument says.
    default: Option<Nothing>,
    /// It is not told.
    drop: Option<Nothing>,
    /// A histogram with these buckets.
    explicit_bucket_histogram: Option<BucketSettings>,
    /// Exponential buckets.
    #[described(unsupported = "the other aggregations are those that fit the instrument")]
    base2_exponential_bucket_histogram: Option<IgnoredAny>,
    /// The latest value.
    #[described(unsupported = "the other aggregations are those that fit the instrument")]
    last_value: Option<IgnoredAny>,
    /// The sum.
    #[described(unsupported = "the other aggregations are those that fit the instrument")]
    sum: Option<IgnoredAny>,
}

/// There is nothing to be set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct Nothing {}

/// Buckets of a histogram.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Described)]
#[serde(deny_unknown_fields, default)]
struct BucketSettings {
    /// The upper ends of buckets, ascending.
    boundaries: Vec<f64>,
    /// Whether the least and the greatest value are told.
    record_min_max: Option<bool>,
}
impl ViewSettings {
    pub(super) fn validate(&self, problems: &mut Problems) {
        problems.require(self.selector.is_some(), "selector", "a view needs a `selector`");
        problems.require(self.stream.is_some(), "stream", "a view needs a `stream`");
        let selector = self.selector.clone().unwrap_or_default();
        problems.require(
            self.selector.is_none() || selector != SelectorSettings::default(),
            "selector",
            "must select by at least one key",
        );
        let Some(stream) = &self.stream else { return };
        problems.require(
            stream.name.is_none()
                || selector.instrument_name.as_deref().is_some_and(|name| !name.contains(['*', '?'])),
            "stream::name",
            "only a view of one instrument, by its `instrument_name` without wildcards, can rename",
        );
        refuse_unless_none(
            problems,
            &stream.aggregation_cardinality_limit,
            "stream::aggregation_cardinality_limit",
            FIXED_LIMIT,
        );
        let Some(aggregation) = &stream.aggregation else { return };
        problems.within("stream::aggregation", |problems| {
            let kinds = [
                aggregation.default.is_some(),
                aggregation.drop.is_some(),
                aggregation.explicit_bucket_histogram.is_some(),
            ];
            problems.require(
                kinds.into_iter().filter(|set| *set).count() <= 1,
                "",
                "must have one kind of aggregation",
            );
            let fixed = "the other aggregations are those that fit the instrument; `drop`, `default` and `explicit_bucket_histogram` can be set";
            refuse_unless_none(
                problems,
                &aggregation.base2_exponential_bucket_histogram,
                "base2_exponential_bucket_histogram",
                fixed,
            );
            refuse_unless_none(problems, &aggregation.last_value, "last_value", fixed);
            refuse_unless_none(problems, &aggregation.sum, "sum", fixed);
            if let Some(buckets) = &aggregation.explicit_bucket_histogram {
                let bounds = &buckets.boundaries;
                problems.require(
                    bounds.iter().all(|bound| bound.is_finite() && *bound >= 0.0)
                        && bounds.windows(2).all(|pair| pair[0] < pair[1])
                        && bounds.len() <= 200,
                    "explicit_bucket_histogram::boundaries",
                    "must be at most 200 ascending numbers, none below zero",
                );
            }
        });
    }

    pub(super) fn plan(&self) -> View {
        let selector = self.selector.clone().unwrap_or_default();
        let stream = self.stream.clone().unwrap_or_default();
        let aggregation = match stream.aggregation.unwrap_or_default() {
            AggregationSettings { drop: Some(_), .. } => Aggregation::Drop,
            AggregationSettings { explicit_bucket_histogram: Some(buckets), .. } => {
                Aggregation::Buckets(buckets.boundaries.into())
            }
            _ => Aggregation::Default,
        };
        View {
            selector: Selector {
                instrument_name: selector.instrument_name,
                instrument_kind: selector.instrument_type.map(InstrumentType::kind),
                unit: selector.unit,
                meter_name: selector.meter_name,
                meter_version: selector.meter_version,
                meter_schema_url: selector.meter_schema_url,
            },
            name: stream.name,
            description: stream.description,
            aggregation,
            attribute_keys: stream.attribute_keys.map_or_else(Selection::default, |keys| keys.plan()),
        }
    }
}

impl InstrumentType {
    fn kind(self) -> InstrumentKind {
        match self {
            InstrumentType::Counter | InstrumentType::ObservableCounter => InstrumentKind::Counter,
            InstrumentType::Gauge | InstrumentType::ObservableGauge => InstrumentKind::Gauge,
            InstrumentType::Histogram => InstrumentKind::Histogram,
            InstrumentType::UpDownCounter | InstrumentType::ObservableUpDownCounter => {
                InstrumentKind::UpDownCounter
            }
        }
    }
}
