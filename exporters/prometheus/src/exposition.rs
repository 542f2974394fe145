//! The text of a scrape.

use std::borrow::Cow;
use std::fmt::Write as _;

use phoenix_prometheus::{Kind, labels_in, number};

use crate::negotiation::Format;
use crate::store::{Line, Point, Series};

/// Appends a metric.
pub(crate) fn put(out: &mut String, name: &str, series: &Series, format: Format, with_times: bool) {
    let name = legible(name, format.utf8, true);
    let kind = match series.kind {
        Kind::Counter => "counter",
        Kind::Gauge | Kind::Info => "gauge",
        Kind::Histogram => "histogram",
        Kind::Summary => "summary",
    };
    // In OpenMetrics it is the samples of a counter that end in `_total`, not its name.
    let is_counter = format.open_metrics.is_some() && series.kind == Kind::Counter;
    let family = if is_counter { name.strip_suffix("_total").unwrap_or(&name) } else { &name };
    let shown = if is_legible(family, true) { family.to_owned() } else { quoted(family) };
    let _ = writeln!(out, "# HELP {shown} {}", escaped(&series.help, format.open_metrics.is_some()));
    let _ = writeln!(out, "# TYPE {shown} {kind}");
    let total = if is_counter { "_total" } else { "" };
    for (labels, point) in &series.points {
        // Buckets and quantiles come first.
        let ordered = point.lines.iter().filter(|line| line.extra.is_some());
        for line in ordered.chain(point.lines.iter().filter(|line| line.extra.is_none())) {
            sample(out, (family, total), labels, line, format);
            if with_times {
                time(out, point, format);
            }
            if format.open_metrics.is_some() {
                exemplar(out, line, format);
            }
            out.push('\n');
        }
    }
}

/// Ends the text.
pub(crate) fn end(out: &mut String, format: Format) {
    if format.open_metrics.is_some() {
        out.push_str("# EOF\n");
    }
}

fn sample(out: &mut String, (family, total): (&str, &str), labels: &[u8], line: &Line, format: Format) {
    let mut braces = Braces { out, open: false };
    if is_legible(family, true) {
        let _ = write!(braces.out, "{family}{total}{}", line.suffix);
    } else {
        let name = quoted(&format!("{family}{total}{}", line.suffix));
        braces.item(&name);
    }
    let extra = line.extra.as_ref();
    for (name, value) in labels_in(labels) {
        // `le` and `quantile` of the point give way to those of the series.
        if extra.is_none_or(|(key, _)| *key != name) {
            braces.label(name, value, format.utf8);
        }
    }
    if let Some((key, value)) = extra {
        let value = if format.open_metrics.is_some() { with_point(value) } else { Cow::Borrowed(&**value) };
        braces.label(key, &value, format.utf8);
    }
    braces.close();
    let _ = write!(out, " {}", number(line.value));
}

fn time(out: &mut String, point: &Point, format: Format) {
    let _ = match format.open_metrics {
        None => write!(out, " {}", point.time_ms),
        Some(_) => write!(out, " {}", seconds(point.time_ms)),
    };
}

fn exemplar(out: &mut String, line: &Line, format: Format) {
    let Some(exemplar) = &line.exemplar else { return };
    out.push_str(" # ");
    let mut braces = Braces { out, open: false };
    for (name, value) in exemplar.labels.iter() {
        braces.label(name, value, format.utf8);
    }
    if !braces.open {
        braces.out.push('{');
        braces.open = true;
    }
    braces.close();
    let _ = write!(out, " {}", number(exemplar.value));
    if exemplar.time_ms > 0 {
        let _ = write!(out, " {}", seconds(exemplar.time_ms));
    }
}

/// Milliseconds as seconds.
fn seconds(millis: i64) -> String {
    format!("{}.{:03}", millis / 1000, (millis % 1000).abs())
}

/// What stands in braces, which are there where anything does.
struct Braces<'a> {
    out: &'a mut String,
    open: bool,
}

impl Braces<'_> {
    fn item(&mut self, text: &str) {
        self.out.push(if self.open { ',' } else { '{' });
        self.open = true;
        self.out.push_str(text);
    }

    fn label(&mut self, name: &str, value: &str, utf8: bool) {
        let name = legible(name, utf8, false);
        if is_legible(&name, false) {
            self.item(&name);
        } else {
            let name = quoted(&name);
            self.item(&name);
        }
        let _ = write!(self.out, "=\"{}\"", escaped(value, true));
    }

    fn close(self) {
        if self.open {
            self.out.push('}');
        }
    }
}

/// The name as it is where that may be, or with underscores for what it may not have.
fn legible(name: &str, utf8: bool, colons: bool) -> Cow<'_, str> {
    if utf8 || is_legible(name, colons) {
        return Cow::Borrowed(name);
    }
    let mut text: String = name.chars().map(|c| if is_plain(c, colons) { c } else { '_' }).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        text.insert(0, '_');
    }
    Cow::Owned(text)
}

fn is_legible(name: &str, colons: bool) -> bool {
    name.chars().all(|c| is_plain(c, colons)) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn is_plain(c: char, colons: bool) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':')
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, true))
}

fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// OpenMetrics writes whole numbers as `1.0`.
fn with_point(value: &str) -> Cow<'_, str> {
    match value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        true => Cow::Owned(format!("{value}.0")),
        false => Cow::Borrowed(value),
    }
}
