//! Counts: the same metrics and points; the original writes them in any order.

use serde_json::Value;

use crate::collector::Outcome;

/// What was counted, in one order.
pub(crate) fn compared(outcome: Outcome) -> Outcome {
    let Outcome::Ran { statuses, mut out } = outcome else { return outcome };
    for request in &mut out {
        for resource in children(request, "resourceMetrics") {
            for scope in children(resource, "scopeMetrics") {
                for metric in children(scope, "metrics") {
                    let points = metric.get_mut("sum").into_iter().flat_map(|sum| sum.get_mut("dataPoints"));
                    points.for_each(|points| {
                        points.as_array_mut().into_iter().flatten().for_each(without_now);
                        sort(points);
                    });
                }
                scope.get_mut("metrics").into_iter().for_each(sort);
            }
        }
    }
    Outcome::Ran { statuses, out }
}

fn children<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn sort(list: &mut Value) {
    if let Some(list) = list.as_array_mut() {
        list.sort_by_key(Value::to_string);
    }
}

/// Takes away when it was counted, which metrics have in place of a time of their own.
fn without_now(point: &mut Value) {
    // The requests are all older.
    const NEW: u64 = 1_770_000_000_000_000_000;
    for key in ["startTimeUnixNano", "timeUnixNano"] {
        let time = point[key].as_str().and_then(|text| text.parse::<u64>().ok());
        if time.is_some_and(|time| time > NEW) {
            point[key] = "now".into();
        }
    }
}
