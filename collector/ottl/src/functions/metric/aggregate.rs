//! Points that differ in fewer attributes.

use std::collections::HashMap;
use std::hash::Hash;
use std::str::FromStr;

use super::model::{
    AnyValue, Attribute, Buckets, Data, ExponentialDataPoint, Gauge, HistogramDataPoint, Metric, Number,
    NumberDataPoint, Sum,
};
use crate::EvalError;
use crate::functions::number::truncate_float;

/// What becomes of numbers that fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    /// They are added.
    Sum,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their mean; of whole numbers, without what is behind the point.
    Mean,
    /// The one in the middle; of whole numbers, without what is behind the point.
    Median,
    /// How many they are, unless there is only one.
    Count,
}

impl FromStr for Aggregation {
    type Err = EvalError;

    fn from_str(name: &str) -> Result<Self, EvalError> {
        match name {
            "sum" => Ok(Self::Sum),
            "max" => Ok(Self::Max),
            "min" => Ok(Self::Min),
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            "count" => Ok(Self::Count),
            _ => Err(EvalError::new(format!(
                "invalid aggregation function: {name}, expected sum, max, min, mean, median or count"
            ))),
        }
    }
}

/// Keeps of all points the attributes with these keys (all of them for `None`), and merges those that are
/// then alike.
///
/// # Errors
///
/// Summaries, which cannot be merged.
pub fn on_attributes(
    metric: &mut Metric,
    aggregation: Aggregation,
    keys: Option<&[&str]>,
) -> Result<(), EvalError> {
    refuse_summary(metric, "aggregate_on_attributes")?;
    if let Some(keys) = keys {
        for attributes in metric.attributes_mut() {
            attributes.retain(|attribute| {
                Attribute::read(attribute)
                    .is_ok_and(|attribute| keys.iter().any(|key| key.as_bytes() == attribute.key))
            });
        }
    }
    merge(metric, aggregation)
}

/// Gives the attribute of a key another value where it has one of some values, and merges the points that
/// are then alike.
///
/// # Errors
///
/// Summaries, which cannot be merged.
pub fn on_attribute_value(
    metric: &mut Metric,
    aggregation: Aggregation,
    key: &str,
    values: &[&str],
    new_value: &str,
) -> Result<(), EvalError> {
    refuse_summary(metric, "aggregate_on_attribute_value")?;
    for attributes in metric.attributes_mut() {
        for encoded in attributes {
            let attribute = Attribute::read(encoded)?;
            let text = attribute.text().filter(|_| attribute.key == key.as_bytes());
            if text.is_some_and(|text| values.iter().any(|value| value.as_bytes() == text)) {
                *encoded = Attribute::encode(key.as_bytes(), AnyValue::Text(new_value.as_bytes().to_vec()));
            }
        }
    }
    merge(metric, aggregation)
}

fn refuse_summary(metric: &Metric, function: &str) -> Result<(), EvalError> {
    match metric.data {
        Some(Data::Summary(_)) => {
            Err(EvalError::new(format!("{function} does not support aggregating summary metrics")))
        }
        _ => Ok(()),
    }
}

const DELTA: i32 = 1;

fn merge(metric: &mut Metric, aggregation: Aggregation) -> Result<(), EvalError> {
    // The original makes a new metric, without metadata.
    metric.metadata.clear();
    match &mut metric.data {
        Some(Data::Gauge(Gauge { data_points })) => merge_numbers(data_points, aggregation, false)?,
        Some(Data::Sum(Sum { data_points, temporality, .. })) => {
            merge_numbers(data_points, aggregation, *temporality == DELTA)?;
        }
        Some(Data::Histogram(data)) => {
            let by_start = data.temporality == DELTA;
            let groups = grouped(std::mem::take(&mut data.data_points), |point| {
                let bounds: Vec<u64> = point.explicit_bounds.iter().map(|bound| bound.to_bits()).collect();
                let shape = (
                    bounds,
                    point.bucket_counts.len(),
                    point.min.is_some(),
                    point.max.is_some(),
                    point.flags,
                );
                Ok((place(&point.attributes, point.time, by_start.then_some(point.start_time))?, shape))
            })?;
            data.data_points = groups.into_iter().filter_map(merge_histograms).collect();
        }
        Some(Data::ExponentialHistogram(data)) => {
            let by_start = data.temporality == DELTA;
            let groups = grouped(std::mem::take(&mut data.data_points), |point| {
                let offset = |buckets: &Option<Buckets>| buckets.as_ref().map_or(0, |buckets| buckets.offset);
                let shape = (
                    point.scale,
                    point.min.is_some(),
                    point.max.is_some(),
                    point.flags,
                    offset(&point.negative),
                    offset(&point.positive),
                );
                Ok((place(&point.attributes, point.time, by_start.then_some(point.start_time))?, shape))
            })?;
            data.data_points = groups.into_iter().filter_map(merge_exponential).collect();
        }
        Some(Data::Summary(_)) | None => {}
    }
    Ok(())
}

/// What points must have in common: attributes in any order, time, and for deltas the start.
type Place = (Vec<(Vec<u8>, Option<Vec<u8>>)>, u64, Option<u64>);

fn place(attributes: &[Vec<u8>], time: u64, start_time: Option<u64>) -> Result<Place, EvalError> {
    let pair =
        |attribute: &Vec<u8>| Attribute::read(attribute).map(|attribute| (attribute.key, attribute.value));
    let mut pairs = attributes.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    pairs.sort();
    Ok((pairs, time, start_time))
}

/// Points by what they have in common, in the order in which the first of each came.
fn grouped<P, K: Hash + Eq>(
    points: Vec<P>,
    key: impl Fn(&P) -> Result<K, EvalError>,
) -> Result<Vec<Vec<P>>, EvalError> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<Vec<P>> = Vec::new();
    for point in points {
        let place = *places.entry(key(&point)?).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(point),
            None => groups.push(vec![point]),
        }
    }
    Ok(groups)
}

fn merge_numbers(
    points: &mut Vec<NumberDataPoint>,
    aggregation: Aggregation,
    by_start: bool,
) -> Result<(), EvalError> {
    let groups = grouped(std::mem::take(points), |point| {
        place(&point.attributes, point.time, by_start.then_some(point.start_time))
    })?;
    for group in groups {
        let start_time = group.iter().map(|point| point.start_time).min().unwrap_or(0);
        let values: Vec<Option<Number>> = group.iter().map(|point| point.value).collect();
        // The first says of which type the result is.
        if let Some(first) = group.into_iter().next() {
            let value = match first.value {
                Some(Number::Int(_)) => Some(Number::Int(aggregate_ints(&values, aggregation))),
                Some(Number::Double(_)) => Some(Number::Double(aggregate_doubles(&values, aggregation))),
                None => None,
            };
            points.push(NumberDataPoint { value, start_time, ..first });
        }
    }
    Ok(())
}

fn aggregate_ints(values: &[Option<Number>], aggregation: Aggregation) -> i64 {
    let int = |value: &Option<Number>| match value {
        Some(Number::Int(number)) => *number,
        Some(Number::Double(number)) => truncate_float(*number),
        None => 0,
    };
    let mut numbers: Vec<i64> = values.iter().map(int).collect();
    let sum = || numbers.iter().fold(0i64, |sum, number| sum.wrapping_add(*number));
    match aggregation {
        Aggregation::Sum => sum(),
        Aggregation::Mean => sum() / numbers.len().max(1) as i64,
        Aggregation::Max => numbers.iter().copied().max().unwrap_or(0),
        Aggregation::Min => numbers.iter().copied().min().unwrap_or(0),
        Aggregation::Count if numbers.len() > 1 => numbers.len() as i64,
        Aggregation::Count => numbers.first().copied().unwrap_or(0),
        Aggregation::Median => {
            numbers.sort_unstable();
            let middle = numbers.len() / 2;
            match numbers.len() {
                0 => 0,
                length if length % 2 == 1 => numbers[middle],
                _ => numbers[middle - 1].wrapping_add(numbers[middle]) / 2,
            }
        }
    }
}

fn aggregate_doubles(values: &[Option<Number>], aggregation: Aggregation) -> f64 {
    let mut numbers: Vec<f64> = values.iter().map(|value| value.map_or(0.0, f64::from)).collect();
    let extreme = |better: fn(f64, f64) -> f64| {
        // As Go's `math.Max`, which a number that is none makes one too.
        let either = |left: f64, right: f64| {
            if left.is_nan() || right.is_nan() { f64::NAN } else { better(left, right) }
        };
        numbers.iter().copied().reduce(either).unwrap_or(0.0)
    };
    match aggregation {
        Aggregation::Sum => numbers.iter().sum(),
        Aggregation::Mean => numbers.iter().sum::<f64>() / numbers.len().max(1) as f64,
        Aggregation::Max => extreme(f64::max),
        Aggregation::Min => extreme(f64::min),
        Aggregation::Count if numbers.len() > 1 => numbers.len() as f64,
        Aggregation::Count => numbers.first().copied().unwrap_or(0.0),
        Aggregation::Median => {
            numbers.sort_unstable_by(f64::total_cmp);
            let middle = numbers.len() / 2;
            match numbers.len() {
                0 => 0.0,
                length if length % 2 == 1 => numbers[middle],
                _ => (numbers[middle - 1] + numbers[middle]) / 2.0,
            }
        }
    }
}

fn merge_histograms(group: Vec<HistogramDataPoint>) -> Option<HistogramDataPoint> {
    let mut points = group.into_iter();
    let mut merged = points.next()?;
    for point in points.filter(|point| point.count > 0) {
        merged.count = merged.count.saturating_add(point.count);
        merged.sum = added(merged.sum, point.sum);
        merged.min = merged.min.map(|min| min.min(point.min.unwrap_or(min)));
        merged.max = merged.max.map(|max| max.max(point.max.unwrap_or(max)));
        add_counts(&mut merged.bucket_counts, &point.bucket_counts);
        merged.exemplars.extend(point.exemplars);
        merged.start_time = merged.start_time.min(point.start_time);
    }
    Some(merged)
}

fn merge_exponential(group: Vec<ExponentialDataPoint>) -> Option<ExponentialDataPoint> {
    let mut points = group.into_iter();
    let mut merged = points.next()?;
    for point in points.filter(|point| point.count > 0) {
        merged.count = merged.count.saturating_add(point.count);
        merged.zero_count = merged.zero_count.saturating_add(point.zero_count);
        merged.sum = added(merged.sum, point.sum);
        merged.min = merged.min.map(|min| min.min(point.min.unwrap_or(min)));
        merged.max = merged.max.map(|max| max.max(point.max.unwrap_or(max)));
        for (into, from) in [(&mut merged.positive, point.positive), (&mut merged.negative, point.negative)] {
            if let Some(from) = from {
                add_counts(&mut into.get_or_insert_default().bucket_counts, &from.bucket_counts);
            }
        }
        merged.exemplars.extend(point.exemplars);
        merged.start_time = merged.start_time.min(point.start_time);
    }
    Some(merged)
}

fn added(left: Option<f64>, right: Option<f64>) -> Option<f64> {
    match (left, right) {
        (None, None) => None,
        (left, right) => Some(left.unwrap_or(0.0) + right.unwrap_or(0.0)),
    }
}

/// Adds counts bucket by bucket; the longer row says how many there are.
fn add_counts(into: &mut Vec<u64>, from: &[u64]) {
    if into.len() < from.len() {
        into.resize(from.len(), 0);
    }
    into.iter_mut().zip(from).for_each(|(into, from)| *into = into.saturating_add(*from));
}

#[cfg(test)]
mod tests;
