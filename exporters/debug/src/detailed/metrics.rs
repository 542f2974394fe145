//! Metrics and their points.

use std::fmt::{self, Write};

use phoenix_pdata::view::{
    Attributes, Buckets, Data, Exemplar, ExponentialPoint, HistogramPoint, Many, Metric, Number, NumberPoint,
    SummaryPoint,
};
use phoenix_pdata::wire::Fields;

use super::write_attributes;
use crate::go;

pub(super) fn write_metric(out: &mut dyn Write, metric: Metric<'_>) -> fmt::Result {
    writeln!(out, "Descriptor:")?;
    writeln!(out, "     -> Name: {}", metric.name())?;
    writeln!(out, "     -> Description: {}", metric.description())?;
    writeln!(out, "     -> Unit: {}", metric.unit())?;
    writeln!(out, "     -> DataType: {}", data_type(metric.data()))?;
    match metric.data() {
        None => Ok(()),
        Some(Data::Gauge(gauge)) => {
            write_points(out, "NumberDataPoints", gauge.data_points(), NumberPoint::attributes, write_number)
        }
        Some(Data::Sum(sum)) => {
            writeln!(out, "     -> IsMonotonic: {}", sum.is_monotonic())?;
            write_temporality(out, sum.raw())?;
            write_points(out, "NumberDataPoints", sum.data_points(), NumberPoint::attributes, write_number)
        }
        Some(Data::Histogram(histogram)) => {
            write_temporality(out, histogram.raw())?;
            let points = histogram.data_points();
            write_points(out, "HistogramDataPoints", points, HistogramPoint::attributes, write_histogram)
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            write_temporality(out, histogram.raw())?;
            let (name, points) = ("ExponentialHistogramDataPoints", histogram.data_points());
            write_points(out, name, points, ExponentialPoint::attributes, write_exponential)
        }
        Some(Data::Summary(summary)) => {
            let points = summary.data_points();
            write_points(out, "SummaryDataPoints", points, SummaryPoint::attributes, write_summary)
        }
    }
}

fn data_type(data: Option<Data<'_>>) -> &'static str {
    match data {
        None => "Empty",
        Some(Data::Gauge(_)) => "Gauge",
        Some(Data::Sum(_)) => "Sum",
        Some(Data::Histogram(_)) => "Histogram",
        Some(Data::ExponentialHistogram(_)) => "ExponentialHistogram",
        Some(Data::Summary(_)) => "Summary",
    }
}

/// Field 2 of each data that has one; its number is read here, since one that is not known has no name
/// while unspecified has.
fn write_temporality(out: &mut dyn Write, data: &[u8]) -> fmt::Result {
    let number = Fields::new(data).filter(|field| field.number() == 2).last().map_or(0, |field| field.scalar);
    let name = match number as i32 {
        0 => "Unspecified",
        1 => "Delta",
        2 => "Cumulative",
        _ => "",
    };
    writeln!(out, "     -> AggregationTemporality: {name}")
}

fn write_points<'a, P: 'a>(
    out: &mut dyn Write,
    name: &str,
    points: impl IntoIterator<Item = P>,
    attributes: impl Fn(&P) -> Attributes<'a>,
    write_point: impl Fn(&mut dyn Write, &P) -> fmt::Result,
) -> fmt::Result {
    for (index, point) in points.into_iter().enumerate() {
        writeln!(out, "{name} #{index}")?;
        write_attributes(out, "Data point attributes:", "", attributes(&point))?;
        write_point(out, &point)?;
    }
    Ok(())
}

fn write_times(out: &mut dyn Write, start: u64, time: u64) -> fmt::Result {
    writeln!(out, "StartTimestamp: {}", go::Time(start))?;
    writeln!(out, "Timestamp: {}", go::Time(time))
}

fn write_value(out: &mut dyn Write, prefix: &str, value: Option<Number>) -> fmt::Result {
    match value {
        Some(Number::Int(value)) => writeln!(out, "{prefix}Value: {value}"),
        Some(Number::Double(value)) => writeln!(out, "{prefix}Value: {}", go::Fixed(value)),
        None => Ok(()),
    }
}

fn write_number(out: &mut dyn Write, point: &NumberPoint<'_>) -> fmt::Result {
    write_times(out, point.start_time_unix_nano(), point.time_unix_nano())?;
    write_value(out, "", point.value())?;
    write_exemplars(out, point.exemplars())
}

fn write_statistics(
    out: &mut dyn Write,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
) -> fmt::Result {
    writeln!(out, "Count: {count}")?;
    for (name, value) in [("Sum", sum), ("Min", min), ("Max", max)] {
        if let Some(value) = value {
            writeln!(out, "{name}: {}", go::Fixed(value))?;
        }
    }
    Ok(())
}

fn write_histogram(out: &mut dyn Write, point: &HistogramPoint<'_>) -> fmt::Result {
    write_times(out, point.start_time_unix_nano(), point.time_unix_nano())?;
    write_statistics(out, point.count(), point.sum(), point.min(), point.max())?;
    for (index, bound) in point.explicit_bounds().iter().enumerate() {
        writeln!(out, "ExplicitBounds #{index}: {}", go::Fixed(bound))?;
    }
    for (index, count) in point.bucket_counts().iter().enumerate() {
        writeln!(out, "Buckets #{index}, Count: {count}")?;
    }
    write_exemplars(out, point.exemplars())
}

fn write_exponential(out: &mut dyn Write, point: &ExponentialPoint<'_>) -> fmt::Result {
    write_times(out, point.start_time_unix_nano(), point.time_unix_nano())?;
    write_statistics(out, point.count(), point.sum(), point.min(), point.max())?;
    let bounds = Bounds::new(point.scale());
    if let Some(buckets) = point.negative() {
        let counts: Vec<u64> = buckets.bucket_counts().iter().collect();
        for (position, count) in counts.into_iter().enumerate().rev() {
            let (lower, upper) = bounds.of(&buckets, position);
            writeln!(out, "Bucket [{}, {}), Count: {count}", go::Fixed(-upper), go::Fixed(-lower))?;
        }
    }
    if point.zero_count() != 0 {
        writeln!(out, "Bucket [0, 0], Count: {}", point.zero_count())?;
    }
    if let Some(buckets) = point.positive() {
        for (position, count) in buckets.bucket_counts().iter().enumerate() {
            let (lower, upper) = bounds.of(&buckets, position);
            writeln!(out, "Bucket ({}, {}], Count: {count}", go::Fixed(lower), go::Fixed(upper))?;
        }
    }
    write_exemplars(out, point.exemplars())
}

/// Bounds of exponential buckets in the arithmetic of otelcol: `exp(index * ln 2 / 2^scale)`.
struct Bounds {
    factor: f64,
}

impl Bounds {
    fn new(scale: i32) -> Bounds {
        // In two steps, since 2^-scale alone may leave the range where the product does not.
        let exponent = scale.saturating_neg().clamp(-2000, 2000);
        let half = exponent / 2;
        let factor = std::f64::consts::LN_2 * 2f64.powi(half) * 2f64.powi(exponent - half);
        Bounds { factor }
    }

    fn of(&self, buckets: &Buckets<'_>, position: usize) -> (f64, f64) {
        let index = f64::from(buckets.offset()) + position as f64;
        ((index * self.factor).exp(), ((index + 1.0) * self.factor).exp())
    }
}

fn write_summary(out: &mut dyn Write, point: &SummaryPoint<'_>) -> fmt::Result {
    write_times(out, point.start_time_unix_nano(), point.time_unix_nano())?;
    writeln!(out, "Count: {}", point.count())?;
    writeln!(out, "Sum: {}", go::Fixed(point.sum()))?;
    for (index, quantile) in point.quantile_values().iter().enumerate() {
        let (which, value) = (go::Fixed(quantile.quantile()), go::Fixed(quantile.value()));
        writeln!(out, "QuantileValue #{index}: Quantile {which}, Value {value}")?;
    }
    Ok(())
}

fn write_exemplars<'a>(out: &mut dyn Write, exemplars: Many<'a, Exemplar<'a>>) -> fmt::Result {
    if exemplars.is_empty() {
        return Ok(());
    }
    writeln!(out, "Exemplars:")?;
    for (index, exemplar) in exemplars.iter().enumerate() {
        writeln!(out, "Exemplar #{index}")?;
        writeln!(out, "     -> Trace ID: {}", go::Id(exemplar.trace_id()))?;
        writeln!(out, "     -> Span ID: {}", go::Id(exemplar.span_id()))?;
        writeln!(out, "     -> Timestamp: {}", go::Time(exemplar.time_unix_nano()))?;
        write_value(out, "     -> ", exemplar.value())?;
        write_attributes(out, "     -> FilteredAttributes:", "     ", exemplar.filtered_attributes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_of_any_scale_are_numbers() {
        for scale in [i32::MIN, -3000, -10, 0, 3, 20, 1100, i32::MAX] {
            assert!(!Bounds::new(scale).factor.is_nan(), "{scale}");
        }
        assert_eq!(Bounds::new(3).factor, std::f64::consts::LN_2 / 8.0);
    }
}
