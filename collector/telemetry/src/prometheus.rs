//! The text format of Prometheus, version 0.0.4, as otelcol writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::metrics::{InstrumentKind, Stream, Value};
use crate::resource::Resource;
use crate::view::Selection;

mod naming;

use naming::{label_name, metric_name, number};

/// The media type of what [`render`] makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// How metrics are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Leaves out the labels `otel_scope_*`.
    pub without_scope_info: bool,
    /// Leaves out the unit at the end of names.
    pub without_units: bool,
    /// Leaves out `_total` at the end of counters.
    pub without_type_suffix: bool,
    /// The attributes of the resource that become labels of every series.
    pub constant_labels: Selection,
}

impl Default for Options {
    /// otelcol's.
    fn default() -> Options {
        Options {
            without_scope_info: true,
            without_units: true,
            without_type_suffix: true,
            constant_labels: Selection::nothing(),
        }
    }
}

/// All series of one name.
struct Family<'a> {
    kind: InstrumentKind,
    help: &'a str,
    /// By labels, as they are written.
    series: BTreeMap<String, &'a Value>,
}

/// Writes all streams. `version` is that of the scopes.
pub fn render(streams: &[Stream], resource: &Resource, version: &str, options: &Options) -> String {
    let constant: Vec<_> = resource
        .attributes
        .iter()
        .filter(|(key, _)| options.constant_labels.takes(key))
        .map(|(key, value)| (label_name(key), value.as_str()))
        .collect();
    let mut families: BTreeMap<String, Family<'_>> = BTreeMap::new();
    for stream in streams {
        let name = metric_name(stream, options);
        let family = families.entry(name).or_insert_with(|| Family {
            kind: stream.kind,
            help: &stream.text,
            series: BTreeMap::new(),
        });
        // Two metrics of one name cannot both be right: the first is shown, as in otelcol.
        if word(family.kind) != word(stream.kind) {
            continue;
        }
        for point in &stream.points {
            let mut labels: Vec<(String, &str)> =
                point.attributes.iter().map(|(key, value)| (label_name(key), value.as_str())).collect();
            if !options.without_scope_info {
                let scope = [("name", stream.scope), ("schema_url", ""), ("version", version)];
                labels.extend(scope.map(|(key, value)| (format!("otel_scope_{key}"), value)));
            }
            labels.extend(constant.iter().cloned());
            family.series.entry(written(labels)).or_insert(&point.value);
        }
    }
    let mut out = String::with_capacity(16 * 1024);
    let mut extras = extras(resource).into_iter().peekable();
    for (name, family) in &families {
        while let Some((_, text)) = extras.next_if(|(extra, _)| extra < &name.as_str()) {
            out += &text;
        }
        write_family(&mut out, name, family);
    }
    extras.for_each(|(_, text)| out += &text);
    out
}

/// What is there beside the metrics: the resource, and what Go's handler says of itself, which never fails
/// here.
fn extras(resource: &Resource) -> [(&'static str, String); 2] {
    let mut errors = String::new();
    head(
        &mut errors,
        "promhttp_metric_handler_errors_total",
        "Total number of internal errors encountered by the promhttp metric handler.",
        "counter",
    );
    for cause in ["encoding", "gathering"] {
        let _ = writeln!(errors, "promhttp_metric_handler_errors_total{{cause=\"{cause}\"}} 0");
    }
    let mut target = String::new();
    head(&mut target, "target_info", "Target metadata", "gauge");
    let labels = resource.attributes.iter().map(|(key, value)| (label_name(key), value.as_str())).collect();
    let _ = writeln!(target, "target_info{} 1", written(labels));
    [("promhttp_metric_handler_errors_total", errors), ("target_info", target)]
}

fn word(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Counter => "counter",
        InstrumentKind::UpDownCounter | InstrumentKind::Gauge => "gauge",
        InstrumentKind::Histogram => "histogram",
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    out.push_str("# HELP ");
    out.push_str(name);
    out.push(' ');
    for c in help.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    let _ = writeln!(out, "\n# TYPE {name} {kind}");
}

fn write_family(out: &mut String, name: &str, family: &Family<'_>) {
    if family.series.is_empty() {
        return;
    }
    head(out, name, family.help, word(family.kind));
    for (labels, value) in &family.series {
        match value {
            Value::Int(value) => line(out, name, "", labels, *value as f64),
            Value::Float(value) => line(out, name, "", labels, *value),
            Value::Histogram(histogram) => {
                let inside = labels.strip_suffix('}').map_or("{".to_owned(), |open| format!("{open},"));
                let mut below = 0;
                for (index, count) in histogram.counts.iter().enumerate() {
                    below += count;
                    let bound = histogram.bounds.get(index).map_or("+Inf".to_owned(), |bound| number(*bound));
                    line(out, name, "_bucket", &format!("{inside}le=\"{bound}\"}}"), below as f64);
                }
                line(out, name, "_sum", labels, histogram.sum);
                line(out, name, "_count", labels, below as f64);
            }
        }
    }
}

fn line(out: &mut String, name: &str, suffix: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "{name}{suffix}{labels} {}", number(value));
}

/// Labels by name. Names that became the same are one, with both values, as in otelcol.
fn written(mut labels: Vec<(String, &str)>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    labels.sort();
    let mut out = String::from("{");
    let mut last: Option<&str> = None;
    for (name, value) in &labels {
        if last == Some(name) {
            out.push(';');
        } else {
            if last.is_some() {
                out.push_str("\",");
            }
            let _ = write!(out, "{name}=\"");
        }
        last = Some(name);
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
    }
    out.push_str("\"}");
    out
}

#[cfg(test)]
mod tests;
