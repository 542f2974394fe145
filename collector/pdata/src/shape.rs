//! Where the items of a request are: resource entry, scope entry, record; for metrics, the data points
//! within the data of a metric.

use std::borrow::Cow;

use crate::wire::{Field, Fields, Wire, key};
use crate::{Payload, Signal};

/// How deep a message of a request is: 0 for a resource entry, 1 for a scope entry, 2 for a span, log
/// record or metric, 3 for the data of a metric, 4 for a data point.
pub(crate) type Level = usize;

pub(crate) const RESOURCE_ENTRY: Level = 0;
pub(crate) const SCOPE_ENTRY: Level = 1;

/// The level of what counts as an item.
pub(crate) fn item_level(signal: Signal) -> Level {
    match signal {
        Signal::Traces | Signal::Logs => 2,
        Signal::Metrics => 4,
    }
}

/// Whether a field of a message at `level` holds messages of the next level; the other fields are its
/// *frame*, which says what they have in common.
#[inline(always)]
pub(crate) fn is_child(level: Level, field: &Field<'_>) -> bool {
    const SCOPES_OR_RECORDS: u32 = key(2, Wire::Len);
    const POINTS: u32 = key(1, Wire::Len);
    match level {
        0 | 1 => field.key == SCOPES_OR_RECORDS,
        2 => field.key & 7 == Wire::Len as u32 && matches!(field.number(), 5 | 7 | 9 | 10 | 11),
        _ => field.key == POINTS,
    }
}

/// Whether a field of a request is a resource entry.
pub(crate) fn is_entry(field: &Field<'_>) -> bool {
    field.is_len(1)
}

/// How many items the body of a message at `level` holds.
pub(crate) fn count(body: &[u8], level: Level, items: Level) -> u64 {
    if level == items {
        return 1;
    }
    let children = Fields::new(body).filter(|field| is_child(level, field));
    if level + 1 == items {
        return children.count() as u64;
    }
    children.map(|child| count(child.body, level + 1, items)).sum()
}

/// How many spans, log records or data points a payload holds. Steps from record to record without
/// looking inside.
pub fn count_items(signal: Signal, payload: &Payload) -> u64 {
    let items = item_level(signal);
    let entries = payload.pieces().flat_map(|piece| Fields::new(piece)).filter(is_entry);
    entries.map(|entry| count(entry.body, RESOURCE_ENTRY, items)).sum()
}

/// The parts of a message whose fields satisfy `wanted`, as few and long as possible.
pub(crate) fn runs<'a>(body: &'a [u8], wanted: impl Fn(&Field<'a>) -> bool) -> Vec<&'a [u8]> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut at = 0;
    for field in Fields::new(body) {
        let end = at + field.raw.len();
        if !wanted(&field) {
            if start < at {
                runs.push(&body[start..at]);
            }
            start = end;
        }
        at = end;
    }
    if start < at {
        runs.push(&body[start..at]);
    }
    runs
}

/// The frame of a message at `level`, in one piece so that frames can be compared.
pub(crate) fn frame(body: &[u8], level: Level) -> Cow<'_, [u8]> {
    match runs(body, |field| !is_child(level, field)).as_slice() {
        [] => Cow::Borrowed(&[]),
        [run] => Cow::Borrowed(run),
        runs => Cow::Owned(runs.concat()),
    }
}
