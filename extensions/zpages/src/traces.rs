//! `/debug/tracez`: some of the collector's latest own spans, by name, by how long they took, and by failure.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use phoenix_telemetry::logs::Value;
use phoenix_telemetry::traces::{FinishedSpan, Kind, LATENCIES, RecentSpans, Samples, SpanContext, Summary};

use crate::html::{Query, Text, page, table};

/// Characters of a text of a span that are shown.
const LONGEST: usize = 1000;

/// Which spans of which name are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    name: String,
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Running,
    Finished(Samples),
}

impl Which {
    /// By otelcol's numbers: `ztype` is 0 for running ones, 1 for a bucket, which `zlatencybucket` names, and
    /// 2 for errors.
    fn parse(kind: &str, bucket: Option<&str>) -> Option<Which> {
        match kind {
            "0" => Some(Which::Running),
            "1" => {
                let bucket = bucket.unwrap_or("0").parse().ok()?;
                (bucket < LATENCIES.len()).then_some(Which::Finished(Samples::Latency(bucket)))
            }
            "2" => Some(Which::Finished(Samples::Errors)),
            _ => None,
        }
    }

    fn query(self) -> String {
        match self {
            Which::Running => "ztype=0".to_owned(),
            Which::Finished(Samples::Latency(bucket)) => format!("ztype=1&amp;zlatencybucket={bucket}"),
            Which::Finished(Samples::Errors) => "ztype=2".to_owned(),
        }
    }

    fn text(self) -> String {
        match self {
            Which::Running => "under way".to_owned(),
            Which::Finished(Samples::Latency(bucket)) => match LATENCIES.get(bucket + 1) {
                Some(end) => format!("of {} to {}", bound(LATENCIES[bucket]), bound(*end)),
                None => format!("of {} and more", bound(LATENCIES[bucket])),
            },
            Which::Finished(Samples::Errors) => "that failed".to_owned(),
        }
    }
}

/// What a request asks for; none where it names no samples, or such as there are not.
pub(crate) fn select(parameter: impl Fn(&str) -> Option<String>) -> Option<Selection> {
    let which = Which::parse(&parameter("ztype")?, parameter("zlatencybucket").as_deref())?;
    Some(Selection { name: parameter("zspanname")?, which })
}

/// The whole page, about what `recent` holds now.
pub(crate) fn traces(command: &str, recent: &RecentSpans, selected: Option<&Selection>) -> String {
    let summaries = recent.summaries();
    let mut body = String::from(
        "<p class=\"dim\">Spans of the collector's own work since this extension started, for each name and column at most ten of the latest.</p>",
    );
    if summaries.is_empty() {
        body += "<p>Nothing was done yet, or nothing of it was sampled.</p>";
    } else {
        body += &overview(&summaries);
    }
    if let Some(selection) = selected {
        body += &samples(recent, selection);
    }
    page("tracez", command, &body)
}

fn overview(summaries: &[Summary]) -> String {
    let mut head = vec!["Span".to_owned(), "#Running".to_owned()];
    head.extend(LATENCIES.map(|from| format!("#≥{}", bound(from))));
    head.push("#Errors".to_owned());
    let head: Vec<_> = head.iter().map(String::as_str).collect();
    let rows: Vec<_> = summaries
        .iter()
        .map(|summary| {
            let cell = |count: u64, which: Which| match count {
                0 => "<span class=\"dim\">0</span>".to_owned(),
                count => format!(
                    "<a href=\"/debug/tracez?zspanname={}&amp;{}\">{count}</a>",
                    Query(&summary.name),
                    which.query()
                ),
            };
            let mut row = vec![short(&summary.name), cell(summary.running, Which::Running)];
            let buckets = summary.latency.iter().enumerate();
            row.extend(
                buckets.map(|(bucket, count)| cell(*count, Which::Finished(Samples::Latency(bucket)))),
            );
            row.push(cell(summary.errors, Which::Finished(Samples::Errors)));
            row
        })
        .collect();
    table(&head, &rows)
}

fn samples(recent: &RecentSpans, selection: &Selection) -> String {
    let mut out = format!("<h2>{}, spans {}</h2>", short(&selection.name), selection.which.text());
    let now = SystemTime::now();
    let mut rows = Vec::new();
    match selection.which {
        Which::Running => {
            for running in recent.running(&selection.name).iter().rev() {
                let age = now.duration_since(running.started).unwrap_or_default();
                rows.push(vec![
                    when(running.started),
                    took(age),
                    identity(&running.context, None),
                    String::new(),
                ]);
            }
        }
        Which::Finished(samples) => {
            for span in recent.samples(&selection.name, samples).iter().rev() {
                let identity = identity(&span.context, span.parent.as_ref());
                rows.push(vec![when(span.started), took(span.duration), identity, details(span)]);
            }
        }
    }
    out += &match rows.is_empty() {
        true => "<p>There are none.</p>".to_owned(),
        false => table(&["Began (UTC)", "#Took", "Trace, span, parent", "Details"], &rows),
    };
    out
}

/// A text of a span, which is data, as HTML and within bounds.
fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", Text(&text[..end])),
        None => Text(text).to_string(),
    }
}

fn bound(time: Duration) -> String {
    match time {
        Duration::ZERO => "0".to_owned(),
        time if time.as_secs() > 0 => format!("{}s", time.as_secs()),
        time if time.as_millis() > 0 => format!("{}ms", time.as_millis()),
        time => format!("{}µs", time.as_micros()),
    }
}

fn took(time: Duration) -> String {
    match time {
        time if time.as_secs() > 0 => format!("{:.3} s", time.as_secs_f64()),
        time if time.as_millis() > 0 => format!("{:.3} ms", time.as_secs_f64() * 1e3),
        time => format!("{:.1} µs", time.as_secs_f64() * 1e6),
    }
}

/// The time of the day: samples are of now.
fn when(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:06}", since.subsec_micros())
}

fn identity(context: &SpanContext, parent: Option<&SpanContext>) -> String {
    let mut out = format!("<code>{} {}</code>", hex(&context.trace_id), hex(&context.span_id));
    if let Some(parent) = parent {
        let from = if parent.remote { " (remote)" } else { "" };
        let _ = write!(out, "<br><code class=\"dim\">{}{from}</code>", hex(&parent.span_id));
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn details(span: &FinishedSpan) -> String {
    let mut lines = Vec::new();
    if let Some(error) = &span.error {
        lines.push(format!("<span class=\"bad\">{}</span>", short(error)));
    }
    match span.kind {
        Kind::Internal => {}
        Kind::Server => lines.push("<span class=\"dim\">answers</span>".to_owned()),
        Kind::Client => lines.push("<span class=\"dim\">asks</span>".to_owned()),
    }
    for (key, value) in &span.attributes {
        lines.push(format!("{} = <code>{}</code>", Text(key), short(&shown(value))));
    }
    if span.left_out > 0 {
        lines.push(format!("<span class=\"dim\">and {} attributes more</span>", span.left_out));
    }
    lines.join("<br>")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(value) => value.clone(),
        Value::List(_) | Value::Map(_) => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use phoenix_telemetry::traces::Tracer;

    use super::*;

    fn selection(query: &[(&str, &str)]) -> Option<Selection> {
        select(|key| query.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn only_samples_that_there_can_be_are_selected() {
        let bucket = |bucket| Some(Which::Finished(Samples::Latency(bucket)));
        let which = |query: &[(&str, &str)]| selection(query).map(|selection| selection.which);
        let name = ("zspanname", "x");
        assert_eq!(which(&[name, ("ztype", "0")]), Some(Which::Running));
        assert_eq!(which(&[name, ("ztype", "1")]), bucket(0));
        assert_eq!(which(&[name, ("ztype", "1"), ("zlatencybucket", "8")]), bucket(8));
        assert_eq!(which(&[name, ("ztype", "2")]), Some(Which::Finished(Samples::Errors)));
        for wrong in ["9", "-1", "x", "99999999999999999999"] {
            assert_eq!(which(&[name, ("ztype", "1"), ("zlatencybucket", wrong)]), None);
        }
        assert_eq!(which(&[name, ("ztype", "3")]), None);
        assert_eq!(which(&[("ztype", "2")]), None);
        assert_eq!(which(&[]), None);
    }

    #[test]
    fn spans_are_shown_by_name_and_outcome_and_their_texts_never_as_markup() {
        let evil = "<script>alert('x')</script>&\"";
        let tracer = Tracer::default();
        let _watch = tracer.watch();
        let begin = || tracer.span(Kind::Server, None, || evil.to_owned()).expect("watched");
        drop(begin());
        let mut failed = begin();
        failed.fail(evil);
        failed.set("text", Value::Text(evil.repeat(100)));
        failed.set("many", Value::List(vec![Value::Text(evil.to_owned())]));
        drop(failed);
        let _running = begin();
        for kind in ["0", "1", "2"] {
            let selected = selection(&[("zspanname", evil), ("ztype", kind)]).expect("there is");
            let page = traces("phoenix", tracer.recent(), Some(&selected));
            assert!(!page.contains("<script"), "{page}");
            let link = "zspanname=%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E%26%22&amp;ztype=2\">1</a>";
            assert!(page.contains(link), "{page}");
            assert!(page.contains("<h2>&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
            assert_eq!(page.contains("class=\"bad\""), kind == "2");
            assert_eq!(page.contains("…"), kind == "2", "long texts are cut");
            let has_rows = page.matches("<tr>").count() == 4;
            // The first was quicker than 10 µs, or it was not.
            assert!(has_rows || kind == "1", "{page}");
        }
        let selected = selection(&[("zspanname", "nobody"), ("ztype", "0")]);
        assert!(traces("phoenix", tracer.recent(), selected.as_ref()).contains("There are none"));
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(LATENCIES.map(bound), ["0", "10µs", "100µs", "1ms", "10ms", "100ms", "1s", "10s", "100s"]);
        assert_eq!(took(Duration::from_micros(1500)), "1.500 ms");
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(86_400_000 + 3_723_004);
        assert_eq!(when(time), "01:02:03.004000");
    }
}
