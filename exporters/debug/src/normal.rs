//! Verbosity `normal`: a line for each item.

use std::fmt::{self, Write};

use phoenix_pdata::view::{
    Attributes, Data, HistogramPoint, Metric, Number, NumberPoint, ResourceEntry, ScopeEntry, SummaryPoint,
    Text, View,
};
use phoenix_pdata::{Payload, Signal};

use crate::go;
use crate::value::{AsText, write_pairs};

/// Writes a request, a line for each resource, scope and item.
pub(crate) fn write(out: &mut dyn Write, signal: Signal, payload: &Payload) -> fmt::Result {
    match signal {
        Signal::Traces => write_entries(out, "Traces", payload.resource_spans(), |out, span| {
            write!(out, "{} {} {}", span.name(), go::Id(span.trace_id()), go::Id(span.span_id()))?;
            write_spaced(out, span.attributes())?;
            out.write_char('\n')
        }),
        Signal::Metrics => write_entries(out, "Metrics", payload.resource_metrics(), write_metric),
        Signal::Logs => write_entries(out, "Log", payload.resource_logs(), |out, record| {
            write!(out, "{} ", AsText(record.body()))?;
            write_pairs(out, record.attributes(), " ")?;
            out.write_char('\n')
        }),
    }
}

fn write_entries<'a, R: View<'a> + 'a>(
    out: &mut dyn Write,
    kind: &str,
    entries: impl Iterator<Item = ResourceEntry<'a, R>>,
    write_record: impl Fn(&mut dyn Write, R) -> fmt::Result,
) -> fmt::Result {
    for (index, entry) in entries.enumerate() {
        write!(out, "Resource{kind} #{index}")?;
        if !entry.schema_url().is_empty() {
            write!(out, " [{}]", entry.schema_url())?;
        }
        write_spaced(out, entry.resource().map(|resource| resource.attributes()).unwrap_or_default())?;
        out.write_char('\n')?;
        for scope in entry.scopes() {
            // The number is the resource's, in otelcol too.
            write!(out, "Scope{kind} #{index}")?;
            write_scope(out, &scope)?;
            scope.records().iter().try_for_each(|record| write_record(out, record))?;
        }
    }
    Ok(())
}

/// ` name@version [schema] key=value …`, of which nothing needs to be there.
fn write_scope<'a, R: View<'a>>(out: &mut dyn Write, entry: &ScopeEntry<'a, R>) -> fmt::Result {
    let scope = entry.scope();
    let (name, version) = scope.map_or((Text::default(), Text::default()), |s| (s.name(), s.version()));
    if !name.is_empty() || !version.is_empty() {
        write!(out, " {name}")?;
    }
    if !version.is_empty() {
        write!(out, "@{version}")?;
    }
    if !entry.schema_url().is_empty() {
        write!(out, " [{}]", entry.schema_url())?;
    }
    write_spaced(out, scope.map(|scope| scope.attributes()).unwrap_or_default())?;
    out.write_char('\n')
}

fn write_spaced(out: &mut dyn Write, attributes: Attributes<'_>) -> fmt::Result {
    if attributes.is_empty() {
        return Ok(());
    }
    out.write_char(' ')?;
    write_pairs(out, attributes, " ")
}

fn write_metric(out: &mut dyn Write, metric: Metric<'_>) -> fmt::Result {
    let name = metric.name();
    match metric.data() {
        None => Ok(()),
        Some(Data::Gauge(gauge)) => {
            write_points(out, name, gauge.data_points(), NumberPoint::attributes, write_number)
        }
        Some(Data::Sum(sum)) => {
            write_points(out, name, sum.data_points(), NumberPoint::attributes, write_number)
        }
        Some(Data::Histogram(histogram)) => {
            write_points(out, name, histogram.data_points(), HistogramPoint::attributes, write_histogram)
        }
        // Without buckets, as otelcol 0.145 does.
        Some(Data::ExponentialHistogram(histogram)) => write_points(
            out,
            name,
            histogram.data_points(),
            |point| point.attributes(),
            |out, point| {
                write!(out, "count={}", point.count())?;
                write_statistics(out, point.sum(), point.min(), point.max())
            },
        ),
        Some(Data::Summary(summary)) => {
            write_points(out, name, summary.data_points(), SummaryPoint::attributes, write_summary)
        }
    }
}

/// `name{key=value,…} value`.
fn write_points<'a, P: 'a>(
    out: &mut dyn Write,
    name: Text<'_>,
    points: impl IntoIterator<Item = P>,
    attributes: impl Fn(&P) -> Attributes<'a>,
    write_value: impl Fn(&mut dyn Write, &P) -> fmt::Result,
) -> fmt::Result {
    for point in points {
        write!(out, "{name}{{")?;
        write_pairs(out, attributes(&point), ",")?;
        out.write_str("} ")?;
        write_value(out, &point)?;
        out.write_char('\n')?;
    }
    Ok(())
}

fn write_number(out: &mut dyn Write, point: &NumberPoint<'_>) -> fmt::Result {
    match point.value() {
        Some(Number::Int(value)) => write!(out, "{value}"),
        Some(Number::Double(value)) => write!(out, "{}", go::General(value)),
        None => Ok(()),
    }
}

fn write_statistics(
    out: &mut dyn Write,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
) -> fmt::Result {
    for (name, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            write!(out, " {name}={}", go::General(value))?;
        }
    }
    Ok(())
}

fn write_histogram(out: &mut dyn Write, point: &HistogramPoint<'_>) -> fmt::Result {
    write!(out, "count={}", point.count())?;
    write_statistics(out, point.sum(), point.min(), point.max())?;
    let mut bounds = point.explicit_bounds().iter();
    for count in point.bucket_counts() {
        match bounds.next() {
            Some(bound) => write!(out, " le{}={count}", go::General(bound))?,
            None => write!(out, " {count}")?,
        }
    }
    Ok(())
}

fn write_summary(out: &mut dyn Write, point: &SummaryPoint<'_>) -> fmt::Result {
    write!(out, "count={} sum={}", point.count(), go::Fixed(point.sum()))?;
    for quantile in point.quantile_values() {
        write!(out, " q{}={}", go::General(quantile.quantile()), go::General(quantile.value()))?;
    }
    Ok(())
}
