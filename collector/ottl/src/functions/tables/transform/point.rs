//! Functions of data points.

use prost::Message;

use super::metric::{append, parsed};
use crate::function::{Default, Edit, Function, Kind, Parameter};
use crate::functions::metric::buckets::{self, Method};
use crate::functions::metric::model::{HistogramDataPoint, decode};
use crate::functions::metric::{Temporality, convert};
use crate::run::Shape;
use crate::{Context, Contexts, EvalError};

const POINT: Contexts = Contexts::of(&[Context::DataPoint]);

const fn new(name: &'static str, kind: Kind) -> Parameter {
    Parameter::new(name, kind)
}

const TEMPORALITY: Parameter = new("string_agg_temp", Kind::LiteralString);
const MONOTONIC: Parameter = new("monotonic", Kind::LiteralBool);

const fn suffix(default: &'static str) -> Parameter {
    new("suffix", Kind::LiteralString).or(Default::String(default))
}

pub(super) const TABLE: &[Function] = &[
    Function::prepared_editor(
        "convert_summary_count_val_to_sum",
        &[TEMPORALITY, MONOTONIC, suffix("_count")],
        |literals| {
            let temporality: Temporality = parsed(literals.str(0))?;
            Ok(Box::new(move |edit| {
                let (is_monotonic, suffix) = (edit.call().bool(1), edit.call().str(2));
                if shape(edit) != Shape::SummaryPoint {
                    return Ok(());
                }
                append(edit, |metric| Ok(convert::summary_counts(metric, temporality, is_monotonic, suffix)))
            }))
        },
    )
    .only_in(POINT),
    Function::prepared_editor(
        "convert_summary_sum_val_to_sum",
        &[TEMPORALITY, MONOTONIC, suffix("_sum")],
        |literals| {
            let temporality: Temporality = parsed(literals.str(0))?;
            Ok(Box::new(move |edit| {
                let (is_monotonic, suffix) = (edit.call().bool(1), edit.call().str(2));
                if shape(edit) != Shape::SummaryPoint {
                    return Ok(());
                }
                append(edit, |metric| Ok(convert::summary_sums(metric, temporality, is_monotonic, suffix)))
            }))
        },
    )
    .only_in(POINT),
    Function::prepared_editor(
        "merge_histogram_buckets",
        &[
            new("target_value", Kind::DoubleLike),
            new("method", Kind::LiteralString).or(Default::String("remove_explicit_bound")),
        ],
        |literals| {
            let method: Method = parsed(literals.str(1))?;
            Ok(Box::new(move |edit| merge_buckets(edit, method)))
        },
    )
    .only_in(POINT),
];

fn merge_buckets(edit: &mut Edit<'_, '_>, method: Method) -> Result<(), EvalError> {
    if shape(edit) != Shape::HistogramPoint {
        return Ok(());
    }
    let target = edit.call().opt_double(0).ok_or("expected a number, got nil")?;
    let mut point: HistogramDataPoint = decode(&edit.record())?;
    if buckets::merge(&mut point, method, target)? {
        edit.set_record(&point.encode_to_vec());
    }
    Ok(())
}

fn shape(edit: &Edit<'_, '_>) -> Shape {
    edit.state.messages[edit.state.depth].shape()
}
