//! Functions of metrics.

use crate::function::{Default, Edit, Function, Kind, Parameter};
use crate::functions::metric::aggregate::{self, Aggregation};
use crate::functions::metric::exponential::{self, Distribution};
use crate::functions::metric::{Metric, Temporality, convert, extract, percentile, scale};
use crate::{Context, Contexts, EvalError};

const METRIC: Contexts = Contexts::of(&[Context::Metric]);

const fn new(name: &'static str, kind: Kind) -> Parameter {
    Parameter::new(name, kind)
}

const MONOTONIC: Parameter = new("monotonic", Kind::LiteralBool);
const FUNCTION: Parameter = new("aggregation_function", Kind::LiteralString);

const fn suffix(default: &'static str) -> Parameter {
    new("suffix", Kind::LiteralString).or(Default::String(default))
}

pub(super) const TABLE: &[Function] = &[
    Function::editor("convert_sum_to_gauge", &[], |edit| {
        change(edit, |metric| Ok(convert::sum_to_gauge(metric)))
    })
    .only_in(METRIC),
    Function::prepared_editor(
        "convert_gauge_to_sum",
        &[new("string_agg_temp", Kind::LiteralString), MONOTONIC],
        |literals| {
            let temporality: Temporality = parsed(literals.str(0))?;
            let is_monotonic = literals.bool(1).unwrap_or(false);
            Ok(Box::new(move |edit| {
                change(edit, |metric| Ok(convert::gauge_to_sum(metric, temporality, is_monotonic)))
            }))
        },
    )
    .only_in(METRIC),
    Function::editor("extract_sum_metric", &[MONOTONIC, suffix("_sum")], |edit| {
        let (is_monotonic, suffix) = (edit.call().bool(0), edit.call().str(1));
        append(edit, |metric| extract::sums(metric, is_monotonic, suffix))
    })
    .only_in(METRIC),
    Function::editor("extract_count_metric", &[MONOTONIC, suffix("_count")], |edit| {
        let (is_monotonic, suffix) = (edit.call().bool(0), edit.call().str(1));
        append(edit, |metric| extract::counts(metric, is_monotonic, suffix))
    })
    .only_in(METRIC),
    Function::prepared_editor(
        "extract_percentile_metric",
        &[new("percentile", Kind::LiteralDouble), new("suffix", Kind::LiteralString).optional()],
        |literals| {
            let percent = literals.double(0).unwrap_or_default();
            if !(0.0..=100.0).contains(&percent) {
                return Err(format!("percentile must be between 0 and 100, got {percent}"));
            }
            let suffix = literals.str(1).map_or_else(|| percentile::default_suffix(percent), str::to_owned);
            Ok(Box::new(move |edit| append(edit, |metric| percentile::percentile(metric, percent, &suffix))))
        },
    )
    .only_in(METRIC),
    Function::editor(
        "copy_metric",
        &[
            new("name", Kind::String).optional(),
            new("description", Kind::String).optional(),
            new("unit", Kind::String).optional(),
        ],
        copy_metric,
    )
    .only_in(METRIC),
    Function::editor(
        "scale_metric",
        &[new("multiplier", Kind::LiteralDouble), new("unit", Kind::String).optional()],
        |edit| {
            let (by, unit) = (edit.call().double(0), edit.call().opt_str(1));
            change(edit, |metric| scale::scale(metric, by, unit).map(|()| true))
        },
    )
    .only_in(METRIC),
    Function::prepared_editor(
        "aggregate_on_attributes",
        &[FUNCTION, new("attributes", Kind::ListOf(&Kind::LiteralString)).optional()],
        |literals| {
            let aggregation: Aggregation = parsed(literals.str(0))?;
            Ok(Box::new(move |edit| {
                let keys = edit.call().has(1).then(|| edit.call().strs(1));
                change(edit, |metric| {
                    aggregate::on_attributes(metric, aggregation, keys.as_deref()).map(|()| true)
                })
            }))
        },
    )
    .only_in(METRIC),
    Function::prepared_editor(
        "aggregate_on_attribute_value",
        &[
            FUNCTION,
            new("attribute", Kind::LiteralString),
            new("values", Kind::ListOf(&Kind::LiteralString)),
            new("new_value", Kind::LiteralString),
        ],
        |literals| {
            let aggregation: Aggregation = parsed(literals.str(0))?;
            Ok(Box::new(move |edit| {
                let (key, values, new_value) = (edit.call().str(1), edit.call().strs(2), edit.call().str(3));
                change(edit, |metric| {
                    aggregate::on_attribute_value(metric, aggregation, key, &values, new_value).map(|()| true)
                })
            }))
        },
    )
    .only_in(METRIC),
    Function::prepared_editor(
        "convert_exponential_histogram_to_histogram",
        &[
            new("distribution", Kind::LiteralString),
            new("explicit_bounds", Kind::ListOf(&Kind::LiteralDouble)),
        ],
        |literals| {
            let distribution: Distribution = parsed(literals.str(0))?;
            let bounds = literals.doubles(1).unwrap_or_default();
            if bounds.is_empty() {
                return Err("explicit bounds cannot be empty".to_owned());
            }
            Ok(Box::new(move |edit| {
                let random = edit.call().env().random;
                change(edit, |metric| {
                    Ok(exponential::to_explicit(metric, distribution, &bounds, &mut || random()))
                })
            }))
        },
    )
    .only_in(METRIC),
    Function::editor(
        "convert_summary_quantile_val_to_gauge",
        &[new("attribute_key", Kind::LiteralString).or(Default::String("quantile")), suffix(".quantiles")],
        |edit| {
            let (key, suffix) = (edit.call().str(0), edit.call().str(1));
            append(edit, |metric| Ok(convert::quantiles_to_gauge(metric, key, suffix)))
        },
    )
    .only_in(METRIC),
];

/// Reads the name of a choice that stands in the statement.
pub(super) fn parsed<T: std::str::FromStr<Err = EvalError>>(name: Option<&str>) -> Result<T, String> {
    name.unwrap_or_default().parse().map_err(|error: EvalError| error.to_string())
}

/// Puts the changed metric in its place, if `change` says that it did something.
fn change(
    edit: &mut Edit<'_, '_>,
    change: impl FnOnce(&mut Metric) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    let mut metric = Metric::read(&edit.record())?;
    if change(&mut metric)? {
        edit.set_record(&metric.write());
    }
    Ok(())
}

/// Adds what is made of the metric, if anything is.
pub(super) fn append(
    edit: &mut Edit<'_, '_>,
    make: impl FnOnce(&Metric) -> Result<Option<Metric>, EvalError>,
) -> Result<(), EvalError> {
    match make(&Metric::read(&edit.metric())?)? {
        Some(made) => edit.append_metric(&made.write()),
        None => Ok(()),
    }
}

fn copy_metric(edit: &mut Edit<'_, '_>) -> Result<(), EvalError> {
    let call = edit.call();
    let [name, description, unit] = [0, 1, 2].map(|index| call.opt_str(index));
    append(edit, |metric| {
        let mut copy = metric.clone();
        for (field, text) in
            [(&mut copy.name, name), (&mut copy.description, description), (&mut copy.unit, unit)]
        {
            if let Some(text) = text {
                *field = text.as_bytes().to_vec();
            }
        }
        Ok(Some(copy))
    })
}
