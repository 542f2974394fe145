//! Differences that are meant, each with its reason; users read of them in docs/migrating-from-otelcol.md.

use serde_json::Value;

use crate::cases::{Case, Connector};
use crate::collector::Outcome;
use crate::corpus;

/// Why both may differ here, if they may.
pub(crate) fn reason(case: &Case, theirs: &Outcome, ours: &Outcome) -> Option<&'static str> {
    if let Some(reason) = corpus::newer(case, theirs, ours) {
        return Some(reason);
    }
    let (Outcome::Ran { statuses, out }, Outcome::Ran { statuses: our_statuses, out: our_out }) =
        (theirs, ours)
    else {
        return None;
    };
    let settings = case.processors.to_string();
    if settings.contains("propagate") && out == our_out && refused_for_good(statuses, our_statuses) {
        return Some("what a statement refuses is refused for good: sending it again cannot help");
    }
    if statuses != our_statuses {
        return None;
    }
    if let Some(Connector::Routing(_)) = case.connector {
        let is_same = out.iter().zip(our_out).all(|(theirs, ours)| routed(theirs) == routed(ours));
        return is_same.then_some(
            "routing sends a pipeline all of a request at once, not once for each set of pipelines, and leaves scopes and \
             metrics alone that hold nothing",
        );
    }
    let same = |change: fn(String) -> String| {
        let text = |requests: &[Value]| change(Value::from(requests.to_vec()).to_string());
        text(out) == text(our_out)
    };
    // Of otelcol 0.145 the character that the limit falls into is left in parts.
    if settings.contains("truncate_all") && same(|text| text.replace('\u{fffd}', "")) {
        return Some("truncate_all cuts between characters, as later versions do");
    }
    if settings.contains("String(") && same(|text| text.replace("e-0", "e-")) {
        return Some("the exponent of a number in text has no zero in front, as in later versions");
    }
    None
}

fn refused_for_good(theirs: &[u16], ours: &[u16]) -> bool {
    theirs.iter().zip(ours).all(|pair| matches!(pair, (503, 500)) || pair.0 == pair.1)
}

/// What came to a pipeline: the entries of its requests, in one order, without what holds nothing.
fn routed(route: &Value) -> Vec<String> {
    let requests = route.as_object().into_iter().flatten().flat_map(|(_, requests)| requests.as_array());
    let entries = requests.flatten().flat_map(|request| request.as_object().into_iter().flatten());
    let entries = entries.flat_map(|(_, entries)| entries.as_array().cloned().unwrap_or_default());
    let mut entries: Vec<String> = entries.filter_map(pruned).map(|entry| entry.to_string()).collect();
    entries.sort();
    entries
}

/// An entry of a request without scopes and metrics that hold nothing, at any depth; none where nothing is left.
fn pruned(entry: Value) -> Option<Value> {
    let mut entry = entry;
    let map = entry.as_object_mut()?;
    for key in ["scopeSpans", "scopeMetrics", "scopeLogs", "metrics"] {
        if let Some(Value::Array(inner)) = map.get_mut(key) {
            *inner = std::mem::take(inner).into_iter().filter_map(pruned).collect();
        }
    }
    let holds = |key: &str| map.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let records = ["scopeSpans", "scopeMetrics", "scopeLogs", "metrics", "spans", "logRecords"];
    let data = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let has_points =
        data.iter().any(|key| map.get(*key).is_some_and(|data| data.get("dataPoints").is_some()));
    (records.into_iter().any(holds) || has_points).then_some(entry)
}
