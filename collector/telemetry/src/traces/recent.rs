//! Some of the latest spans, by name and by how long they took: what `/debug/tracez` shows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::{FinishedSpan, SpanContext};

/// The lower ends of the buckets, as otelcol's zpages have them.
pub const LATENCIES: [Duration; 9] = [
    Duration::ZERO,
    Duration::from_micros(10),
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(100),
];

/// Spans kept of each name and bucket.
const KEPT: usize = 10;

/// Names that are told apart; spans of further ones are counted under the last.
const NAMES: usize = 1000;

const OTHERS: &str = "(others)";

/// Which spans of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Samples {
    /// Those that took at least `LATENCIES[i]` and less than the next, and did not fail.
    Latency(usize),
    /// Those that failed.
    Errors,
}

/// One name in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was done.
    pub name: String,
    /// Under way now.
    pub running: u64,
    /// Done without a failure, by bucket.
    pub latency: [u64; LATENCIES.len()],
    /// Failed.
    pub errors: u64,
}

/// A span that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Where it stands.
    pub context: SpanContext,
    /// When it began.
    pub started: SystemTime,
}

/// The latest spans: at most 1,000 names with 110 spans each.
#[derive(Debug, Default)]
pub struct RecentSpans(Mutex<BTreeMap<String, Named>>);

#[derive(Debug, Default)]
struct Named {
    summary: Summary,
    running: VecDeque<Running>,
    latency: [VecDeque<FinishedSpan>; LATENCIES.len()],
    errors: VecDeque<FinishedSpan>,
}

impl RecentSpans {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Named>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, name: &str, running: Running) {
        let mut table = self.lock();
        let named = entry(&mut table, name);
        named.summary.running += 1;
        if named.running.len() < KEPT {
            named.running.push_back(running);
        }
    }

    pub(super) fn end(&self, span: &FinishedSpan) {
        let mut table = self.lock();
        let named = entry(&mut table, &span.name);
        named.summary.running = named.summary.running.saturating_sub(1);
        named.running.retain(|running| running.context.span_id != span.context.span_id);
        let kept = if span.error.is_some() {
            named.summary.errors += 1;
            &mut named.errors
        } else {
            let bucket = LATENCIES.iter().rposition(|from| span.duration >= *from).unwrap_or(0);
            named.summary.latency[bucket] += 1;
            &mut named.latency[bucket]
        };
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(span.clone());
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Every name in numbers, by name.
    pub fn summaries(&self) -> Vec<Summary> {
        let table = self.lock();
        table.iter().map(|(name, named)| Summary { name: name.clone(), ..named.summary.clone() }).collect()
    }

    /// Some spans of that name, the latest last.
    pub fn samples(&self, name: &str, which: Samples) -> Vec<FinishedSpan> {
        let table = self.lock();
        let Some(named) = table.get(name) else { return Vec::new() };
        let kept = match which {
            Samples::Latency(bucket) => named.latency.get(bucket),
            Samples::Errors => Some(&named.errors),
        };
        kept.into_iter().flatten().cloned().collect()
    }

    /// Some spans of that name that are under way.
    pub fn running(&self, name: &str) -> Vec<Running> {
        self.lock().get(name).map(|named| named.running.iter().copied().collect()).unwrap_or_default()
    }
}

fn entry<'a>(table: &'a mut BTreeMap<String, Named>, name: &str) -> &'a mut Named {
    let name = if table.contains_key(name) || table.len() < NAMES { name } else { OTHERS };
    table.entry(name.to_owned()).or_default()
}
