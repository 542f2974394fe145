//! Names and numbers as Prometheus wants them.

use phoenix_prometheus_units::{word, word_per};

use super::Options;
use crate::metrics::{InstrumentKind, Stream};

/// The name of a metric: unit, then type at its end, each unless it is there already.
pub(super) fn metric_name(stream: &Stream, options: &Options) -> String {
    let mut name = sanitized(&stream.name, ":");
    let is_counter = stream.kind == InstrumentKind::Counter;
    let had_total = is_counter && name.ends_with("_total");
    if had_total && !options.without_type_suffix {
        name.truncate(name.len() - "_total".len());
    }
    if !options.without_units {
        for word in unit_words(stream.unit, stream.kind) {
            if !name.ends_with(&word) {
                name = format!("{name}_{word}");
            }
        }
    }
    if is_counter && !options.without_type_suffix {
        name.push_str("_total");
    }
    name
}

/// What a unit adds to a name. Annotations in braces add nothing.
fn unit_words(unit: &str, kind: InstrumentKind) -> Vec<String> {
    let is_annotation = |part: &str| part.contains('{') || part.contains('}');
    let mut words = Vec::new();
    let (main, per) = unit.split_once('/').map_or((unit, None), |(main, per)| (main, Some(per)));
    if main == "1" && per.is_none() {
        if kind == InstrumentKind::Gauge {
            words.push("ratio".to_owned());
        }
        return words;
    }
    if !main.is_empty() && !is_annotation(main) {
        words.push(word(main).map_or_else(|| sanitized(main, ""), str::to_owned));
    }
    if let Some(per) = per.filter(|per| !per.is_empty() && !is_annotation(per)) {
        let word = word_per(per).map_or_else(|| sanitized(per, ""), str::to_owned);
        words.push(format!("per_{word}"));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The label of an attribute.
pub(super) fn label_name(key: &str) -> String {
    let name = sanitized(key, "");
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("key_{name}"),
        false => name,
    }
}

fn sanitized(text: &str, also: &str) -> String {
    let keeps = |c: char| c.is_ascii_alphanumeric() || c == '_' || also.contains(c);
    text.chars().map(|c| if keeps(c) { c } else { '_' }).collect()
}

/// A number as Go prints it: the fewest digits that mean the same, with an exponent from a million on.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}
